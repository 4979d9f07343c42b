-- What a decision is: windows, tiers, ties, empties, conflicts, filters, predicates, to the microsecond.
\set SHOW_CONTEXT never
CREATE EXTENSION attribution;
CREATE SCHEMA game;
SET timezone = 'Europe/Berlin';
CREATE TABLE game.installs (uid int PRIMARY KEY, at timestamptz NOT NULL, app text, ifa uuid, ip inet, begun timestamptz);
CREATE TABLE game.clicks (uid int, at timestamptz, app text, ifa uuid, ip inet, network text, lookback interval) PARTITION BY RANGE (at);
CREATE TABLE game.clicks_a PARTITION OF game.clicks FOR VALUES FROM (MINVALUE) TO ('2026-03-29 00:00+00');
CREATE TABLE game.clicks_b PARTITION OF game.clicks FOR VALUES FROM ('2026-03-29 00:00+00') TO (MAXVALUE);
CREATE INDEX ON game.clicks (app, ifa, at);
CREATE INDEX ON game.clicks (app, ip, at);
SELECT attribution.create_rule('installs', 'game.installs', 'uid', 'at');
SELECT attribution.add_tier('installs', 'device', 'game.clicks', '{app,ifa}', '7 days');
SELECT attribution.add_tier('installs', 'fingerprint', 'game.clicks', '{app,ip}', '24 hours', conflict => '{ifa}');

CREATE FUNCTION game.uuid(int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT lpad($1::text, 32, '0')::uuid $$;
-- The clocks go forward on 29 March: a day has 86,400 s all the same.
INSERT INTO game.installs VALUES
  (1, '2026-04-01 12:00+02', 'a', game.uuid(1), '10.0.0.1'),  -- clicks at the edge of the window
  (2, '2026-04-01 12:00+02', 'a', game.uuid(2), '10.0.0.2'),  -- a click one microsecond too old
  (3, '2026-04-01 12:00+02', 'a', game.uuid(0), '10.0.0.3'),  -- opted out: by fingerprint
  (4, '2026-04-01 12:00+02', 'a', game.uuid(4), '10.0.0.4'),  -- the same address, another device
  (5, '2026-04-01 12:00+02', 'a', game.uuid(5), NULL),        -- ties
  (6, '2026-04-01 12:00+02', 'b', game.uuid(1), '10.0.0.1'),  -- the click was for another app
  (7, '2026-04-01 12:00+02', NULL, NULL, NULL);               -- no key at all
INSERT INTO game.clicks VALUES
  (10, '2026-03-25 12:00+02', 'a', game.uuid(1), NULL, 'x'),
  (20, '2026-03-25 11:59:59.999999+02', 'a', game.uuid(2), NULL, 'x'),
  (21, '2026-04-01 12:00:00.000001+02', 'a', game.uuid(2), NULL, 'x'),
  (30, '2026-03-31 12:00+02', 'a', game.uuid(0), '10.0.0.3', 'x'),
  (40, '2026-04-01 11:00+02', 'a', game.uuid(44), '10.0.0.4', 'x'),
  (51, '2026-04-01 12:00+02', 'a', game.uuid(5), NULL, 'x'),
  (52, '2026-04-01 12:00+02', 'a', game.uuid(5), NULL, 'y'),
  (52, '2026-04-01 12:00+02', 'a', game.uuid(5), NULL, 'x'),
  (50, 'infinity', 'a', game.uuid(5), NULL, 'x'),
  (49, '-infinity', 'a', game.uuid(5), NULL, 'x'),
  (NULL, '2026-04-01 12:00+02', 'a', game.uuid(5), NULL, 'x'),
  (70, '2026-04-01 11:00+02', NULL, NULL, NULL, 'x');
SELECT * FROM attribution.attribute('installs') ORDER BY conversion_id;
SELECT * FROM attribution.touchpoints('installs') ORDER BY conversion_id, touch_position;
-- since <= time < until
SELECT count(*) FROM attribution.attribute('installs', '2026-04-01 12:00+02', '2026-04-01 12:00:00.000001+02');
SELECT count(*) FROM attribution.attribute('installs', '-infinity', '2026-04-01 12:00+02');
SELECT count(*) FROM attribution.attribute('installs', NULL, NULL, NULL);

-- strict, skew, own lookback, filter and predicate
SELECT attribution.alter_tier('installs', 'device', strict => true);
SELECT conversion_id, touch_id FROM attribution.attribute('installs') WHERE conversion_id IN ('1', '2', '5');
SELECT attribution.alter_tier('installs', 'device', strict => false, skew => '1 microsecond');
SELECT conversion_id, touch_id FROM attribution.attribute('installs') WHERE conversion_id IN ('1', '2', '5');
SELECT attribution.alter_tier('installs', 'device', skew => '0', filter => $$network = 'x' -- only these$$);
SELECT conversion_id, touch_id FROM attribution.attribute('installs') WHERE conversion_id IN ('1', '2', '5');
SELECT attribution.alter_tier('installs', 'device', filter => $$touch.network = 'z'$$);
SELECT conversion_id, touch_id FROM attribution.attribute('installs') WHERE conversion_id IN ('1', '2', '5');
SELECT attribution.alter_tier('installs', 'device', filter => '', lookback_column => 'lookback');
UPDATE game.clicks SET lookback = '6 days 23:59:59.999999' WHERE uid = 10;
SELECT conversion_id, touch_id FROM attribution.attribute('installs') WHERE conversion_id = '1';
UPDATE game.clicks SET lookback = '168 hours' WHERE uid = 10;
SELECT conversion_id, touch_id FROM attribution.attribute('installs') WHERE conversion_id = '1';
UPDATE game.clicks SET lookback = '3000000 years' WHERE uid IN (10, 20);
SELECT conversion_id, touch_id FROM attribution.attribute('installs') WHERE conversion_id IN ('1', '2');
SELECT attribution.alter_tier('installs', 'device', lookback_column => '', predicate => 'touch.at < conversion.begun');
UPDATE game.installs SET begun = '2026-04-01 11:00+02' WHERE uid = 1;
SELECT conversion_id, touch_id FROM attribution.attribute('installs') WHERE conversion_id IN ('1', '5');
SELECT attribution.alter_tier('installs', 'device', predicate => '');

-- What is empty is the rule's to say.
SELECT attribution.alter_rule('installs', empty => '{10.0.0.3}');
SELECT conversion_id, tier, touch_id FROM attribution.attribute('installs') WHERE conversion_id IN ('3');
SELECT attribution.alter_rule('installs', empty => '{}');
SELECT conversion_id, tier, touch_id FROM attribution.attribute('installs') WHERE conversion_id IN ('3');

-- Small batches and little memory give the same decisions.
CREATE TABLE game.decisions AS SELECT * FROM attribution.attribute('installs');
SET attribution.batch_size = 1;
SET attribution.work_mem = '64kB';
SELECT count(*) FROM (TABLE game.decisions EXCEPT ALL SELECT * FROM attribution.attribute('installs')) AS differs;
RESET attribution.batch_size;
RESET attribution.work_mem;

-- The same id again: one conversion, the earliest, wherever it is.
CREATE TABLE game.events (LIKE game.installs);
INSERT INTO game.events SELECT * FROM game.installs;
INSERT INTO game.events SELECT uid, at + '1 day', app, ifa, ip, begun FROM game.installs WHERE uid = 1;
INSERT INTO game.events SELECT uid, at, 'b', ifa, ip, begun FROM game.installs WHERE uid = 5;
SELECT attribution.create_rule('events', 'game.events', 'uid', 'at');
SELECT attribution.add_tier('events', 'device', 'game.clicks', '{app,ifa}', '7 days');
SELECT * FROM attribution.attribute('events') ORDER BY conversion_id;
SELECT * FROM attribution.attribute('events', since => '2026-04-02 00:00+02');
SELECT tier, touch_id, reason, verdict FROM attribution.explain('events', 1);
-- A session's settings decide nothing: dates are read and printed in one way, in UTC.
SELECT attribution.create_rule('days', 'game.installs', 'uid', 'at', filter => $$at::date = '2026-04-01'$$);
SELECT count(*) FROM attribution.attribute('days');
SET timezone = 'Pacific/Kiritimati';
SET datestyle = 'German';
SELECT count(*) FROM attribution.attribute('days');
RESET datestyle;
SET timezone = 'Europe/Berlin';
-- A conversion at infinity is refused; it hides no other, and is not passed over.
CREATE TABLE game.odd (uid int, at timestamptz);
INSERT INTO game.odd VALUES (1, '-infinity'), (1, '2026-01-01'), (2, 'infinity');
SELECT attribution.create_rule('odd', 'game.odd', 'uid', 'at');
SELECT conversion_id, conversion_time FROM attribution.attribute('odd', '2025-01-01', '2027-01-01');
SELECT conversion_id FROM attribution.attribute('odd', '2025-01-01');
SELECT conversion_id FROM attribution.attribute('odd', until => '2027-01-01');
-- BC is right, to the first microsecond there is.
CREATE TABLE game.old (uid int, at timestamptz);
INSERT INTO game.old VALUES (1, '4713-01-01 00:00:00+00 BC'), (2, '0044-03-15 12:00+00 BC'), (3, '0044-03-14 12:00+00 BC');
SELECT attribution.create_rule('old', 'game.old', 'uid', 'at');
SELECT attribution.alter_rule('old', filter => 'uid < 3');
SET client_min_messages = error;
SELECT attribution.add_tier('old', 'itself', 'game.old', '{uid}', '36500 days', predicate => 'touch.uid = conversion.uid');
RESET client_min_messages;
SET timezone = 'UTC';
SELECT conversion_id, conversion_time, touch_id FROM attribution.attribute('old', '-infinity', '0001-01-01 BC');
-- And so is the last: a window that would end beyond it holds nothing at infinity.
INSERT INTO game.old VALUES (5, '294276-12-31 23:59:59+00');
CREATE TABLE game.late (uid int, at timestamptz);
INSERT INTO game.late VALUES (5, '294276-12-31 23:59:58+00'), (5, 'infinity'), (5, '-infinity');
CREATE INDEX ON game.late (uid);
SELECT attribution.alter_rule('old', filter => 'uid = 5');
SELECT attribution.add_tier('old', 'late', 'game.late', '{uid}', '36500 days', skew => '1 day', predicate => $$conversion.at - touch.at > '0'$$, before => 'itself');
SELECT conversion_id, tier, touch_time FROM attribution.attribute('old');
SELECT tier, touch_time, reason FROM attribution.explain('old', 5);
SET client_min_messages = warning;
DROP SCHEMA game CASCADE;
DROP EXTENSION attribution;
