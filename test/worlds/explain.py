"""What explain() says, held against the oracle's tables.

Every reason stated must be true of a touch in that tier, and every touchpoint of the oracle must be listed (of a
conversion with fewer than 100 rows: explain lists no more). Which touches are listed besides, that never were
eligible, is explain's own choice.
"""

from family import literal, quote
from oracle import column
from rules import texts

SAMPLE = 30      # conversions


def check(oracle, name, overrides):
    """SQL that prints a line for each untrue statement. `overrides` is the text of the argument."""
    rule = oracle.rule
    id_ = column("conversion", rule.conversions, "id")
    without_key = " UNION ALL ".join(
        f"SELECT {id_}::text COLLATE \"C\" AS conversion_id, {literal(tier.name)} COLLATE \"C\" AS tier"
        f" FROM oracle_conversion AS conversion WHERE " + " OR ".join(
            f"worlds.is_empty({column('conversion', rule.conversions, role)}, {texts(rule.empty_values())})"
            for role in tier.conversion_match)
        for _, tier in oracle.tiers)
    numbers = ", ".join(f"({literal(tier.name)}, {n})" for n, tier in oracle.tiers)
    return f"""
CREATE TEMP TABLE explained (conversion_id text COLLATE "C", tier text COLLATE "C", touch_id text COLLATE "C",
    touch_time timestamptz, reason text COLLATE "C", credit float8);
INSERT INTO explained
SELECT {id_}::text, e.tier, e.touch_id, e.touch_time, e.reason, e.credit
FROM (SELECT * FROM oracle_conversion AS conversion ORDER BY md5({id_}::text) LIMIT {SAMPLE}) AS conversion
CROSS JOIN LATERAL attribution.explain({literal(rule.name)}, {id_}, {overrides}) AS e;

WITH sample AS (
    SELECT DISTINCT conversion_id FROM explained
), winner AS (
    SELECT DISTINCT d.*, t.tier_number
    FROM oracle_decision AS d LEFT JOIN oracle_touchpoint AS t
      ON t.credit > 0 AND t.conversion_id = d.conversion_id
), pair AS (
    SELECT *, NOT (filtered OR empty_key OR conflict OR after_conversion OR outside_window OR predicate) AS eligible
    FROM oracle_pair WHERE conversion_id IN (SELECT conversion_id FROM sample)
), fact AS (       -- of the rows of a touch: whether any is eligible, filtered ..
    SELECT conversion_id, tier, touch_id, touch_time, count(*) AS rows, bool_or(eligible) AS eligible,
        bool_or(filtered) AS filtered, bool_or(empty_key) AS empty_key, bool_or(conflict) AS conflict,
        bool_or(after_conversion) AS after_conversion, bool_or(outside_window) AS outside_window,
        bool_or(predicate) AS predicate
    FROM pair GROUP BY 1, 2, 3, 4
), tier_number (tier, tier_number) AS (VALUES {numbers}
), without_key AS ({without_key}
), repeated AS (
    SELECT {id_}::text COLLATE "C" AS conversion_id FROM {oracle.table(rule.conversions)} AS conversion
    WHERE ({rule.filter or 'true'}) AND {column("conversion", rule.conversions, "time")} IS NOT NULL
    GROUP BY 1 HAVING count(*) > 1
), rejected AS (      -- ids of rows that are no conversions: for the rule's filter, or for want of a time
    SELECT {id_}::text COLLATE "C" AS conversion_id FROM {oracle.table(rule.conversions)} AS conversion
    WHERE ({rule.filter or 'true'}) IS NOT TRUE OR {column("conversion", rule.conversions, "time")} IS NULL
), said AS (
    SELECT e.*, CASE e.reason
        WHEN 'won' THEN f.eligible AND e.credit = 1
            AND (e.tier, e.touch_id, e.touch_time) = (w.tier, w.touch_id, w.touch_time)
        WHEN 'later_touch' THEN f.eligible AND '{oracle.model}' = 'last_touch' AND w.touch_time > e.touch_time
            AND ('{oracle.path}' = 'all' OR n.tier_number = w.tier_number)
        WHEN 'earlier_touch' THEN f.eligible AND '{oracle.model}' = 'first_touch' AND w.touch_time < e.touch_time
            AND ('{oracle.path}' = 'all' OR n.tier_number = w.tier_number)
        WHEN 'tie' THEN f.eligible AND w.touch_time = e.touch_time
            AND ('{oracle.path}' = 'all' OR n.tier_number = w.tier_number)
        WHEN 'stronger_tier' THEN f.eligible AND (
            n.tier_number > w.tier_number AND ('{oracle.path}' = 'first_match' OR w.touch_time = e.touch_time)
            OR EXISTS (SELECT FROM oracle_touchpoint AS t WHERE (t.conversion_id, t.touch_id, t.touch_time)
                           = (e.conversion_id, e.touch_id, e.touch_time) AND t.tier_number < n.tier_number))
        WHEN 'duplicate' THEN f.rows > 1 OR f.eligible AND EXISTS (
            SELECT FROM oracle_touchpoint AS t WHERE (t.conversion_id, t.touch_id, t.touch_time)
                = (e.conversion_id, e.touch_id, e.touch_time) AND t.tier_number < n.tier_number)
        WHEN 'filtered' THEN CASE WHEN e.touch_id IS NULL
            THEN e.conversion_id IN (SELECT conversion_id FROM rejected) ELSE f.filtered END
        WHEN 'conflict' THEN f.conflict
        WHEN 'predicate' THEN f.predicate
        WHEN 'after_conversion' THEN f.after_conversion
        WHEN 'outside_window' THEN f.outside_window
        WHEN 'empty_key' THEN CASE WHEN e.touch_id IS NULL
            THEN (e.conversion_id, e.tier) IN (SELECT conversion_id, tier FROM without_key) ELSE f.empty_key END
        WHEN 'no_match' THEN e.touch_id IS NULL AND n.tier_number IS NOT NULL AND NOT EXISTS (
            SELECT FROM fact WHERE fact.eligible AND (fact.conversion_id, fact.tier) = (e.conversion_id, e.tier))
        WHEN 'duplicate_conversion' THEN e.conversion_id IN (SELECT conversion_id FROM repeated)
        ELSE false END AS holds
    FROM explained AS e
    JOIN winner AS w ON w.conversion_id = e.conversion_id
    LEFT JOIN tier_number AS n ON n.tier = e.tier
    LEFT JOIN fact AS f ON (f.conversion_id, f.tier, f.touch_id, f.touch_time)
                         = (e.conversion_id, e.tier, e.touch_id, e.touch_time)
), untrue AS (
    SELECT 'not so' AS what, conversion_id, tier, touch_id, touch_time, reason
    FROM said WHERE NOT coalesce(holds, false)
    UNION ALL
    SELECT 'not listed as eligible', conversion_id, tier, touch_id, touch_time, NULL FROM oracle_touchpoint AS t
    WHERE conversion_id IN (SELECT conversion_id FROM explained GROUP BY 1 HAVING count(*) < 100) AND NOT EXISTS (
        SELECT FROM explained AS e
        WHERE (e.conversion_id, e.tier, e.touch_id, e.touch_time) = (t.conversion_id, t.tier, t.touch_id, t.touch_time)
          AND e.reason IN ('won', 'later_touch', 'earlier_touch', 'tie', 'stronger_tier'))
    UNION ALL
    SELECT 'not exactly one winner', w.conversion_id, w.tier, w.touch_id, w.touch_time, NULL
    FROM winner AS w JOIN sample USING (conversion_id)
    WHERE (SELECT count(*) FROM explained AS e WHERE e.conversion_id = w.conversion_id AND e.reason = 'won')
          <> CASE w.outcome WHEN 'attributed' THEN 1 ELSE 0 END
    UNION ALL
    SELECT 'duplicates not told', conversion_id, NULL, NULL, NULL, NULL FROM repeated JOIN sample USING (conversion_id)
    WHERE NOT EXISTS (SELECT FROM explained AS e
                      WHERE e.conversion_id = repeated.conversion_id AND e.reason = 'duplicate_conversion')
    UNION ALL
    SELECT 'nothing said', {id_}::text, NULL, NULL, NULL, NULL
    FROM (SELECT * FROM oracle_conversion AS conversion ORDER BY md5({id_}::text) LIMIT {SAMPLE}) AS conversion
    WHERE {id_}::text COLLATE "C" NOT IN (SELECT conversion_id FROM sample)
)
SELECT 'diff|{name}|' || untrue::text FROM untrue LIMIT 12;
SELECT 'done|{name}|' || count(*) FROM explained;
DROP TABLE explained;
"""
