"""A family: one random rule over random relations, and the rows of many small worlds.

A world is up to six conversions and up to 25 touches (a few are crowded); its number is part of its keys, or a match
column of its own, so that the worlds of a family lie side by side in the same relations and don't touch each other.
"""

from dataclasses import dataclass, field

from clock import (DAY, GREATEST, HOUR, INFINITY, LEAST, MICROSECOND, MINUS_INFINITY, MINUTE, SECOND, at,
                   interval_micros, interval_text, time_text)
from keys import IDS, KINDS, WORLD, ZERO_UUID

WORLDS = 125      # worlds of a family

DEFAULT_EMPTY = ["", ZERO_UUID]

# Days on which a local day has 23 or 25 hours, a leap day, PostgreSQL's and Unix's epochs, and days like any other.
DAYS = [at(2025, 3, 30), at(2025, 10, 26), at(2025, 3, 9), at(2025, 11, 2), at(2024, 2, 29), at(2025, 6, 15),
        at(2026, 1, 1), at(2000), at(1970)]
ANCIENT = [at(-43, 3, 15), at(1), at(0, 12, 31), LEAST + HOUR]

LOOKBACKS = ["7 days", "7 days", "24 hours", "1 day", "36 hours", "2 days -3 hours", "1 hour", "10 minutes",
             "30 days", "1 microsecond", "0"]
SKEWS = ["0", "0", "0", "1 second", "5 minutes", "1 hour", "1 day"]

PLAIN_NAMES = {"id": "event_id", "time": "event_time", "begin": "install_begin", "score": "score", "kind": "kind",
               "flag": "flag", "own": "lookback", "shard": "shard"}
KEY_NAMES = ["device", "store", "ip", "user_agent", "click_id", "app", "os"]
NASTY_NAMES = ["touch", "conversion", "Order", "select", 'say "hi"', "it's", "a b", "ключ", "%s", "$1", "t", "c", "id",
               "time", "tier", "credit", "key", "rank", "x.y", "{0}", "back\\slash", "user", "lookback_us", "value"]


@dataclass
class Column:
    name: str
    type: str


@dataclass
class Relation:
    """A touch or conversion relation. Rows and columns go by role: id, time, k0 .. kn (keys), begin, score, ..."""
    name: str
    columns: dict
    rows: list = field(default_factory=list)


@dataclass
class Tier:
    name: str
    relation: Relation
    match: list                  # roles on the touch's side
    conversion_match: list       # and on the conversion's
    conflict: list
    lookback: str
    filter: str = None
    predicate: str = None
    predicate_columns: list = field(default_factory=list)     # the conversion's roles in it, as they appear
    own_lookback: bool = False
    skew: str = "0"
    strict: bool = False
    time: str = "time"           # the role of the touch's time: another column, now and then


@dataclass
class Rule:
    name: str
    conversions: Relation
    tiers: list
    keys: dict                   # role -> Kind
    path: str
    model: str
    empty: list                  # None: the default
    filter: str = None

    def empty_values(self):
        return DEFAULT_EMPTY if self.empty is None else self.empty


@dataclass
class Family:
    number: int
    schema: str
    rule: Rule
    relations: list              # all of them, each once
    day: int                     # where most worlds' time is
    edges: list                  # [since, until) ranges worth a look, as pairs of text


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    if text is None:
        return "NULL"
    escape = "E" if "\\" in text else ""
    return escape + "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def make(rng, number, worlds=WORLDS):
    maker = _Maker(rng, number)
    rule = maker.rule()
    relations = {id(r): r for r in [rule.conversions] + [tier.relation for tier in rule.tiers]}
    data = _Data(rng, rule, list(relations.values()), maker.kinds_of_ids)
    for world in range(worlds):
        data.world(world)
    return Family(number, maker.schema, rule, list(relations.values()), data.day, data.ranges())


class _Maker:
    """Chooses names, types, relations and the rule."""

    def __init__(self, rng, number):
        self.rng = rng
        self.nasty = rng.random() < 0.3
        self.plain = rng.random() < 0.3        # key and time alone say which touches are eligible
        self.schema = f"family {number}" if self.nasty else f"family_{number}"
        self.number = number
        self.kinds_of_ids = {}

    def chance(self, p):
        return self.rng.random() < p

    def rule(self):
        rng = self.rng
        keys, self.conversion_types, self.sources = self.keys()
        self.key_kinds = keys
        same_names = self.chance(0.4)
        # The ids of all touches have one type; text may have several collations. A table of events, each both a
        # touch and a conversion, makes the two one.
        events = self.chance(0.08)
        self.conversion_id = rng.choice(IDS)
        self.touch_id = self.conversion_id if events else rng.choice(IDS)
        conversions = self.relation("conversions", None, same_names)
        touches = [self.relation(name, conversions, same_names)
                   for name in ["clicks", "impressions", "visits"][:rng.choice([1, 1, 2, 2, 3])]]
        if events:
            touches[0] = conversions
        if self.nasty:
            for relation in {id(r): r for r in [conversions] + touches}.values():
                relation.name = f'{relation.name} "{rng.choice(["x", "Y z", "%I"])}"'
        n = rng.choice([1, 2, 2, 3, 3, 4])
        tiers = [self.tier(i, touches[i % len(touches)] if i < len(touches) else rng.choice(touches), conversions)
                 for i in range(max(n, len(touches)))]
        rng.shuffle(tiers)
        return Rule(
            name=f"rule '{self.number}\" %s" if self.nasty else f"rule_{self.number}",
            conversions=conversions, tiers=tiers, keys=keys,
            path=rng.choice(["first_match", "all"]), model=rng.choice(["last_touch", "first_touch"]),
            empty=self.empty(keys),
            filter=self.filter(conversions, "conversion") if self.chance(0.4) else None)

    def keys(self):
        """Key columns: role -> kind; the conversion's type of each; the conversion's column each is compared with."""
        rng = self.rng
        baking = rng.sample([k for k in KINDS if k.bakes], rng.choice([1, 2, 2, 3]))
        coarse = rng.sample([k for k in KINDS if not k.bakes], rng.choice([0, 0, 1, 2]))
        kinds = {f"k{i}": kind for i, kind in enumerate(baking + coarse)}
        if self.chance(0.5):
            kinds["world"] = WORLD
        types = {role: rng.choice(kind.types)[0] for role, kind in kinds.items()}
        sources = {role: role for role in kinds}
        if self.chance(0.1):       # two of the touch's columns must equal the same one of the conversion
            kinds["k9"], types["k9"], sources["k9"] = kinds["k0"], types["k0"], "k0"
        return kinds, types, sources

    def relation(self, name, conversions, same_names):
        """A relation with every role; touch relations have types that fit those of the conversions."""
        rng = self.rng
        id_kind = self.conversion_id if conversions is None else rng.choice(
            [kind for kind in IDS if kind.type.split()[0] == self.touch_id.type.split()[0]])
        types = {"id": id_kind.type, "time": "timestamptz", "begin": "timestamptz", "score": "int", "kind": "text",
                 "flag": "boolean", "own": "interval", "shard": "smallint"}
        for role, kind in self.key_kinds.items():
            types[role] = (self.conversion_types[role] if conversions is None else
                           rng.choice([t for c, t in kind.types if c == self.conversion_types[role]]))
        if conversions is not None and same_names:
            names = {role: column.name for role, column in conversions.columns.items()}
        else:
            names = self.names(types, conversions is None)
        relation = Relation(name, {role: Column(names[role], type_) for role, type_ in types.items()})
        self.kinds_of_ids[id(relation)] = id_kind
        return relation

    def names(self, roles, of_conversions):
        rng = self.rng
        if self.nasty:
            return dict(zip(roles, rng.sample(NASTY_NAMES, len(roles))))
        prefix = rng.choice(["", "conversion_" if of_conversions else "touch_"])
        keys = iter(KEY_NAMES)
        return {role: prefix + (PLAIN_NAMES.get(role) or (role if role == "world" else next(keys))) for role in roles}

    def tier(self, i, relation, conversions):
        rng = self.rng
        kinds = self.key_kinds
        baking = [role for role, kind in kinds.items() if kind.bakes and role != "world"]
        others = [role for role in kinds if role not in baking and role != "world"]
        if "world" in kinds and self.chance(0.6):
            match = ["world"] + rng.sample(baking + others, rng.choice([0, 1, 1, 2]) if len(baking + others) > 1 else 1)
        else:
            match = [rng.choice(baking)]
            rest = [role for role in baking + others if role not in match]
            match += rng.sample(rest, min(len(rest), rng.choice([0, 0, 1, 2])))
        rng.shuffle(match)
        rest = [role for role in kinds if role not in match and role != "world"]
        conflict = rng.sample(rest, min(len(rest), rng.choice([1, 1, 2]))) if self.chance(0.4) and not self.plain else []
        strict = self.chance(0.15)
        time = "begin" if self.chance(0.07) and relation is not conversions else "time"
        predicate, columns = self.predicate(relation, time, conversions) if self.chance(0.4) and not self.plain else (None, [])
        return Tier(
            name=f'{i}. "{rng.choice(["click", "%", "vue"])}" by {match[0]}\'s' if self.nasty else f"tier {i}",
            relation=relation, match=match, conversion_match=[self.sources[role] for role in match],
            conflict=conflict, lookback=rng.choice(LOOKBACKS),
            filter=self.filter(relation, "touch") if self.chance(0.4) else None,
            predicate=predicate, predicate_columns=columns, own_lookback=self.chance(0.3) and not self.plain,
            skew="0" if strict else rng.choice(SKEWS), strict=strict, time=time)

    def filter(self, relation, alias):
        prefix = self.rng.choice(["", alias + "."])
        of = {role: prefix + quote(column.name) for role, column in relation.columns.items()}
        return self.rng.choice([
            f"{of['kind']} = 'click'",
            f"{of['kind']} <> 'bot'",                              # NULL: rejected
            f"{of['score']} > 2 OR {of['flag']}",                  # an OR that wants its parentheses
            f"NOT {of['flag']}",
            f"{of['kind']} IN ('click', 'view') /* no bots */",
            f"{of['score']} BETWEEN 1 AND 8 AND {of['kind']} IS DISTINCT FROM 'it''s'",
            f"{of['time']} >= timestamptz '2000-01-02 00:00:00+00' OR {of['time']} < '1999-01-01 00:00:00+00'"])

    def predicate(self, touches, time, conversions):
        t = {role: "touch." + quote(column.name) for role, column in touches.columns.items()}
        t["time"] = t[time]
        c = {role: "conversion." + quote(column.name) for role, column in conversions.columns.items()}
        return self.rng.choice([
            (f"{c['time']} - {t['time']} >= interval '10 seconds'", ["time"]),
            (f"{t['time']} < {c['begin']}", ["begin"]),
            (f"{t['time']} <= {c['begin']} OR {c['begin']} IS NULL", ["begin"]),
            (f"{t['score']} <= {c['score']}", ["score"]),
            (f"{t['flag']} OR {c['score']} > 3 AND {c['flag']}", ["score", "flag"]),
            (f"{t['kind']} IS DISTINCT FROM {c['kind']}", ["kind"]),
            (f"{c['time']} - {t['time']} >= interval '10 seconds' AND {t['time']} < {c['begin']}", ["time", "begin"])])

    def empty(self, keys):
        rng = self.rng
        blanks = [blank for kind in keys.values() for blank in kind.blanks]
        choice = rng.random()
        if choice < 0.5 or not blanks:
            return None
        if choice < 0.6:
            return []
        return rng.sample(blanks, rng.randint(1, min(4, len(blanks)))) + rng.choice([[], DEFAULT_EMPTY])


class _Data:
    """Fills the relations of a rule with rows, many of them on an edge."""

    def __init__(self, rng, rule, relations, kinds_of_ids):
        self.rng = rng
        self.rule = rule
        self.ids = kinds_of_ids
        self.day = rng.choice(DAYS)
        self.far = []
        self.times = []
        if rng.random() < 0.3:
            self.far = [GREATEST - HOUR] if self.day > at(2001) and rng.random() < 0.3 else ANCIENT
        self.hot = rng.random() < 0.05         # one of the worlds is a crowded one
        self.events = any(tier.relation is rule.conversions for tier in rule.tiers)

    def chance(self, p):
        return self.rng.random() < p

    def world(self, world):
        rng = self.rng
        base = rng.choice(self.far) if self.far and self.chance(0.08) else self.day + rng.choice(
            [0, 0, HOUR, 2 * HOUR, DAY, 30 * HOUR, -1, rng.randrange(3 * DAY)])
        conversions, touches = [], []
        hot = self.hot and world == 1
        for n in range(40 if hot else rng.choice([0, 1, 1, 2, 2, 3, 4, 6])):
            conversions.append(self.conversion(world, n, base, conversions))
        for _ in range(500 if hot else rng.choice([0, 1, 2, 4, 6, 9, 12, 16, 20, 25])):
            tier = rng.choice(self.rule.tiers)
            touches.append((tier.relation, self.touch(world, base, tier, conversions, touches)))
        self.times += [row["time"] for row in conversions if row["time"] is not None]
        for row in conversions:
            self.rule.conversions.rows.append(_text(row, world))
        for relation, row in touches:
            relation.rows.append(_text(row, world))

    def common(self, world):
        """The columns that any row has; few blanks."""
        rng = self.rng
        row = {role: self.key(world, role) for role in self.rule.keys}
        row.update(score=rng.choice([None, "0", "1", "2", "3", "4", "5", "9"]), flag=rng.choice(["t", "t", "f", None]),
                   kind=rng.choice(["click"] * 8 + ["view", "bot", None]), shard=rng.choice("012"),
                   begin=None, own=None)
        if "k9" in row and self.chance(0.7):
            row["k9"] = row["k0"]
        return row

    def key(self, world, role):
        kind = self.rule.keys[role]
        if role == "world":
            return kind.value(world, 0) if not self.chance(0.01) else None
        choice = self.rng.random()
        if choice < 0.06:
            return None
        if choice < 0.14 and kind.blanks:
            return self.rng.choice(kind.blanks)
        return kind.value(world, self.rng.choice([0, 0, 0, 1]))

    def conversion(self, world, n, base, earlier):
        rng = self.rng
        ids = self.ids[id(self.rule.conversions)]
        if earlier and self.chance(0.25):      # the same conversion again, changed or not
            row = dict(rng.choice(earlier))
            if self.chance(0.5) and row["time"] is not None:
                row["time"] = _clamp(row["time"] + rng.choice([-1, 1, -HOUR, HOUR, DAY, 8 * DAY, -8 * DAY]))
            if self.chance(0.4) and row["time"] is not None:
                row["begin"] = _clamp(row["time"] - rng.choice([0, SECOND, HOUR, 2 * HOUR, DAY, 31 * DAY]))
            for role, value in self.common(world).items():
                if self.chance(0.2):
                    row[role] = value
                elif row[role] and role in self.rule.keys and self.chance(0.05):
                    row[role] = self.rule.keys[role].variant(self.rule.keys[role].value(world, 0))
            return row
        row = self.common(world)
        row["time"] = _clamp(base + rng.choice([0, 0, 0, 1, -1, HOUR, DAY, DAY + HOUR, rng.randrange(2 * DAY)]))
        if earlier and self.chance(0.2):
            row["time"] = rng.choice(earlier)["time"]
        row["id"] = ids.zero if ids.zero is not None and self.chance(0.003) else ids.pool(world * 8 + n)
        if self.chance(0.6) and row["time"] is not None:
            row["begin"] = _clamp(row["time"] - rng.choice([0, 1, SECOND, MINUTE, HOUR]))
        if self.chance(0.01):
            row["time"] = None
        return row

    def touch(self, world, base, tier, conversions, earlier):
        rng = self.rng
        same = [row for relation, row in earlier if relation is tier.relation]
        if same and self.chance(0.2):          # the same touch again: exactly, at another time, or changed
            row = dict(rng.choice(same))
            change = rng.random()
            if change < 0.3 and _finite(row["time"]):
                row["time"] = _clamp(row["time"] + rng.choice([-1, 1, -HOUR, HOUR]))
            elif change < 0.8:
                for role, value in self.common(world).items():
                    if self.chance(0.25):
                        row[role] = value
            return row
        row = self.common(world)
        ids = self.ids[id(tier.relation)]
        if tier.relation is self.rule.conversions:
            row["id"] = ids.pool(world * 8 + rng.randrange(8))
        else:
            row["id"] = ids.pool(world * 16 + rng.randrange(16))
            if ids.zero is not None and self.chance(0.03):
                row["id"] = ids.zero
        others = [(r["id"], r["time"]) for relation, r in earlier if relation is not tier.relation]
        target = rng.choice(conversions) if conversions and self.chance(0.95) else None
        if target is None or target["time"] is None:
            row["time"] = _clamp(base - rng.randrange(3 * DAY))
        else:
            self.aim(row, tier, target, [r["time"] for r in same])
        if tier.time == "begin":
            row["begin"] = row["time"]
            row["time"] = _shift(row["time"], rng.choice([0, 1, -1, HOUR, -DAY]))
        elif any(t.time == "begin" and t.relation is tier.relation for t in self.rule.tiers):
            row["begin"] = rng.choice([None, row["time"], _shift(row["time"], rng.choice([1, -HOUR]))])
        if others and not self.events and self.chance(0.15):       # id and time of another relation's touch
            row["id"], row["time"] = rng.choice(others)
        if not self.events and self.chance(0.04):
            row["time"] = rng.choice([INFINITY, MINUS_INFINITY, None])
        if not self.events and self.chance(0.01):
            row["id"] = None
        return row

    def aim(self, row, tier, target, times):
        """Make the touch a likely one for the target: its keys, and a time on or near an edge."""
        rng = self.rng
        for role, source in zip(tier.match, tier.conversion_match):
            if self.chance(0.93):
                row[role] = target[source]
                if row[role] and self.chance(0.08):
                    row[role] = self.rule.keys[role].variant(row[role])
        for role in tier.conflict:
            if self.chance(0.6):
                row[role] = target[role]
        lookback, skew = interval_micros(tier.lookback), interval_micros(tier.skew)
        if tier.own_lookback and self.chance(0.6):
            own = rng.choice([0, lookback, lookback // 2, lookback + DAY, HOUR, MICROSECOND])
            row["own"] = interval_text(own, self.chance(0.5))
            lookback = rng.choice([own, own, lookback])
        edge = rng.choice([0, 0, lookback, lookback, lookback, 2 * lookback, -skew, -skew, DAY, 10 * SECOND,
                           target["time"] % DAY, target["time"] % DAY + DAY])
        before = rng.choice([edge + rng.choice([0, 0, 1, -1]),
                             edge + rng.choice([HOUR, -HOUR]),
                             rng.randrange(lookback + 1), rng.randrange(lookback + 1), rng.randrange(2 * lookback + 1)])
        row["time"] = _clamp(target["time"] - before)
        if target["begin"] is not None and self.chance(0.15):
            row["time"] = _clamp(target["begin"] + rng.choice([-1, 0, 0, 1]))
        if times and self.chance(0.2):
            row["time"] = rng.choice(times)

    def ranges(self):
        """Ranges [since, until) that begin or end exactly at a conversion's time, or inside the data."""
        rng = self.rng
        middle = [self.day + DAY, self.day + rng.randrange(2 * DAY)] + rng.sample(self.times, min(3, len(self.times)))
        rng.shuffle(middle)
        since, until = sorted([rng.choice(self.times or [self.day]), rng.choice(middle)])
        return [tuple(map(time_text, pair)) for pair in [
            (MINUS_INFINITY, middle[0]), (middle[1], INFINITY), (self.day, self.day + DAY), (since, until)]]


def _finite(time):
    return time not in (None, INFINITY, MINUS_INFINITY)


def _clamp(time):
    return max(LEAST, min(GREATEST, time))


def _shift(time, by):
    return _clamp(time + by) if _finite(time) else time


def _text(row, world):
    """A row as COPY takes it; its world goes along, for who wants one world alone."""
    row = dict(row, number=world)
    for role in ("time", "begin"):
        row[role] = time_text(row[role])
    return row
