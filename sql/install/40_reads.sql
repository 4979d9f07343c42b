-- Reading: what the answer is, by which touchpoints, and why. Nothing is stored.
-- Each function checks that the caller may SELECT what the rule reads, then runs as the rule's owner.

CREATE FUNCTION attribution.attribute(rule text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity',
  overrides jsonb DEFAULT '{}')
RETURNS TABLE (conversion_id text, conversion_time timestamptz, outcome text, kind text, tier text, touch_id text,
  touch_time timestamptz, credit_position integer, credit float8)
LANGUAGE c STABLE ROWS 10000 COST 100000 AS 'MODULE_PATHNAME', 'attribution_attribute';
COMMENT ON FUNCTION attribution.attribute(text, timestamptz, timestamptz, jsonb) IS
'Attributes the conversions of a rule with since <= time < until: one row a credit, so one a conversion for first and last
touch. outcome: attributed, or organic with no touchpoint and credit 1. kind: new or reinstall, for rules with an
installation key. overrides, for what-if: {"path": "all",
"model": "first_touch", "lookback": {"tier": "1 day"}, "without_tiers": ["tier"], "version": 2}. Ids come as text;
<rule>_attribute() gives them their own types.';

CREATE FUNCTION attribution.touchpoints(rule text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity',
  overrides jsonb DEFAULT '{}')
RETURNS TABLE (conversion_id text, conversion_time timestamptz, tier text, touch_position integer, path_length integer,
  touch_id text, touch_time timestamptz, credit float8)
LANGUAGE c STABLE ROWS 100000 COST 100000 AS 'MODULE_PATHNAME', 'attribution_touchpoints';
COMMENT ON FUNCTION attribution.touchpoints(text, timestamptz, timestamptz, jsonb) IS
'Every eligible touchpoint of the conversions with since <= time < until, once, at its strongest tier: touch_position 1 is the
oldest of the path. Eligible ones that are not in the path (of weaker tiers) have no position and credit 0.';

CREATE FUNCTION attribution.explain(rule text, conversion_id "any", overrides jsonb DEFAULT '{}')
RETURNS TABLE (tier text, touch_id text, touch_time timestamptz, reason text, verdict text, credit float8, found_by text)
LANGUAGE c STABLE ROWS 20 COST 10000 AS 'MODULE_PATHNAME', 'attribution_explain';
COMMENT ON FUNCTION attribution.explain(text, "any", jsonb) IS
'Why a conversion was decided as it was: its candidates and near misses within twice the lookback (at most 100), each with a
stable reason (won, later_touch, earlier_touch, stronger_tier, tie, duplicate, outside_window, after_conversion, empty_key,
conflict, filtered, predicate) and a verdict in words; a row without a touchpoint for a tier that has none (no_match,
empty_key, beyond_horizon). found_by: touch index or SQL, by which the tier''s eligible touchpoints were found; null if it was not
asked. Raises no_data_found for an id that no row has.';

-- The same for a rule's typed functions: a record whose ids have the types that the caller lists.
CREATE FUNCTION attribution._attribute(rule text, since timestamptz, until timestamptz, overrides jsonb)
RETURNS SETOF record LANGUAGE c STABLE ROWS 10000 COST 100000 AS 'MODULE_PATHNAME', 'attribution_attribute';
COMMENT ON FUNCTION attribution._attribute(text, timestamptz, timestamptz, jsonb) IS 'attribute() with ids of their own types, for a column definition list.';
CREATE FUNCTION attribution._touchpoints(rule text, since timestamptz, until timestamptz, overrides jsonb)
RETURNS SETOF record LANGUAGE c STABLE ROWS 100000 COST 100000 AS 'MODULE_PATHNAME', 'attribution_touchpoints';
COMMENT ON FUNCTION attribution._touchpoints(text, timestamptz, timestamptz, jsonb) IS 'touchpoints() with ids of their own types, for a column definition list.';
CREATE FUNCTION attribution._explain(rule text, conversion_id "any", overrides jsonb)
RETURNS SETOF record LANGUAGE c STABLE ROWS 20 COST 10000 AS 'MODULE_PATHNAME', 'attribution_explain';
COMMENT ON FUNCTION attribution._explain(text, "any", jsonb) IS 'explain() with ids of their own types, for a column definition list.';
