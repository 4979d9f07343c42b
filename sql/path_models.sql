-- Models over whole paths: what they return, degenerate inputs, errors. test/models compares them with an oracle.
\set SHOW_CONTEXT never
CREATE EXTENSION attribution;
CREATE TABLE paths (path text[], conversions float8, value float8, nulls float8);
INSERT INTO paths VALUES ('{ads}', 2, 2, 1), ('{mail}', 1, 1, 0), ('{ads,mail}', 1, 1, 0);
SELECT credit.* FROM (SELECT attribution.markov(path, conversions, value, nulls) AS credits FROM paths) AS m, unnest(credits) AS credit;
SELECT step.* FROM (SELECT attribution.transitions(path, conversions, nulls, 1) AS steps FROM paths) AS t, unnest(steps) AS step;
SELECT step.* FROM (SELECT attribution.transitions(path, conversions, nulls, 2) AS steps FROM paths) AS t, unnest(steps) AS step;
SELECT credit.* FROM (SELECT attribution.shapley(path, conversions, value) AS credits FROM paths) AS s, unnest(credits) AS credit;
SELECT credit.* FROM (SELECT attribution.shapley_ordered(path, conversions, value) AS credits FROM paths) AS s, unnest(credits) AS credit;
SELECT credit.* FROM (SELECT attribution.shapley_conversion_rate(path, conversions, value, nulls) AS credits FROM paths) AS s, unnest(credits) AS credit;
SELECT credit.* FROM (SELECT attribution.heuristics(path, conversions, value, '{linear,"position_based(0.2, 0.8)"}') AS credits FROM paths) AS h,
  unnest(credits) AS credit;
SELECT assist.* FROM (SELECT attribution.path_assists(path, conversions) AS assists FROM paths) AS a, unnest(assists) AS assist;
SELECT length.* FROM (SELECT attribution.length_counts(path, conversions, value) AS lengths FROM paths) AS l, unnest(lengths) AS length;
SELECT lag.* FROM (SELECT attribution.lag_counts(v.lag, 2, 3, '12 hours') AS lags
                   FROM (VALUES (interval '0'), ('11:59:59.999999'), ('12:00'), ('-00:00:01'), ('1 month'), (NULL)) AS v(lag)) AS l, unnest(lags) AS lag;
-- Groups, and a window.
SELECT cardinality(path), (attribution.shapley(path, conversions))[1] FROM paths GROUP BY 1 ORDER BY 1;
SELECT path, (attribution.markov(path, conversions) OVER (ORDER BY path))[1].conversions FROM paths ORDER BY path;

-- Without paths, conversions or touchpoints.
SELECT attribution.markov(path, conversions) IS NULL AS none FROM paths WHERE false;
SELECT attribution.markov(ARRAY['a', 'b'], 0, 0, 3);
SELECT attribution.markov(ARRAY['a'], 0, 0, 0);
SELECT attribution.shapley(ARRAY['a'], 0);
SELECT attribution.shapley_conversion_rate(ARRAY['a'], 0, 0, 0);
SELECT attribution.markov(path, 2, 3, 4) FROM (VALUES ('{}'::text[]), (NULL)) AS v(path);
SELECT attribution.heuristics('{}', 2, 3, '{linear}'), attribution.shapley('{}', 2, 3), attribution.shapley_ordered('{}', 2, 3),
  attribution.shapley_conversion_rate('{}', 2, 3, 4);
SELECT attribution.heuristics(ARRAY['a'], 1, 1, '{}');
-- One channel; what is null counts for nothing; names are any text.
SELECT attribution.markov(ARRAY['a', 'a', 'a'], 5, 10, 3, 2);
SELECT attribution.markov(ARRAY['a'], 5, NULL, NULL);
SELECT attribution.shapley(ARRAY['', ' ', E'a\nb', '(start)', '(null)'], 6);
-- A state that never converts, and a long loop.
SELECT credit.* FROM (SELECT attribution.markov(path, c, 0, n) AS credits
                      FROM (VALUES ('{a,b}'::text[], 1, 0), ('{a,x,y,x,y}', 0, 9)) AS v(path, c, n)) AS m, unnest(credits) AS credit;
SELECT channel, round(conversions::numeric, 9) AS conversions FROM (
  SELECT attribution.markov(ARRAY(SELECT CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 100000) AS i), 1, 1, 0, k) AS credits
  FROM (VALUES (3)) AS v(k)) AS m, unnest(credits);
SELECT count(*), round(sum(conversions)::numeric, 9) AS sum FROM (
  SELECT attribution.shapley_ordered(ARRAY(SELECT (i % 7)::text FROM generate_series(1, 100000) AS i), 1) AS credits) AS s, unnest(credits);
-- 10,000 channels in a path of 100,000 touchpoints.
SELECT count(DISTINCT channel), max(touch_position), round(sum(conversions)::numeric, 9) AS sum FROM (
  SELECT attribution.shapley_ordered(ARRAY(SELECT (i % 10000)::text FROM generate_series(1, 100000) AS i), 1) AS credits) AS s, unnest(credits);
SELECT model, count(*), round(sum(conversions)::numeric, 9) AS sum FROM (
  SELECT attribution.heuristics(ARRAY(SELECT (i % 10000)::text FROM generate_series(1, 100000) AS i), 1, 0,
    '{linear,linear_distinct,time_decay,position_based,w_shaped(7)}') AS credits) AS h, unnest(credits) GROUP BY 1 ORDER BY 1;
SELECT count(*), round(sum(conversions)::numeric, 9) AS sum FROM (
  SELECT attribution.markov(ARRAY(SELECT (i % 10000)::text FROM generate_series(1, 100000) AS i), 1, 1, 1, 2) AS credits) AS m, unnest(credits);
-- 10,000 channels: few ways between them, then so many that memory ends it.
SELECT count(*), round(sum(conversions)::numeric, 6) AS sum FROM (
  SELECT attribution.markov(ARRAY[i::text, (i * 7 % 10000)::text], 1, 1, 1) AS credits FROM generate_series(1, 10000) AS i) AS m, unnest(credits);
SELECT attribution.markov(ARRAY[i::text, (i * i * 131 % 10000)::text, (i * 37 % 10000)::text, (i * i * 7 % 10000)::text], 1, 1, 1)
FROM generate_series(1::bigint, 10000) AS i;
SET attribution.work_mem = '64kB';
SELECT attribution.shapley(ARRAY[i::text], 1) FROM generate_series(1, 10000) AS i;
SELECT attribution.shapley_ordered(ARRAY[i::text], 1) FROM generate_series(1, 10000) AS i;
SELECT attribution.transitions(ARRAY[i::text], 1, 0, 1) FROM generate_series(1, 10000) AS i;
SELECT attribution.heuristics(ARRAY[i::text], 1, 1, '{linear}') FROM generate_series(1, 10000) AS i;
SELECT attribution.path_assists(ARRAY[i::text], 1) FROM generate_series(1, 10000) AS i;
SELECT attribution.lag_counts(i * interval '1 day', 1, 0, '1 day') FROM generate_series(1, 10000) AS i;
RESET attribution.work_mem;

-- Errors.
SELECT attribution.markov(ARRAY['a', NULL], 1);
SELECT attribution.markov(ARRAY[['a'], ['b']], 1);
SELECT attribution.markov(ARRAY['a'], -1);
SELECT attribution.markov(ARRAY['a'], 'NaN');
SELECT attribution.markov(ARRAY['a'], 1, 'infinity', 0);
SELECT attribution.markov(ARRAY['a'], 1e101, 0, 0);
SELECT attribution.shapley(ARRAY['a'], 1, -1e101);
SELECT attribution.markov(ARRAY['a'], 1, -1, 0);
SELECT attribution.markov(ARRAY['a'], 0, 1, 1);
SELECT attribution.markov(ARRAY['a'], 1, 1, -1);
SELECT attribution.markov(ARRAY['a'], 1, 1, 0, 0);
SELECT attribution.markov(ARRAY['a'], 1, 1, 0, 11);
SELECT attribution.markov(ARRAY['a'], 1, 1, 0, NULL);
SELECT attribution.markov(ARRAY['a'], 1, 1, 0, i) FROM generate_series(1, 2) AS i;
SELECT attribution.shapley(ARRAY['a'], 1, -1);
SELECT attribution.shapley_conversion_rate(ARRAY[i::text], 1, 1, 1) FROM generate_series(1, 17) AS i;
SELECT attribution.heuristics(ARRAY['a'], 1, 1, NULL);
SELECT attribution.heuristics(ARRAY['a'], 1, 1, '{best_touch}');
SELECT attribution.heuristics(ARRAY['a'], 1, 1, '{"position_based(0.7, 0.7)"}');
SELECT attribution.heuristics(ARRAY['a'], 1, 1, '{time_decay(1 month)}');
SELECT attribution.heuristics(ARRAY['a'], 1, 1, '{w_shaped}');
SELECT attribution.heuristics(ARRAY['a'], 1, 1, '{weighted(f)}');
SELECT attribution.lag_counts('1 day', 1, 0, '0');
SELECT attribution.lag_counts('1 day', 1, 0, NULL);
SELECT attribution.lag_counts('1 day', 1, 0, i * interval '1 day') FROM generate_series(1, 2) AS i;
SELECT attribution.lag_counts('170000000 years', 1, 0, '1 day');
SELECT attribution._markov_add(NULL, ARRAY['a'], 1);
-- A long computation can be cancelled.
SET attribution.work_mem = '1GB';
SET statement_timeout = '200ms';
SELECT attribution.markov(ARRAY[(hashint8(i) % 5000)::text, (hashint8(i + 1000000) % 5000)::text], 1, 1, 1) FROM generate_series(1::bigint, 40000) AS i;
-- Paths without end.
SELECT attribution.shapley(ARRAY[(i % 9)::text], 1) FROM (SELECT generate_series(1, 1e15::bigint) AS i) AS endless;
SELECT attribution.shapley_ordered(ARRAY[(i % 9)::text], 1) FROM (SELECT generate_series(1, 1e15::bigint) AS i) AS endless;
SELECT attribution.heuristics(ARRAY[(i % 9)::text], 1, 1, '{linear}') FROM (SELECT generate_series(1, 1e15::bigint) AS i) AS endless;
RESET statement_timeout;
DROP TABLE paths;
DROP EXTENSION attribution;
