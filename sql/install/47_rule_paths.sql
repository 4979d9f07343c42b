-- Whole paths of a rule, and models beside each other. Each function that reads checks the caller's rights, then runs as the rule's owner.

CREATE FUNCTION attribution.transform_path(path text[], transforms text[]) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'attribution_transform_path';
COMMENT ON FUNCTION attribution.transform_path(text[], text[]) IS
'A path after transforms, one after the other: unique (as it is), exposure (of each run of a channel the first), first (of each
channel the first), frequency (the same, with its number: mail(3)), remove_if_not_all(channel), remove_if_last_and_not_all(channel)
(without a channel, anywhere or at the end, unless there is no other), trim_long(steps) (the newest).';
CREATE FUNCTION attribution.path_places(path text[], transforms text[]) RETURNS integer[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'attribution_path_places';
COMMENT ON FUNCTION attribution.path_places(text[], text[]) IS
'The places that transform_path() keeps, from 1: by them touchpoints are found again.';

CREATE FUNCTION attribution.share(value numeric, credits float8[]) RETURNS numeric[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
  -- In units of the last digit, all of it exactly: whole units, what dividing leaves of each, and how many units that makes in all.
  WITH part AS (
    SELECT k, c::numeric AS credit, nullif(sum(c::numeric) OVER (), 0) AS total, unit, div(value, unit) AS units
      FROM unnest(credits) WITH ORDINALITY AS u(c, k), (SELECT ('1e-' || scale(value))::numeric) AS last_digit(unit)
  ), quota AS (
    SELECT k, unit, units, div(units * credit, total) AS low, mod(units * credit, total) AS rest FROM part
  ), placed AS (
    SELECT k, unit, low, abs(units - sum(low) OVER ()) AS missing, row_number() OVER (ORDER BY abs(rest) DESC NULLS LAST, k) AS place FROM quota
  )
  SELECT coalesce(array_agg(unit * (low + CASE WHEN place <= missing THEN sign(value) ELSE 0 END) ORDER BY k), '{}') FROM placed
$$;
COMMENT ON FUNCTION attribution.share(numeric, float8[]) IS
'Shares a value in proportion to credits: in the value''s own scale, and to exactly the value. What truncating leaves over goes to the
largest remainders, of equal ones to the first. Nulls, if the value is no finite number or the credits sum to 0.';

CREATE FUNCTION attribution.conversion_paths(rule text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity',
  overrides jsonb DEFAULT '{}')
RETURNS TABLE (conversion_id text, conversion_time timestamptz, value numeric, path text[], touch_ids text[],
  touch_times timestamptz[], credits float8[])
LANGUAGE c STABLE ROWS 10000 COST 100000 AS 'MODULE_PATHNAME', 'attribution_conversion_paths';
COMMENT ON FUNCTION attribution.conversion_paths(text, timestamptz, timestamptz, jsonb) IS
'The whole path of each conversion with since <= time < until, oldest touchpoint first: channels (what the rule says, or else tiers),
ids, times, and the credits by the rule''s model. Empty arrays: organic.';

CREATE FUNCTION attribution.null_paths(rule text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity',
  overrides jsonb DEFAULT '{}')
RETURNS TABLE (path text[], touch_ids text[], touch_times timestamptz[])
LANGUAGE c STABLE ROWS 10000 COST 100000 AS 'MODULE_PATHNAME', 'attribution_null_paths';
COMMENT ON FUNCTION attribution.null_paths(text, timestamptz, timestamptz, jsonb) IS
'The paths that led to no conversion: of each key of the rule''s strongest tier that has touchpoints but no conversion with since <=
time < until, the touchpoints within the lookback of the last.';

CREATE FUNCTION attribution._with_channel(overrides jsonb, channel name) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN channel IS NULL THEN overrides ELSE overrides || jsonb_build_object('channel', channel) END
$$;
COMMENT ON FUNCTION attribution._with_channel(jsonb, name) IS 'Overrides with a channel, if there is one.';

CREATE FUNCTION attribution.paths(rule text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity',
  transforms text[] DEFAULT '{}', overrides jsonb DEFAULT '{}', channel name DEFAULT NULL)
RETURNS TABLE (path text[], conversions float8, value float8, nulls float8)
LANGUAGE sql STABLE ROWS 1000 COST 200000 SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.path, sum(p.conversions)::float8, coalesce(sum(p.value), 0)::float8, sum(p.nulls)::float8
    FROM (SELECT attribution.transform_path(c.path, transforms) AS path, 1 AS conversions, c.value, 0 AS nulls
            FROM attribution.conversion_paths(rule, since, until, attribution._with_channel(overrides, channel)) AS c
          UNION ALL
          SELECT attribution.transform_path(n.path, transforms), 0, NULL, 1
            FROM attribution.null_paths(rule, since, until, attribution._with_channel(overrides, channel)) AS n) AS p
   GROUP BY p.path ORDER BY 2 DESC, 4 DESC, 1
$$;
COMMENT ON FUNCTION attribution.paths(text, timestamptz, timestamptz, text[], jsonb, name) IS
'The paths of a rule, counted: converting ones with what they are worth, and those without a conversion; the commonest first. This is
what markov(), shapley() and the others take. transforms: see transform_path(). channel: a column of the touchpoints, instead of
what the rule says.';

CREATE FUNCTION attribution.compare_models(rule text, since timestamptz, until timestamptz, models text[], overrides jsonb DEFAULT '{}')
RETURNS TABLE (model text, channel text, conversions float8, value float8)
LANGUAGE c STABLE ROWS 100 COST 100000 AS 'MODULE_PATHNAME', 'attribution_compare_models';
COMMENT ON FUNCTION attribution.compare_models(text, timestamptz, timestamptz, text[], jsonb) IS
'What each of some models gives each channel for the conversions of a rule with since <= time < until, in one pass over the data.
Channels are what the rule says, or else tiers; null: organic. Models are written as create_rule() takes them.';

CREATE FUNCTION attribution.markov_of(rule text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity',
  "order" integer DEFAULT 1, transforms text[] DEFAULT '{}', overrides jsonb DEFAULT '{}')
RETURNS SETOF attribution.markov_credit
LANGUAGE sql STABLE ROWS 100 COST 200000 SET search_path = pg_catalog, pg_temp AS $$
  SELECT credit.* FROM (SELECT attribution.markov(p.path, p.conversions, p.value, p.nulls, "order") AS credits
    FROM attribution.paths(rule, since, until, transforms, overrides) AS p) AS m, unnest(m.credits) AS credit
$$;
COMMENT ON FUNCTION attribution.markov_of(text, timestamptz, timestamptz, integer, text[], jsonb) IS 'markov() of the paths of a rule.';
CREATE FUNCTION attribution.shapley_of(rule text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity',
  transforms text[] DEFAULT '{}', overrides jsonb DEFAULT '{}')
RETURNS SETOF attribution.shapley_credit
LANGUAGE sql STABLE ROWS 100 COST 200000 SET search_path = pg_catalog, pg_temp AS $$
  SELECT credit.* FROM (SELECT attribution.shapley(attribution.transform_path(p.path, transforms), 1, p.value::float8) AS credits
    FROM attribution.conversion_paths(rule, since, until, overrides) AS p) AS s, unnest(s.credits) AS credit
$$;
COMMENT ON FUNCTION attribution.shapley_of(text, timestamptz, timestamptz, text[], jsonb) IS 'shapley() of the paths of a rule.';
CREATE FUNCTION attribution.shapley_ordered_of(rule text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity',
  transforms text[] DEFAULT '{}', overrides jsonb DEFAULT '{}')
RETURNS SETOF attribution.ordered_shapley_credit
LANGUAGE sql STABLE ROWS 100 COST 200000 SET search_path = pg_catalog, pg_temp AS $$
  SELECT credit.* FROM (SELECT attribution.shapley_ordered(attribution.transform_path(p.path, transforms), 1, p.value::float8) AS credits
    FROM attribution.conversion_paths(rule, since, until, overrides) AS p) AS s, unnest(s.credits) AS credit
$$;
COMMENT ON FUNCTION attribution.shapley_ordered_of(text, timestamptz, timestamptz, text[], jsonb) IS 'shapley_ordered() of the paths of a rule.';

CREATE FUNCTION attribution.contributors(rule text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity',
  assists integer DEFAULT 3, overrides jsonb DEFAULT '{}')
RETURNS TABLE (conversion_id text, conversion_time timestamptz, channel text, touch_id text, touch_time timestamptz, credit float8,
  assist_channels text[], assist_ids text[], assist_times timestamptz[], assist_credits float8[])
LANGUAGE sql STABLE ROWS 10000 COST 200000 SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.conversion_id, p.conversion_time, p.path[won], p.touch_ids[won], p.touch_times[won], p.credits[won],
    ARRAY(SELECT p.path[k] FROM unnest(places) WITH ORDINALITY AS u(k, o) ORDER BY o),
    ARRAY(SELECT p.touch_ids[k] FROM unnest(places) WITH ORDINALITY AS u(k, o) ORDER BY o),
    ARRAY(SELECT p.touch_times[k] FROM unnest(places) WITH ORDINALITY AS u(k, o) ORDER BY o),
    ARRAY(SELECT p.credits[k] FROM unnest(places) WITH ORDINALITY AS u(k, o) ORDER BY o)
  FROM attribution.conversion_paths(rule, since, until, overrides) AS p
  -- Of equal credits the newest wins.
  LEFT JOIN LATERAL (SELECT k FROM unnest(p.credits) WITH ORDINALITY AS u(c, k) ORDER BY c DESC, k DESC LIMIT 1) AS w(won) ON true
  CROSS JOIN LATERAL (SELECT ARRAY(SELECT k FROM generate_series(cardinality(p.path), 1, -1) AS k WHERE k <> won ORDER BY k DESC
                                   LIMIT assists)) AS a(places)
$$;
COMMENT ON FUNCTION attribution.contributors(text, timestamptz, timestamptz, integer, jsonb) IS
'One row a conversion: the touchpoint with the most credit, and up to so many others of its path as arrays, newest first; null: all.';

CREATE FUNCTION attribution.assists(rule text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity',
  overrides jsonb DEFAULT '{}')
RETURNS TABLE (channel text, first_conversions bigint, last_conversions bigint, assisted_conversions bigint, assisted_ratio float8)
LANGUAGE sql STABLE ROWS 100 COST 200000 SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.channel, count(*) FILTER (WHERE c.channel = p.path[1]),
    count(*) FILTER (WHERE c.channel = p.path[cardinality(p.path)]),
    count(*) FILTER (WHERE c.channel <> p.path[cardinality(p.path)]),
    count(*) FILTER (WHERE c.channel <> p.path[cardinality(p.path)])::float8
      / nullif(count(*) FILTER (WHERE c.channel = p.path[cardinality(p.path)]), 0)
  FROM attribution.conversion_paths(rule, since, until, overrides) AS p
  CROSS JOIN LATERAL (SELECT DISTINCT u FROM unnest(p.path) AS u) AS c(channel)
  GROUP BY c.channel ORDER BY c.channel
$$;
COMMENT ON FUNCTION attribution.assists(text, timestamptz, timestamptz, jsonb) IS
'For each channel: conversions it began, ended, and assisted without ending them; assisted_ratio: of those it assisted to those it ended.';

CREATE FUNCTION attribution.path_lengths(rule text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity',
  overrides jsonb DEFAULT '{}')
RETURNS TABLE (path_length integer, conversions bigint, value numeric)
LANGUAGE sql STABLE ROWS 100 COST 200000 SET search_path = pg_catalog, pg_temp AS $$
  SELECT cardinality(p.path), count(*), sum(p.value) FROM attribution.conversion_paths(rule, since, until, overrides) AS p
  GROUP BY 1 ORDER BY 1
$$;
COMMENT ON FUNCTION attribution.path_lengths(text, timestamptz, timestamptz, jsonb) IS 'How many conversions have paths of which length; 0: organic.';

CREATE FUNCTION attribution.time_lags(rule text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity',
  step interval DEFAULT '1 day', overrides jsonb DEFAULT '{}')
RETURNS TABLE (lag interval, conversions bigint, value numeric)
LANGUAGE plpgsql STABLE ROWS 100 COST 200000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (step > interval '0') IS NOT TRUE THEN
    RAISE invalid_parameter_value USING MESSAGE = 'step must be longer than nothing';
  END IF;
  RETURN QUERY
    SELECT floor("extract"('epoch', p.conversion_time - p.touch_times[1]) / "extract"('epoch', step))::float8 * step, count(*), sum(p.value)
      FROM attribution.conversion_paths(rule, since, until, overrides) AS p
     WHERE p.path <> '{}' GROUP BY 1 ORDER BY 1;
END $$;
COMMENT ON FUNCTION attribution.time_lags(text, timestamptz, timestamptz, interval, jsonb) IS
'How many conversions came how long after the first touchpoint of their path, in steps: lag is the beginning of each.';
