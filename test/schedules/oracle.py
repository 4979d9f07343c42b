"""The oracle: the decisions that a rule's final data calls for, as plain SQL, slow and obviously right.

It makes these temporary tables, for one rule:

    oracle_conversion   the conversions, each id once, with the key of its installation (NULL: no key)
    oracle_kind         which of them are new, and which reinstalls
    oracle_path         the touchpoints of each that compete for the credit, in order
    oracle_decision     a row for each header and credit

How the contract is read where it leaves a choice: as in test/worlds/oracle.py, and

* The columns that settle a tie of a conversion's rows: tier by tier those of the match, then of the conflict, each at
  its first appearance; then those in predicates; then the value's; then those in the installation key's expressions.
* The columns that settle a tie of a touch's rows, among those that are eligible in its strongest tier: match, conflict,
  the lookback's, those in the predicate, those carried.
* An installation key is empty if any part of it is NULL or, by its text, one of the rule's empty values.
* The kind is NULL for a rule without an installation key.
"""

from schedule import CONVERSION_NAMES, literal, quote

TABLES = ["oracle_conversion", "oracle_kind", "oracle_path", "oracle_decision"]
DROP_TABLES = f"DROP TABLE IF EXISTS {', '.join(TABLES)};\n"
CARRIED = ["network", "campaign", "cost"]


def sql(schedule, rule):
    """SQL that makes the tables; TimeZone and DateStyle are at UTC and ISO."""
    pairs = "\nUNION ALL".join(_pairs(schedule, rule, n, tier) for n, tier in enumerate(rule.tiers, 1))
    return DROP_TABLES + conversions(schedule, rule) + _kinds(rule) + _paths(rule, pairs) + _decisions(rule)


def text(expression):
    return f'({expression})::text COLLATE "C"'


def empty(rule, expression):
    values = ", ".join(literal(value) for value in rule.empty_values())
    return f"({expression} IS NULL OR {text(expression)} = ANY (ARRAY[{values}]::text[]))"


def texts(expressions):
    """A value that sorts by the text of each, under the C collation, NULL last."""
    return f"ARRAY[{', '.join(text(e) for e in expressions)}]::text[] COLLATE \"C\""


def sortable(table, alias):
    """An id in the order of ids."""
    collation = ' COLLATE "C"' if table.id_type == "text" else ""
    return f"{alias}.{table.id}{collation}"


def conversions(schedule, rule):
    roles = [CONVERSION_NAMES.get(c, c) for tier in rule.tiers for c in tier.match + tier.conflict]
    roles += [c.split(".")[1] for tier in rule.tiers for c in tier.predicate_columns if c.startswith("conversion.")]
    roles += (["amount"] if rule.value else []) + rule.key_columns
    id_ = sortable(schedule.conversions, "conversion")
    keys = "NULL::text[]"
    if rule.installation_key:
        parts = ", ".join(f"({e})::text" for e in rule.installation_key)
        any_empty = " OR ".join(empty(rule, f"({e})") for e in rule.installation_key)
        keys = f"CASE WHEN NOT ({any_empty}) THEN ARRAY[{parts}] END"
    return f"""
-- Rule 7, identity: the same id is one conversion, the earliest; ties go by the text of the rule's columns.
CREATE TEMP TABLE oracle_conversion AS
SELECT DISTINCT ON ({id_}) conversion.*, dense_rank() OVER (ORDER BY {id_}) AS id_rank, {keys} AS key
FROM {quote(schedule.schema)}.conversions AS conversion
WHERE ({rule.filter or 'true'}) AND conversion_id IS NOT NULL AND happened_at IS NOT NULL
ORDER BY {id_}, happened_at, {texts(f"conversion.{c}" for c in dict.fromkeys(roles))};
"""


def _kinds(rule):
    return f"""
-- Rule 6: new if none of the key is before it, or more than the window after the last new one.
CREATE TEMP TABLE oracle_kind AS
WITH RECURSIVE placed AS (
    SELECT conversion_id, happened_at, key, row_number() OVER (PARTITION BY key ORDER BY happened_at, id_rank) AS n
    FROM oracle_conversion WHERE key IS NOT NULL
), fold AS (
    SELECT conversion_id, key, n, 'new' AS kind, happened_at AS last_new FROM placed WHERE n = 1
    UNION ALL
    SELECT placed.conversion_id, key, placed.n, said.kind,
        CASE said.kind WHEN 'new' THEN placed.happened_at ELSE fold.last_new END
    FROM fold JOIN placed USING (key)
    -- No interval reaches as far as some are apart, and extract(epoch ..) of the last years of all loses microseconds.
    CROSS JOIN LATERAL (SELECT placed.happened_at AT TIME ZONE 'UTC' AS this, fold.last_new AT TIME ZONE 'UTC' AS last) AS utc
    CROSS JOIN LATERAL (SELECT CASE WHEN (this::date - last::date) * 86400::numeric + extract(epoch FROM this::time) - extract(epoch FROM last::time)
                                         > extract(epoch FROM interval {literal(rule.window)})
                                    THEN 'new' ELSE 'reinstall' END AS kind) AS said
    WHERE placed.n = fold.n + 1
)
SELECT conversion_id, kind FROM fold
UNION ALL SELECT conversion_id, {"'new'" if rule.installation_key else "NULL"} FROM oracle_conversion WHERE key IS NULL;
"""


def _pairs(schedule, rule, number, tier):
    table = schedule.tables[tier.table]
    matched = [(f"touch.{c}", f"conversion.{CONVERSION_NAMES.get(c, c)}") for c in tier.match]
    conflicting = [(f"touch.{c}", f"conversion.{CONVERSION_NAMES.get(c, c)}") for c in tier.conflict]
    conditions = [f"{t} = {c} AND NOT {empty(rule, t)} AND NOT {empty(rule, c)}" for t, c in matched]
    conditions += [f"({t} = {c} OR {empty(rule, t)} OR {empty(rule, c)})" for t, c in conflicting]
    # A touch at infinity is never eligible, and no duration is computed of it.
    finite = "CASE WHEN isfinite(touch.touched_at) THEN {} ELSE false END"
    lookback = f"interval {literal(tier.lookback)}"
    if tier.own_lookback:
        lookback = f"least({lookback}, touch.reach)"
    conditions += [
        finite.format(f"touch.touched_at < conversion.happened_at" if tier.strict else
                      f"touch.touched_at - conversion.happened_at <= interval {literal(tier.skew)}"),
        finite.format(f"conversion.happened_at - touch.touched_at <= {lookback}")]
    if tier.predicate:
        conditions.append(finite.format(f"({tier.predicate})"))
    settling = [t for t, _ in matched + conflicting] + (["touch.reach"] if tier.own_lookback else [])
    settling += [c for c in tier.predicate_columns if c.startswith("touch.")] + [f"touch.{c}" for c in rule.carry]
    carried = ", ".join(f"touch.{c}" if c in rule.carry else f"NULL::{'numeric' if c == 'cost' else 'text'} AS {c}"
                        for c in CARRIED)
    return f"""
-- Rule 1, eligible: tier {number}.
SELECT {number} AS tier_number, {literal(tier.name)} AS tier, {literal(tier.table)} AS relation,
    conversion.conversion_id, touch.touch_id, touch.touched_at,
    dense_rank() OVER (ORDER BY {sortable(table, 'touch')}) AS touch_rank,
    {texts(dict.fromkeys(settling))} AS settling, {carried}
FROM oracle_conversion AS conversion
CROSS JOIN (SELECT touch.* FROM {quote(schedule.schema)}.{table.name} AS touch
            WHERE ({tier.filter or 'true'}) AND touch_id IS NOT NULL AND touched_at IS NOT NULL) AS touch
WHERE {' AND '.join(conditions)}"""


def _paths(rule, pairs):
    in_path = {"first_match": "(conversion_id, tier_number) IN (SELECT conversion_id, min(tier_number) FROM touchpoint"
                              " GROUP BY conversion_id)", "all": "true"}[rule.path]
    return f"""
CREATE TEMP TABLE oracle_path AS
WITH eligible AS ({pairs}
), touchpoint AS (
    -- Each touch once, at its strongest tier; of its rows there the least.
    SELECT DISTINCT ON (conversion_id, relation, touch_id, touched_at) *
    FROM eligible
    ORDER BY conversion_id, relation, touch_id, touched_at, tier_number, settling
)
-- Rule 2, path: those that compete, ordered by time, the weakest tier first, and id.
SELECT *, row_number() OVER (PARTITION BY conversion_id ORDER BY touched_at, tier_number DESC, touch_rank) AS position,
    count(*) OVER (PARTITION BY conversion_id) AS length
FROM touchpoint WHERE {in_path};
"""


def _decisions(rule):
    place = {"last_touch": "path.length", "first_touch": "1"}[rule.model]
    return f"""
-- Rules 3 and 4: the last or the first has all the credit; without a touchpoint it is organic.
CREATE TEMP TABLE oracle_decision AS
SELECT conversion.conversion_id::text COLLATE "C" AS conversion_id, happened_at AS conversion_time,
    CASE WHEN path.touch_id IS NULL THEN 'organic' ELSE 'attributed' END AS outcome, kind.kind,
    path.tier, {'amount::text' if rule.value else 'NULL'} AS value, 1 AS credit_position,
    path.tier AS credit_tier, path.touch_id::text COLLATE "C" AS touch_id, path.touched_at AS touch_time,
    1::float8 AS credit, {', '.join(f'path.{c}' for c in CARRIED)}, conversion.key
FROM oracle_conversion AS conversion
JOIN oracle_kind AS kind USING (conversion_id)
LEFT JOIN oracle_path AS path ON path.conversion_id = conversion.conversion_id AND path.position = {place};
"""
