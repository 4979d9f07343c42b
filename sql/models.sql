-- Every model over a rule: credits that sum to 1, stored as they are told, compared, and whole paths.
\set SHOW_CONTEXT never
CREATE EXTENSION attribution;
CREATE SCHEMA shop;
SET timezone = 'UTC';
CREATE TABLE shop.touches (id int PRIMARY KEY, at timestamptz NOT NULL, person int, campaign text);
CREATE TABLE shop.orders (id int PRIMARY KEY, at timestamptz NOT NULL, person int, amount numeric(10, 2));
CREATE TABLE shop.campaigns (campaign text PRIMARY KEY, channel text);
CREATE INDEX ON shop.touches (person, at);
INSERT INTO shop.campaigns VALUES ('s1', 'social'), ('o1', 'organic search'), ('p1', 'paid search'), ('d1', 'direct');
-- The journey of 38 days, published with its answers; one of two; one of direct alone; an order without a touchpoint.
INSERT INTO shop.touches VALUES
  (1, '2026-01-01', 1, 's1'), (2, '2026-01-06', 1, 'o1'), (3, '2026-01-13', 1, 's1'), (4, '2026-01-31', 1, 'p1'), (5, '2026-02-08', 1, 'd1'),
  (6, '2026-02-07', 2, 'p1'), (7, '2026-02-08', 2, 'new'), (8, '2026-02-08', 3, 'd1'),
  -- nobody orders
  (9, '2026-01-01', 5, 's1'), (10, '2026-03-01', 5, 's1'), (11, '2026-03-02', 5, 'd1'), (12, '2026-01-05', 6, 'o1');
INSERT INTO shop.orders VALUES (1, '2026-02-08', 1, 12000), (2, '2026-02-08', 2, 0.05), (3, '2026-02-08', 3, 7), (4, '2026-02-08', 4, 1);
SELECT attribution.create_rule('orders', 'shop.orders', 'id', 'at', value_column => 'amount', model => 'linear', carry => '{campaign}',
  channel => '(SELECT channel FROM shop.campaigns AS c WHERE c.campaign = touch.campaign)');
SELECT attribution.add_tier('orders', 'touch', 'shop.touches', '{person}', '40 days');
SELECT attribution.activate('orders');

SELECT conversion_id AS id, touch_id, credit_position AS n, credit FROM attribution.attribute('orders') ORDER BY conversion_id, credit_position;
SELECT model, array_agg(round(credit::numeric * 12000, 2) ORDER BY credit_position) AS credits, abs(sum(credit) - 1) < 1e-12 AS whole
FROM unnest(ARRAY['first_touch', 'last_touch', 'last_non_direct', 'linear', 'linear_distinct', 'position_based', 'position_based(0.3, 0.4)',
                  'time_decay', 'time_decay(1 day)', 'w_shaped(paid search)', 'w_shaped(nothing)']) WITH ORDINALITY AS m(model, k),
  attribution.attribute('orders', overrides => jsonb_build_object('model', model)) WHERE conversion_id = '1' GROUP BY k, model ORDER BY k;
SELECT channel, model, round(conversions::numeric, 4) AS conversions, round(value::numeric, 2) AS value
FROM attribution.compare_models('orders', '-infinity', 'infinity', '{last_touch,last_non_direct,linear,time_decay}') ORDER BY channel, model;
-- They are compared in one pass: five need no more scans than one.
BEGIN;
CREATE FUNCTION shop.scans() RETURNS bigint LANGUAGE sql AS
$$ SELECT pg_stat_get_xact_numscans('shop.touches'::regclass) + sum(pg_stat_get_xact_numscans(indexrelid)) FROM pg_index WHERE indrelid = 'shop.touches'::regclass $$;
SELECT shop.scans() AS before \gset
SELECT count(*) FROM attribution.compare_models('orders', '-infinity', 'infinity', '{linear}');
SELECT shop.scans() AS between \gset
SELECT count(*) FROM attribution.compare_models('orders', '-infinity', 'infinity', '{linear,first_touch,last_touch,time_decay,position_based}');
SELECT :between > :before AS scanned, shop.scans() - :between = :between - :before AS as_often;
ROLLBACK;
SELECT * FROM attribution.touchpoints('orders') ORDER BY conversion_id, touch_position;
SELECT touch_id, reason, verdict, credit FROM attribution.explain('orders', 1, '{"model": "time_decay"}');
SELECT touch_id, reason, verdict, credit FROM attribution.explain('orders', 1, '{"model": "last_non_direct"}');

-- What is stored is what is told; another model is another decision.
SET client_min_messages = warning; -- what a run says of itself has its time in it
CALL attribution.run('orders', '2026-02-10');
SELECT conversion_id, credit_position, touch_id, credit, campaign FROM shop.orders_credits ORDER BY 1, 2;
SELECT attribution.alter_rule('orders', model => 'position_based');
SELECT attribution.activate('orders');
CALL attribution.reattribute('orders', as_of => '2026-02-10');
SELECT conversion_id, credit_position, touch_id, credit FROM shop.orders_credits ORDER BY 1, 2;
SELECT count(*) FROM (SELECT conversion_id::text, touch_id::text, credit FROM shop.orders_credits
                      EXCEPT SELECT conversion_id, touch_id, credit FROM attribution.attribute('orders')) AS differ;
CALL attribution.reattribute('orders', as_of => '2026-02-10');
RESET client_min_messages;
SELECT decided, changed, restated, withdrawn, closed, outcomes FROM attribution.run_log WHERE rule = 'orders' ORDER BY run;
SELECT count(*) FROM shop.orders_decisions_history;

-- One row a conversion: the touchpoint with the most credit, of equal ones the newest.
SELECT conversion_id, tier, touch_id, credit, value, campaign FROM shop.orders_attribution ORDER BY 1;
-- Every change of a credit is a move.
SELECT * FROM attribution.diff('orders', by => '{campaign}');
SELECT * FROM attribution.diff('orders', '{"model": "linear"}', by => '{campaign}');
SELECT * FROM attribution.diff('orders', '{"model": "last_touch"}', by => '{campaign}');
SELECT * FROM attribution.diff('orders', '{"model": "position_based(0.4, 0.4)"}');

-- Credits that do not fit into memory are decided and kept a few conversions at a time; nothing is lost or set aside.
CREATE TABLE shop.visits (id int PRIMARY KEY, at timestamptz NOT NULL, person int);
CREATE TABLE shop.calls (id int PRIMARY KEY, at timestamptz NOT NULL, person int);
CREATE INDEX ON shop.visits USING touch (person, at);
INSERT INTO shop.visits SELECT n, timestamptz '2026-01-01' + n % 40 * interval '1 hour', n / 40 FROM generate_series(40, 8039) AS n;
INSERT INTO shop.calls SELECT n, '2026-01-05', n FROM generate_series(1, 200) AS n;
SELECT attribution.create_rule('calls', 'shop.calls', 'id', 'at', model => 'linear');
SELECT attribution.add_tier('calls', 'visit', 'shop.visits', '{person}', '7 days');
SELECT attribution.activate('calls');
SET attribution.work_mem = '64kB';
SET client_min_messages = warning;
CALL attribution.run('calls', '2026-02-10');
RESET client_min_messages;
SELECT count(*), count(DISTINCT conversion_id), round(sum(credit)::numeric, 6) AS sum FROM shop.calls_credits;
SELECT count(*) FROM attribution.dead_letters;
SELECT count(*) AS conversions, sum(cardinality(path)) AS touchpoints FROM attribution.conversion_paths('calls');
RESET attribution.work_mem;
SELECT bool_and(batches > 1) AS in_batches FROM (SELECT count(DISTINCT decided_at) AS batches FROM shop.calls_decisions) AS b;
-- A path of 100,000 touchpoints, and what does not fit.
INSERT INTO shop.visits SELECT n, timestamptz '2026-01-01' + n * interval '1 second', 201 FROM generate_series(10000, 109999) AS n;
INSERT INTO shop.calls VALUES (201, '2026-01-05', 201);
ANALYZE shop.visits;
SELECT model, round(conversions::numeric, 6) AS conversions FROM attribution.compare_models('calls', '-infinity', 'infinity', '{linear,time_decay,linear_distinct}');
SELECT max(path_length) FROM attribution.path_lengths('calls');
SET attribution.work_mem = '64kB';
SELECT attribution.compare_models('calls', '-infinity', 'infinity', '{linear}');
RESET attribution.work_mem;
SELECT attribution.drop_rule('calls', keep_decisions => false);
-- 100,000 conversions that each have those 100,000 touchpoints take long, and can be cancelled.
CREATE TABLE shop.replies (id int PRIMARY KEY, at timestamptz NOT NULL, person int);
INSERT INTO shop.replies SELECT n, '2026-01-05', 201 FROM generate_series(1, 100000) AS n;
ANALYZE shop.replies;
SELECT attribution.create_rule('replies', 'shop.replies', 'id', 'at', model => 'linear');
SELECT attribution.add_tier('replies', 'visit', 'shop.visits', '{person}', '7 days');
SET statement_timeout = '500ms';
SELECT attribution.compare_models('replies', NULL, NULL, '{linear,time_decay}');
SELECT attribution.paths('replies');
SELECT attribution.shapley_of('replies');
SELECT attribution.shapley_ordered_of('replies');
SELECT attribution.contributors('replies');
SELECT attribution.attribute('replies');
SET attribution.enable_touch_index = off;
SELECT attribution.compare_models('replies', NULL, NULL, '{linear,time_decay}');
RESET attribution.enable_touch_index;
RESET statement_timeout;
SELECT attribution.drop_rule('replies');

-- Values are shared to the last digit.
SELECT conversion_id, attribution.share(value, credits) FROM attribution.conversion_paths('orders', overrides => '{"model": "linear"}') ORDER BY 1;
SELECT attribution.share(10, '{0.3333333333333333,0.3333333333333333,0.3333333333333333}'), attribution.share(-0.05, '{0.5,0.5}'),
  attribution.share(1.00, '{1}'), attribution.share(0, '{0.5,0.5}'), attribution.share(5, '{}');
-- Without credit there is no share, however much is left over. What can't be shared is null.
SELECT attribution.share(1000000000000000.00, '{0,0.3333333333333333,0.3333333333333333,0.3333333333333333}');
SELECT attribution.share('NaN', '{0.5,0.5}'), attribution.share('infinity', '{1}'), attribution.share(5, '{0,0}'), attribution.share(5.0, '{0.5,NULL,0.5}');
SELECT count(*) FROM generate_series(1, 200) AS n,
  LATERAL (SELECT attribution.share(n * 7.77, ARRAY(SELECT 1.0::float8 / n FROM generate_series(1, n))) AS shares) AS s
WHERE (SELECT sum(share) FROM unnest(shares) AS share) <> n * 7.77 OR (SELECT max(share) - min(share) FROM unnest(shares) AS share) > 0.01;

-- Whole paths.
SELECT * FROM attribution.conversion_paths('orders') ORDER BY 1;
SELECT * FROM attribution.null_paths('orders') ORDER BY 2;
SELECT * FROM attribution.paths('orders');
SELECT * FROM attribution.paths('orders', transforms => '{remove_if_not_all(direct),frequency}');
SELECT channel, round(removal_effect::numeric, 6) AS removal_effect, round(conversions::numeric, 6) AS conversions FROM attribution.markov_of('orders');
SELECT channel, conversions, round(value::numeric, 3) AS value FROM attribution.shapley_of('orders');
SELECT channel, touch_position, round(conversions::numeric, 6) AS conversions FROM attribution.shapley_ordered_of('orders');
SELECT * FROM attribution.contributors('orders', assists => 2) ORDER BY 1;
SELECT conversion_id, assist_ids FROM attribution.contributors('orders', assists => NULL) ORDER BY 1;
SELECT * FROM attribution.assists('orders');
SELECT * FROM attribution.path_lengths('orders');
SELECT * FROM attribution.time_lags('orders', step => '7 days');
SELECT * FROM attribution.time_lags('orders', step => '0');
SELECT * FROM attribution.time_lags('orders', step => NULL);
SELECT attribution.transform_path('{D,A,B,B,C,D,C,C}', '{frequency}'), attribution.path_places('{D,A,B,B,C,D,C,C}', '{exposure,trim_long(4)}');
SELECT attribution.transform_path('{a}', '{shuffle}');
-- Channels otherwise: by a column of the touchpoints. An expression it can not be: it runs as the rule's owner.
SELECT path, conversions, nulls FROM attribution.paths('orders', channel => 'campaign');
SELECT channel, conversions FROM attribution.compare_models('orders', NULL, NULL, '{last_touch}', '{"channel": "campaign"}');
SELECT DISTINCT path FROM attribution.conversion_paths('orders', overrides => '{"channel": ""}') ORDER BY 1; -- tiers
SELECT attribution.conversion_paths('orders', overrides => '{"channel": "nothing"}');
SELECT attribution.conversion_paths('orders', overrides => '{"channel": "upper(campaign)"}');

-- A touchpoint's own lookback, and whose device it was, count for null paths as well; a predicate needs a conversion.
CREATE TABLE shop.views (id int PRIMARY KEY, at timestamptz NOT NULL, address text, device text, lasts interval);
CREATE TABLE shop.opens (id int PRIMARY KEY, at timestamptz NOT NULL, address text, device text);
INSERT INTO shop.views VALUES (1, '2026-01-01', 'x', 'a', '1 day'), (2, '2026-01-05', 'x', 'a', NULL), (3, '2026-01-05', 'y', 'a', NULL),
  (4, '2026-01-06', 'y', 'b', NULL), (5, '2026-01-07', 'z', '', NULL), (6, '2026-01-07', 'w', 'c', NULL), (7, '2026-01-06', '', 'c', NULL);
INSERT INTO shop.opens VALUES (1, '2026-01-08', 'y', 'b'), (2, '2026-01-08', 'z', 'd'), (3, '2026-01-07', 'w', 'c');
SELECT attribution.create_rule('opens', 'shop.opens', 'id', 'at');
SELECT attribution.add_tier('opens', 'view', 'shop.views', '{address}', '7 days', conflict => '{device}', lookback_column => 'lasts',
  predicate => 'conversion.at - touch.at > interval ''1 hour''');
SELECT conversion_id, touch_ids FROM attribution.conversion_paths('opens') ORDER BY 1;
SELECT * FROM attribution.null_paths('opens') ORDER BY 2;
SELECT attribution.drop_rule('opens');

-- The mapping is a table: what it says now counts.
UPDATE shop.campaigns SET channel = 'search' WHERE channel LIKE '%search';
SELECT path FROM attribution.conversion_paths('orders') WHERE conversion_id = '1';

-- Weights by a function of the rule's.
CREATE FUNCTION shop.weight(place integer, touchpoints integer, age interval) RETURNS float8 LANGUAGE sql IMMUTABLE AS
$$ SELECT CASE WHEN touchpoints = 1 THEN 1 ELSE place END $$;
SELECT attribution.alter_rule('orders', model => 'weighted(shop.weight)');
SELECT conversion_id, touch_id, credit FROM attribution.attribute('orders', overrides => '{"version": 3}') WHERE conversion_id IN ('2', '3') ORDER BY 1, 2;
SELECT attribution.attribute('orders', overrides => '{"model": "weighted(shop.weight)"}');
SELECT attribution.compare_models('orders', NULL, NULL, '{weighted(shop.weight)}');
CREATE OR REPLACE FUNCTION shop.weight(place integer, touchpoints integer, age interval) RETURNS float8 LANGUAGE sql IMMUTABLE AS
$$ SELECT CASE WHEN place = 2 THEN 'NaN'::float8 ELSE 0 END $$;
SELECT * FROM attribution.attribute('orders', overrides => '{"version": 3}');
CREATE OR REPLACE FUNCTION shop.weight(place integer, touchpoints integer, age interval) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$ SELECT 0.0 $$;
SELECT * FROM attribution.attribute('orders', overrides => '{"version": 3}');
CREATE OR REPLACE FUNCTION shop.weight(place integer, touchpoints integer, age interval) RETURNS float8 LANGUAGE sql VOLATILE AS $$ SELECT 0.0 $$;
SELECT attribution.alter_rule('orders', model => 'weighted(shop.weight)');
SELECT attribution.alter_rule('orders', model => 'weighted(shop.nothing)');
SELECT attribution.alter_rule('orders', model => 'best_touch');
SELECT attribution.alter_rule('orders', model => 'linear', channel => 'touch.nothing');
SELECT attribution.alter_rule('orders', model => 'linear', channel => 'random()::text');

\set VERBOSITY terse
DROP SCHEMA shop CASCADE;
SELECT attribution.drop_rule('orders');
DROP EXTENSION attribution;
