"""Makes random schedules: small data with many ties and edges, and everything that may happen to it."""

from clock import (DAY, GREATEST, HOUR, INFINITY, LEAST, MICROSECOND, MINUTE, SECOND, at, interval_micros,
                   interval_text, time_text)
from schedule import CONVERSION_NAMES, Operation, Rule, Schedule, Table, Tier, Write

# Sundays, so that a week of the decision tables ends within; on two of them a local clock changes.
DAYS = [at(2026, 1, 11), at(2026, 1, 11), at(2025, 3, 30), at(2025, 11, 2), at(2024, 2, 25)]
FAR = [at(1), at(-43, 3, 15), LEAST + HOUR, GREATEST - HOUR, at(1970), at(2200)]

ZERO_UUID = "00000000-0000-0000-0000-000000000000"
CARRIED = ["network", "campaign", "cost"]
# SQL expressions, and the columns they name in the order of their appearance.
INSTALLATION_KEYS = [
    ([], []), ([], []), (["device"], ["device"]), (["device"], ["device"]), (["app", "device"], ["app", "device"]),
    (["coalesce(nullif(device::text, ''), app)"], ["device", "app"]), (["lower(app)"], ["app"])]
NETWORKS = ["Meta", "google", "Éclair", "apple", "", None]


class _Ids:
    """The ids of a table: the n-th of its type, as text. Text ids sort differently under C and elsewhere."""
    TEXTS = ["a1", "B1", "b1", "a-1", "ä1", "Z 9", "z9", "", "10", "9"]

    def __init__(self, type_):
        self.type = type_

    def __call__(self, n):
        if self.type == "uuid":
            return f"{(n * 2654435761) % 2**32:08x}-0000-4000-8000-{n:012d}"
        if self.type == "text":
            return self.TEXTS[n] if n < len(self.TEXTS) else f"id {n}"
        return str(n - 3)


def make(rng, number):
    return _Maker(rng, number).schedule()


class _Maker:
    def __init__(self, rng, number):
        self.rng = rng
        self.number = number
        self.day = rng.choice(DAYS)
        self.device_type = rng.choice(["text", "text", "text", "uuid", "bigint"])
        self.conversions = []        # every row ever made, whatever became of it
        self.fresh = 100             # numbers of ids that nothing else has used
        # How everything comes to its end. long: it is open until long after the last operation, wherever it came from.
        # closing: it closes on the way, and all of it comes through triggers, so that it is known when. free: it may
        # close at any time, and reattribute() has the last word.
        self.mode = rng.choices(["long", "closing", "free"], [50, 25, 25])[0]

    def chance(self, p):
        return self.rng.random() < p

    def schedule(self):
        rng = self.rng
        partitioned = self.chance(0.6)
        tables = [Table("conversions", rng.choice(["text", "uuid", "bigint", "int"]), partitioned, self.chance(0.4))]
        touch_type = rng.choice(["text", "uuid", "bigint", "int"])
        for name in ["clicks", "views"][:rng.choice([1, 2, 2])]:
            tables.append(Table(name, touch_type, self.chance(0.5), self.chance(0.2)))
        self.tables = {table.name: table for table in tables}
        self.ids = {table.name: _Ids(table.id_type) for table in tables}
        self.touches = {table.name: [] for table in tables if table.is_touch}
        self.nasty = self.chance(0.15)
        # No sum of the steps of the virtual clock, so that nothing closes within moments of a run's time.
        self.lateness = rng.choice({
            "long": ["10000 days"], "free": ["0", "0", "1 minute", "1 hour"],
            "closing": ["0", "100 seconds", "97 minutes", "757 minutes", "757 minutes", "5 days"]}[self.mode])
        self.rules = [self.rule(n) for n in range(rng.choice([1, 1, 1, 2]))]
        before = []
        if self.mode != "closing" and self.chance(0.7):
            before = [self.insert("conversions") for _ in range(rng.choice([1, 2, 4]))]
        if self.chance(0.7):
            before += [self.insert(self.touch_table()) for _ in range(rng.choice([1, 2, 3]))]
        operations = [Operation("write", [self.insert("conversions" if self.chance(0.6) else self.touch_table())])
                      for _ in range(rng.choice([1, 3, 6]))]
        operations += [self.operation() for _ in range(rng.choice([12, 18, 24, 30]))]
        schema = f'schedule "{self.number}"' if self.nasty else f"schedule_{self.number}"
        # What only a new filter lets pass closes at once, whatever comes later.
        if self.mode == "long" and any("filter" in operation.change for operation in operations):
            self.mode = "free"
        return Schedule(self.number, schema, self.day, self.device_type, self.tables, self.rules, before, operations,
                        retention=rng.choice([None, 0, 1, 2, 3]), mode=self.mode)

    # Rules

    def rule(self, n):
        rng = self.rng
        tiers = [self.tier(i) for i in range(rng.choice([1, 2, 2, 3]))]
        key, columns = rng.choice(INSTALLATION_KEYS)
        return Rule(
            name=f"rule '{self.number}\" %s {n}" if self.nasty else f"rule_{self.number}_{n}",
            tiers=tiers, path=rng.choice(["first_match", "all"]), model=rng.choice(["last_touch", "first_touch"]),
            filter=self.filter("conversion") if self.chance(0.4) else None,
            empty=rng.choice([None, None, None, [], ["", "d1", "app2", "1"]]), value=self.chance(0.5),
            carry=rng.sample(CARRIED, rng.choice([0, 1, 2, 3])), installation_key=key, key_columns=columns,
            window=rng.choice(["90 days", "1 day", "12 hours", "0", "2 days"]),
            lateness=self.lateness, kept=rng.choice(["", "", "", f"kept {n}"]),
            settlement="0" if self.mode == "closing" else rng.choice(["0", "0", "0", "1 hour", "10 seconds"]))

    def tier(self, i):
        rng = self.rng
        match = rng.choice([["gadget"], ["gadget"], ["ip", "agent"], ["app", "gadget"], ["ip"]])
        rest = [column for column in ["gadget", "app", "agent"] if column not in match]
        strict = self.chance(0.15)
        predicate, columns = self.predicate() if self.chance(0.3) else (None, [])
        return Tier(
            name=f'{i}. "{match[0]}"\'s' if self.nasty else f"tier {i}", table=self.touch_table(), match=match,
            conflict=rng.sample(rest, min(len(rest), rng.choice([1, 1, 2]))) if self.chance(0.35) else [],
            lookback=rng.choice(["7 days"] * 6 + ["1 day"] * 6 + ["36 hours"] * 3 + ["1 hour"] * 3
                                + ["0", "1 microsecond"]),
            filter=self.filter("touch") if self.chance(0.3) else None, predicate=predicate, predicate_columns=columns,
            own_lookback=self.chance(0.25), strict=strict,
            skew="0" if strict else rng.choice(["0", "0", "0", "1 second", "1 hour"]))

    def filter(self, alias):
        prefix = self.rng.choice(["", alias + "."])
        return self.rng.choice([f"{prefix}kind = 'install'", f"{prefix}kind <> 'bot'", f"{prefix}kind <> 'bot'",
                                f"{prefix}score > 1 OR {prefix}kind = 'install'",
                                f"{prefix}kind IN ('install', 'open') /* no bots */"])

    def predicate(self):
        return self.rng.choice([
            ("conversion.happened_at - touch.touched_at >= interval '10 seconds'",
             ["conversion.happened_at", "touch.touched_at"]),
            ("touch.score <= conversion.score", ["touch.score", "conversion.score"]),
            ("touch.kind IS DISTINCT FROM conversion.kind", ["touch.kind", "conversion.kind"]),
            ("conversion.score > 2 OR touch.network <> 'apple'", ["conversion.score", "touch.network"])])

    def touch_table(self):
        return self.rng.choice([name for name in self.tables if name != "conversions"])

    # Rows

    def key(self, column):
        rng = self.rng
        kind = CONVERSION_NAMES.get(column, column)
        if self.chance(0.07):
            return None
        if kind == "device":
            values = {"text": ["d1", "d2", "d3", "D1", "", ZERO_UUID],
                      "uuid": ["d1000000-0000-0000-0000-000000000000", "d2000000-0000-0000-0000-000000000000",
                               "d3000000-0000-0000-0000-000000000000", ZERO_UUID],
                      "bigint": ["1", "2", "3", "0"]}[self.device_type]
            return rng.choices(values, [6, 4, 2, 1, 1, 1][:len(values)])[0]
        return rng.choices({"ip": ["1.1.1.1", "2.2.2.2", ""], "agent": ["iOS", "Droid", ""],
                            "app": ["app1", "app2", "APP1"]}[kind], [7, 3, 1])[0]

    def common(self):
        rng = self.rng
        return {"ip": self.key("ip"), "agent": self.key("agent"), "app": self.key("app"),
                "kind": rng.choice(["install"] * 7 + ["open", "bot", None]),
                "score": rng.choice(["0", "1", "2", "3", "5", None])}

    def conversion(self):
        """A conversion: a new one, or one that is there already, changed or not."""
        rng = self.rng
        if self.conversions and self.chance(0.3):
            row = dict(rng.choice(self.conversions))
            change = rng.random()
            if change < 0.5 and row["happened_at"] not in (None, INFINITY):
                row["happened_at"] += rng.choice([MICROSECOND, -MICROSECOND, -HOUR, HOUR, DAY, -DAY, 2 * DAY])
                self.clamp(row, "happened_at")
            elif change < 0.8:
                self.alter(row, self.new_conversion())
        else:
            row = self.new_conversion()
        self.conversions.append(row)
        return row

    def new_conversion(self):
        rng = self.rng
        ids = self.ids["conversions"]
        row = {"conversion_id": ids(rng.randrange(25)), "happened_at": self.time(), "device": self.key("device"),
               **self.common(), "amount": rng.choice(["0", "1", "2.50", "-3", "1e3", "1.00", None]),
               "note": rng.choice(["x", "y", None])}
        if self.conversions and self.chance(0.35):
            # Near the edge of another's re-attribution window, or at the same time.
            other, rule = rng.choice(self.conversions), rng.choice(self.rules)
            if other["happened_at"] is not None:
                row["happened_at"] = other["happened_at"] + rng.choice([1, 1, -1]) * (
                    rng.choice([0, interval_micros(rule.window) % (5 * DAY)]) + rng.choice([0, 0, 1, -1]))
                row.update(device=other["device"], app=other["app"])
        if self.mode == "free" and self.chance(0.03):
            row["happened_at"] = rng.choice(FAR)
        return self.clamp(row, "happened_at")

    def touch(self, table):
        """A touch, likely one that counts for some conversion; now and then one that is there already."""
        rng = self.rng
        earlier = self.touches[table]
        if earlier and self.chance(0.2):
            row = dict(rng.choice(earlier))
            change = rng.random()
            if change < 0.3 and row["touched_at"] not in (None, INFINITY):
                row["touched_at"] += rng.choice([1, -1, HOUR, -HOUR])
                self.clamp(row, "touched_at")
            elif change < 0.8:
                self.alter(row, self.new_touch(table))
        else:
            row = self.new_touch(table)
        earlier.append(row)
        return row

    def new_touch(self, table):
        rng = self.rng
        row = {"touch_id": self.ids[table](rng.randrange(30)), "touched_at": self.time() - rng.randrange(DAY),
               "gadget": self.key("gadget"), **self.common(),
               "reach": interval_text(rng.choice([0, HOUR, DAY, 12 * HOUR])) if self.chance(0.5) else None,
               "network": rng.choice(NETWORKS), "campaign": rng.choice(["c1", "c2", "C1", None]),
               "cost": rng.choice(["0.1", "0.10", "2", None])}
        tiers = [tier for rule in self.rules for tier in rule.tiers if tier.table == table]
        if self.conversions and tiers and self.chance(0.9):
            tier, target = rng.choice(tiers), rng.choice(self.conversions[-12:])
            for column in tier.match + [c for c in tier.conflict if self.chance(0.6)]:
                if self.chance(0.95):
                    row[column] = target[CONVERSION_NAMES.get(column, column)]
            if target["happened_at"] is not None:
                lookback, skew = interval_micros(tier.lookback), interval_micros(tier.skew)
                row["touched_at"] = target["happened_at"] - rng.choice(
                    [0, lookback, lookback, -skew, rng.randrange(lookback + 1), rng.randrange(lookback + 1),
                     rng.randrange(lookback + 1), HOUR, 10 * SECOND]) + rng.choice([0, 0, 0, 1, -1])
            if earlier := [r for r in self.touches[table] if r["touched_at"] is not None]:
                if self.chance(0.2):
                    row["touched_at"] = rng.choice(earlier)["touched_at"]
        if self.chance(0.02):
            row[rng.choice(["touch_id", "touched_at"])] = None
            if row["touched_at"] is not None and self.chance(0.5):
                row["touched_at"] = INFINITY
        return row if row["touched_at"] in (None, INFINITY) else self.clamp(row, "touched_at")

    def time(self):
        rng = self.rng
        return self.day + rng.choice([0, 0, HOUR, 12 * HOUR, DAY, DAY, 30 * HOUR, 2 * DAY, -1, DAY - 1, 4 * DAY + HOUR,
                                      rng.randrange(3 * DAY), rng.randrange(6 * DAY) - DAY])

    def alter(self, row, other):
        for column, value in other.items():
            if not column.endswith(("_id", "_at")) and self.chance(0.25):
                row[column] = value

    @staticmethod
    def clamp(row, column):
        row[column] = max(LEAST, min(GREATEST, row[column]))
        return row

    # Writes

    def write(self):
        rng = self.rng
        table = "conversions" if self.chance(0.55) else self.touch_table()
        rows = self.conversions if table == "conversions" else self.touches[table]
        what = rng.choices(["insert", "update", "delete", "one", "upsert", "refused"], [54, 26, 6, 5, 6, 2])[0]
        if what == "refused":
            return self.refused()
        if what == "insert" or not rows:
            return self.insert(table)
        if what == "upsert":
            write = self.insert(table)
            return Write("upsert", table, write.rows)
        some = rng.choice(rows)
        write = Write(what, table, id=some[self.tables[table].id])
        if what == "update":
            other = self.conversion() if table == "conversions" else self.touch(table)
            columns = [column for column in other if self.chance(0.15)] or [rng.choice(list(other))]
            write.set = self.texts({column: other[column] for column in columns})
            write.way = rng.choice(["parent", "parent", "one", "replica"])
            if table == "conversions" and self.chance(0.03):
                write.set["happened_at"] = None
            if self.tables[table].id in write.set and self.chance(0.5):
                write.set[self.tables[table].id] = self.fresh_id(table)
        if write.id is None:
            return self.insert(table)
        return write

    def insert(self, table):
        rng = self.rng
        row = self.conversion if table == "conversions" else lambda: self.touch(table)
        rows = [self.texts(row()) for _ in range(rng.choice([1, 2, 3, 5]) if table == "conversions"
                                                 else rng.choice([1, 2, 4, 8]))]
        if self.chance(0.1):
            rows.append(dict(rng.choice(rows)))
        if table == "conversions" and self.chance(0.01):
            # One id at more times than the engine keeps in mind.
            some = self.new_conversion()
            rows += [self.texts({**some, "happened_at": self.day + n * HOUR}) for n in range(110, 0, -1)]
        way = rng.choices(["parent", "leaf", "copy", "copy leaf", "replica"], [42, 20, 15, 15, 8])[0]
        if table == "conversions" and self.chance(0.03):
            # Not a conversion, for want of a time.
            rows[0] = dict(rows[0], happened_at=None)
        return Write("insert", table, rows, way)

    def refused(self):
        """A conversion that can't be one: without an id, or at an infinite time."""
        row = self.texts(self.new_conversion())
        row.update(conversion_id=self.fresh_id("conversions"), kind="install", score="5")
        if self.chance(0.5):
            row["conversion_id"] = None
            return Write("refused", "conversions", [row], error="not_null_violation")
        row["happened_at"] = self.rng.choice(["infinity", "-infinity"])
        return Write("refused", "conversions", [row], error="datetime_field_overflow")

    def fresh_id(self, table):
        self.fresh += 1
        return self.ids[table](self.fresh)

    @staticmethod
    def texts(row):
        """A row, or some columns of it, as PostgreSQL reads them."""
        return {column: time_text(value) if column.endswith("_at") else value for column, value in row.items()}

    # Operations

    def operation(self):
        rng = self.rng
        kinds = {"write": 38, "transaction": 14, "run": 20, "resolve": 5, "together": 5, "reattribute": 3,
                 "reconcile": 1, "checkpoint": 3, "setting": 4, "version": 3, "truncate": 2, "partition": 5,
                 "offline": 2, "rewrite": 1}
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        return getattr(self, "make_" + kind)()

    def make_write(self):
        return Operation("write", [self.write()])

    def make_transaction(self):
        ending = self.rng.choice(["commit", "rollback", "savepoint", "prepare", "prepare", "during", "during"])
        return Operation("transaction", [self.write() for _ in range(self.rng.choice([1, 2, 3]))], ending,
                         rule=self.some_rule(), later=self.later())

    def make_run(self):
        return Operation("run", rule=self.some_rule(), later=self.later())

    def make_resolve(self):
        return Operation("resolve", ending=self.rng.choice(["COMMIT", "COMMIT", "ROLLBACK"]))

    def make_together(self):
        """Two or three sessions at a time: runs, and sometimes writes."""
        rng = self.rng
        parts = [("run", self.some_rule(), rng.choice(["1", "7", "10000"])) for _ in range(2)]
        if self.chance(0.3):
            parts[1] = ("reattribute",) + parts[1][1:]
        writes = []
        if self.mode != "closing" and self.chance(0.5):
            writes = [self.write() for _ in range(rng.choice([1, 2]))]
        leaf = rng.choice(list(self.tables["conversions"].days)) if self.mode != "closing" and self.chance(0.2) else ""
        kill = rng.choice(["", "", "", f"cancel {rng.randrange(200)}", f"terminate {rng.randrange(200)}"])
        return Operation("together", writes, "killed" if kill else "", value=kill, parts=parts, leaf=leaf,
                         later=self.later())

    def make_reattribute(self):
        times = sorted([self.time(), self.time()])
        return Operation("reattribute", rule=self.some_rule(), times=tuple(time_text(t) for t in times),
                         later=self.later())

    def make_reconcile(self):
        return Operation("reconcile", rule=self.some_rule())

    def make_checkpoint(self):
        return Operation("checkpoint", rule=self.some_rule(), later=self.later())

    def make_setting(self):
        return Operation("setting", value=self.rng.choice([
            "batch_size = 1", "batch_size = 7", "batch_size = 10000", "work_mem = '64kB'", "work_mem = '64MB'"]))

    def make_version(self):
        """A setting of a rule is changed, and the new version activated."""
        rng = self.rng
        n = self.some_rule()
        rule = self.rules[n]
        key, columns = rng.choice(INSTALLATION_KEYS)
        changes = [("path", rng.choice(["first_match", "all"])), ("model", rng.choice(["last_touch", "first_touch"])),
                   ("window", rng.choice(["1 day", "0", "12 hours"])), ("value", self.chance(0.5)),
                   ("carry", rng.sample(CARRIED, rng.choice([0, 1, 2, 3]))), ("installation_key", (key, columns)),
                   ("lookback", (rng.choice(rule.tiers).name, rng.choice(["1 day", "1 hour", "7 days"]))),
                   ("without", rng.choice(rule.tiers).name)]
        if self.mode != "closing":
            changes.append(("filter", self.filter("conversion")))
        change = dict(rng.sample(changes, rng.choice([1, 1, 2])))
        return Operation("version", rule=n, change=change, later=self.later())

    def make_truncate(self):
        operation = self.ddl("truncate", ["", "", "", "rollback"])
        operation.writes = [self.write() for _ in range(self.rng.choice([0, 0, 1, 2]))]
        return operation

    def make_rewrite(self):
        return self.ddl("rewrite", [""])

    def make_partition(self):
        return self.ddl("partition", ["", "", "", "drop", "rollback"])

    def make_offline(self):
        """Writes that a partition takes while it is detached."""
        rng = self.rng
        operation = self.ddl("offline", ["", "", "copy"])
        table = self.tables[operation.table]
        rows = self.touches[table.name] if table.is_touch else self.conversions
        since = self.day + (table.days[operation.leaf][1] - 1) * DAY
        within = [row for row in rows
                  if row[table.time] not in (None, INFINITY) and since <= row[table.time] < since + DAY]
        for _ in range(rng.choice([1, 2, 3])):
            row = self.touch(table.name) if table.is_touch else self.conversion()
            if self.chance(0.4) or not within:
                row[table.time] = since + rng.choice([0, HOUR, rng.randrange(DAY), DAY - 1])
                operation.writes.append(Write("insert", table.name, [self.texts(row)],
                                              rng.choice(["leaf", "copy leaf"])))
            elif some := rng.choice(within)[table.id]:
                column = rng.choice([c for c in row if c not in (table.id, table.time)] + [table.id] * 2)
                operation.writes.append(Write(rng.choice(["update", "update", "delete", "one"]), table.name, id=some,
                                              set={column: row[column]}))
        return operation

    def ddl(self, kind, endings):
        """Of the conversion table not if what is found in it late would close at once."""
        table = "conversions" if self.mode != "closing" and self.chance(0.7) else self.touch_table()
        leaves = list(self.tables[table].days)
        if kind in ("truncate", "rewrite"):
            leaves.append("default")
        return Operation(kind, table=table, leaf=self.rng.choice(leaves), ending=self.rng.choice(endings))

    def some_rule(self):
        return self.rng.randrange(len(self.rules))

    def later(self):
        return self.rng.choice([0, 0, SECOND, 10 * SECOND, 61 * SECOND, 11 * MINUTE, HOUR, 2 * HOUR])
