"""The oracle: what semantics says of a rule over given rows, as plain SQL, slow and obviously right.

For a rule it writes SQL that makes these temporary tables:

    oracle_conversion   the rows that are conversions: each id once
    oracle_pair         each conversion with each touch row whose match columns equal its own, tier by tier,
                        and every ground on which the pair is not eligible
    oracle_touchpoint   what touchpoints() is to return, and the number of each one's tier
    oracle_decision     what attribute() is to return

How the contract is read where it leaves a choice:

* A touch with a NULL id or a NULL time is no touch; a conversion with a NULL id or time is no conversion.
* A touch's time is that of the tier's time column: where two tiers read a row with two times it is two touches.
* A touch at infinity is never eligible, and neither a tier's predicate nor a duration is computed of it.
* Text form, for the empty values and for ordering rows, is what the type's output function prints under
  TimeZone UTC and DateStyle ISO. (An inet's cast to text would add "/32".) A value is empty if its text form is, byte
  for byte, in the rule's list, whatever its type.
* Keys are equal by the type's `=`, under the columns' collation; where the two sides have different ones, both
  deterministic, equal means the same bytes.
* A filter or predicate that is NULL is false.
* Rows of one relation that have equal id and time and are eligible for the conversion are one touch, at its strongest
  tier. Which of them is kept can't be seen in a decision, which names an id, a time and a tier.
* Rows that pass the rule's filter and have the same conversion id are one conversion: the earliest in time, whether
  or not it lies in [since, until). If that is a tie: the least by the text of the rule's columns, C collation, NULL
  last; the columns are, tier by tier, those of conversion_match and then conversion_conflict, each at its first
  appearance, and then those in predicates. An override makes another rule: a tier left out takes its columns along.
* touchpoints() counts a touch's position from the path's oldest; attribute() counts credits.
* These rules say nothing of channels: they are the tiers' names.
"""

import re

from family import literal, quote

EMPTY_TABLES = """
CREATE TEMP TABLE {prefix}_touchpoint (
    conversion_id text COLLATE "C", conversion_time timestamptz, tier text COLLATE "C", touch_position int,
    path_length int, touch_id text COLLATE "C", touch_time timestamptz, credit float8, tier_number int);
CREATE TEMP TABLE {prefix}_decision (
    conversion_id text COLLATE "C", conversion_time timestamptz, outcome text COLLATE "C", tier text COLLATE "C",
    touch_id text COLLATE "C", touch_time timestamptz, credit_position int, credit float8);
CREATE TEMP TABLE {prefix}_path (
    conversion_id text COLLATE "C", conversion_time timestamptz, path text[] COLLATE "C", touch_ids text[] COLLATE "C",
    touch_times timestamptz[], credits float8[]);
"""

DROP_TABLES = "DROP TABLE oracle_conversion, oracle_pair, oracle_touchpoint, oracle_decision, oracle_path;\n"

# What a model gives the i-th of n touches of a path, up to a factor; x, y: its settings; `here`: the touches of the path.
WEIGHTS = {
    "last_touch": "(i = n)::int",
    "first_touch": "(i = 1)::int",
    "last_non_direct": "(i = coalesce(max(i) FILTER (WHERE tier <> '{x}') OVER here, n))::int",
    "linear": "1",
    "linear_distinct": "1.0 / count(*) OVER (PARTITION BY conversion_id, in_path, tier)",
    "position_based": "CASE WHEN n = 1 THEN 1 WHEN n = 2 THEN CASE i WHEN 1 THEN {x} ELSE {y} END + (1 - {x} - {y}) / 2"
                      " WHEN i = 1 THEN {x} WHEN i = n THEN {y} ELSE (1 - {x} - {y}) / (n - 2) END",
    "time_decay": "power(2::float8, -extract(epoch FROM max(touch_time) OVER here - touch_time) / extract(epoch FROM interval '{x}'))",
    "w_shaped": "0.3 * ((i = 1)::int + (i = n)::int + coalesce(i = min(i) FILTER (WHERE tier = '{x}') OVER here, false)::int)"
                " + CASE WHEN i IN (1, n) OR coalesce(i = min(i) FILTER (WHERE tier = '{x}') OVER here, false) THEN 0"
                " ELSE 0.1 / (n - 2 - coalesce(min(i) FILTER (WHERE tier = '{x}') OVER here NOT IN (1, n), false)::int) END",
}


class Oracle:
    """The SQL of the oracle for one rule, whose relations lie in `schema`.

    path, model, lookback (tier name -> interval) and without_tiers change the rule, as overrides do.
    """

    def __init__(self, rule, schema, path=None, model=None, lookback=None, without_tiers=()):
        self.rule = rule
        self.schema = schema
        self.path = path or rule.path
        self.model = model or rule.model
        self.lookback = lookback or {}
        self.tiers = [(n, tier) for n, tier in enumerate(rule.tiers, 1) if tier.name not in without_tiers]

    def sql(self):
        """All of it; leaves the session's time zone at UTC."""
        pairs = "\nUNION ALL\n".join(self.pairs(n, tier) for n, tier in self.tiers)
        return ("SET TimeZone = 'UTC';\n" + self.conversions() + "\nCREATE TEMP TABLE oracle_pair AS" + pairs
                + ";\nANALYZE oracle_pair;\n" + EMPTY_TABLES.format(prefix="oracle")
                + self.touchpoints() + self.decisions() + self.paths())

    def table(self, relation):
        return f"{quote(self.schema)}.{quote(relation.name)}"

    def conversions(self):
        relation = self.rule.conversions
        id_, time = column("conversion", relation, "id"), column("conversion", relation, "time")
        order = "".join(f", worlds.shown({column('conversion', relation, role)}) COLLATE \"C\" NULLS LAST"
                        for role in self.rule_columns())
        return f"""
-- Rule 7, identity: the same id is one conversion, the earliest.
CREATE TEMP TABLE oracle_conversion AS
SELECT DISTINCT ON ({_sortable(relation, id_)}) conversion.*
FROM {self.table(relation)} AS conversion
WHERE ({self.rule.filter or 'true'}) AND {id_} IS NOT NULL AND {time} IS NOT NULL
ORDER BY {_sortable(relation, id_)}, {time}{order};
ANALYZE oracle_conversion;
"""

    def rule_columns(self):
        roles = [role for _, tier in self.tiers for role in tier.conversion_match + tier.conflict]
        roles += [role for _, tier in self.tiers for role in tier.predicate_columns]
        return dict.fromkeys(roles)

    def pairs(self, number, tier):
        rule = self.rule
        touch = {role: column("touch", tier.relation, role) for role in tier.relation.columns}
        touch["time"] = touch[tier.time]
        conversion = {role: column("conversion", rule.conversions, role) for role in rule.conversions.columns}
        empty = f"ARRAY[{', '.join(literal(value) for value in rule.empty_values())}]::text[]"
        lookback = f"interval {literal(self.lookback.get(tier.name, tier.lookback))}"
        if tier.own_lookback:
            lookback = f"least({lookback}, {touch['own']})"        # least() passes over NULL

        def equal(role, conversion_role):
            collation = rule.keys[role].collation
            return f"({touch[role]} {collation} = {conversion[conversion_role]} {collation})"

        def is_empty(expression):
            return f"worlds.is_empty({expression}, {empty})"

        pairs_of_keys = list(zip(tier.match, tier.conversion_match))
        matches = " AND ".join(equal(*pair) for pair in pairs_of_keys)
        empty_key = " OR ".join(is_empty(side) for t, c in pairs_of_keys for side in (touch[t], conversion[c]))
        conflict = " OR ".join(
            f"(NOT {is_empty(touch[role])} AND NOT {is_empty(conversion[role])} AND NOT {equal(role, role)})"
            for role in tier.conflict) or "false"
        after = (f"{touch['time']} >= {conversion['time']}" if tier.strict else
                 f"{touch['time']} - {conversion['time']} > interval {literal(tier.skew)}")
        id_ = _sortable(tier.relation, touch["id"])
        return f"""
-- Rule 1, eligible: tier {number}.
SELECT {number} AS tier_number, {literal(tier.name)} COLLATE "C" AS tier,
    {literal(tier.relation.name)} COLLATE "C" AS relation,
    {conversion['id']}::text COLLATE "C" AS conversion_id, {conversion['time']} AS conversion_time,
    {touch['id']}::text COLLATE "C" AS touch_id, {touch['time']} AS touch_time,
    dense_rank() OVER (ORDER BY {id_}) AS touch_rank,
    NOT touch.oracle_passes AS filtered,
    {empty_key} AS empty_key,
    {conflict} AS conflict,
    CASE WHEN isfinite({touch['time']}) THEN {after}
         ELSE {touch['time']} > {conversion['time']} END AS after_conversion,
    CASE WHEN isfinite({touch['time']}) THEN {conversion['time']} - {touch['time']} > {lookback}
         ELSE {touch['time']} < {conversion['time']} END AS outside_window,
    CASE WHEN isfinite({touch['time']}) THEN NOT coalesce(({tier.predicate or 'true'}), false)
         ELSE false END AS predicate
FROM oracle_conversion AS conversion
JOIN (SELECT touch.*, coalesce(({tier.filter or 'true'}), false) AS oracle_passes
      FROM {self.table(tier.relation)} AS touch) AS touch ON {matches}
WHERE {touch['id']} IS NOT NULL AND {touch['time']} IS NOT NULL"""

    def touchpoints(self):
        in_path = {"first_match": "tier_number = min(tier_number) OVER (PARTITION BY conversion_id)",
                   "all": "true"}[self.path]
        return f"""
-- Rule 2, path: each touch once, at its strongest tier; those that compete for the credit, in order.
WITH eligible AS (
    SELECT DISTINCT ON (conversion_id, relation, touch_id, touch_time) *
    FROM oracle_pair
    WHERE NOT (filtered OR empty_key OR conflict OR after_conversion OR outside_window OR predicate)
    ORDER BY conversion_id, relation, touch_id, touch_time, tier_number
), path AS (
    SELECT *, {in_path} AS in_path FROM eligible
), placed AS (
    SELECT *,
        CASE WHEN in_path THEN row_number() OVER (
            PARTITION BY conversion_id, in_path ORDER BY touch_time, tier_number DESC, touch_rank) END AS touch_position,
        CASE WHEN in_path THEN count(*) OVER (PARTITION BY conversion_id, in_path) END AS path_length
    FROM path
), weighed AS (
    -- Models.
    SELECT *, CASE WHEN in_path THEN ({self.weight()})::float8 ELSE 0 END AS weight
    FROM (SELECT *, touch_position AS i, path_length AS n FROM placed) AS placed
    WINDOW here AS (PARTITION BY conversion_id, in_path)
)
INSERT INTO oracle_touchpoint
SELECT conversion_id, conversion_time, tier, touch_position, path_length, touch_id, touch_time,
    weight / sum(weight) OVER (PARTITION BY conversion_id), tier_number
FROM weighed;
"""

    def weight(self):
        name, settings = re.fullmatch(r"(\w+)(?:\((.*)\))?", self.model).groups()
        x, _, y = (settings or "").partition(", ")
        return WEIGHTS[name].format(x=x, y=y)

    def decisions(self):
        relation = self.rule.conversions
        return f"""
-- A row a credit; a conversion without a touchpoint is organic.
INSERT INTO oracle_decision
SELECT conversion.id, conversion.time, CASE WHEN touch_id IS NULL THEN 'organic' ELSE 'attributed' END,
    tier, touch_id, touch_time, row_number() OVER (PARTITION BY conversion.id ORDER BY touch_position), coalesce(credit, 1)
FROM (SELECT {column('conversion', relation, 'id')}::text COLLATE "C" AS id,
          {column('conversion', relation, 'time')} AS time
      FROM oracle_conversion AS conversion) AS conversion
LEFT JOIN (SELECT * FROM oracle_touchpoint WHERE credit > 0) AS credited ON credited.conversion_id = conversion.id;
"""

    def paths(self):
        return """
INSERT INTO oracle_path
SELECT conversion_id, conversion_time, coalesce(array_agg(t.tier ORDER BY touch_position) FILTER (WHERE t.touch_position > 0), '{}'),
    coalesce(array_agg(t.touch_id ORDER BY touch_position) FILTER (WHERE t.touch_position > 0), '{}'),
    coalesce(array_agg(t.touch_time ORDER BY touch_position) FILTER (WHERE t.touch_position > 0), '{}'),
    coalesce(array_agg(t.credit ORDER BY touch_position) FILTER (WHERE t.touch_position > 0), '{}')
FROM (SELECT DISTINCT conversion_id, conversion_time FROM oracle_decision) AS conversion
LEFT JOIN oracle_touchpoint AS t USING (conversion_id, conversion_time)
GROUP BY 1, 2;
"""


def column(alias, relation, role):
    return f"{alias}.{quote(relation.columns[role].name)}"


def _sortable(relation, id_):
    """An id in the order of ids: btree order, text under the C collation."""
    type_ = relation.columns["id"].type
    return f'{id_} COLLATE "C"' if "text" in type_ or "varchar" in type_ or "label" in type_ else id_
