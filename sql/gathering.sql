-- Touchpoints found by touch indexes are those that plain SQL finds.
CREATE EXTENSION attribution;
CREATE SCHEMA gathering;
SET search_path = gathering;
SET timezone = 'UTC';
CREATE TABLE clicks (click_id int, at timestamptz, app smallint, device text, kind text, own interval) PARTITION BY RANGE (at);
CREATE TABLE clicks_1 PARTITION OF clicks FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');
CREATE TABLE clicks_2 PARTITION OF clicks FOR VALUES FROM ('2026-01-02') TO ('2026-01-03');
CREATE TABLE clicks_default PARTITION OF clicks DEFAULT;
CREATE TABLE views (LIKE clicks);
ALTER TABLE views ALTER app TYPE bigint; -- the conversions' type: rows are told apart without SQL
CREATE TABLE installs (id int, at timestamptz, app bigint, device text);
-- Of the first device there are many, most of which do not count; every third click has no device.
INSERT INTO clicks SELECT i, '2026-01-01'::timestamptz + i % 5000 * interval '1 minute', i % 3,
    CASE WHEN i % 3 = 0 THEN NULL WHEN i % 10 = 1 THEN 'heavy' ELSE 'd' || i % 400 END,
    CASE WHEN i % 97 = 1 THEN 'click' WHEN i % 10 = 1 THEN 'bot' ELSE 'click' END, CASE WHEN i % 7 = 0 THEN interval '1 hour' END
  FROM generate_series(1, 20000) AS i;
INSERT INTO views SELECT * FROM clicks WHERE click_id % 2 = 0;
INSERT INTO installs SELECT i, '2026-01-01'::timestamptz + i % 4900 * interval '1 minute 1 second', i % 3, CASE WHEN i % 50 = 0 THEN 'heavy' ELSE 'd' || i % 450 END
  FROM generate_series(1, 2000) AS i;
CREATE INDEX clicks_touch ON clicks USING touch (device, app, at) WITH (bucket_pages = 1);
CREATE INDEX views_touch ON views USING touch (app, device, at) WHERE device IS NOT NULL;
SELECT attribution.create_rule('installs', 'installs', 'id', 'at');
SELECT attribution.add_tier('installs', 'click', 'clicks', ARRAY['app', 'device'], '12 hours', id_column => 'click_id', time_column => 'at',
  filter => 'kind = ''click''', lookback_column => 'own', strict => true);
SELECT attribution.add_tier('installs', 'view', 'views', ARRAY['app', 'device'], '2 days', id_column => 'click_id', time_column => 'at', skew => '5 minutes');
SELECT attribution.activate('installs');
-- How many are attributed, by which tables' indexes; and how many are not as plain SQL has it.
CREATE FUNCTION gather(overrides jsonb DEFAULT '{}', OUT attributed bigint, OUT differ bigint, OUT by_index text[])
LANGUAGE plpgsql SET search_path = gathering, pg_temp SET timezone = 'UTC' AS $$
BEGIN
  DROP TABLE IF EXISTS pg_temp.by_sql, pg_temp.scans;
  CREATE TEMP TABLE scans AS
    SELECT indexrelid AS index, indrelid::regclass::text AS of_table, pg_stat_get_xact_numscans(indexrelid) AS scans FROM pg_index
     WHERE indexrelid IN (SELECT index FROM attribution.touch_indexes);
  SET LOCAL attribution.enable_touch_index = off;
  CREATE TEMP TABLE by_sql AS SELECT * FROM attribution.attribute('installs', overrides => gather.overrides);
  IF EXISTS (SELECT FROM scans WHERE pg_stat_get_xact_numscans(index) > scans) THEN
    RAISE 'plain SQL is to use no touch index here';
  END IF;
  SET LOCAL attribution.enable_touch_index = on;
  SELECT count(*) FILTER (WHERE a.outcome = 'attributed'), count(*) FILTER (WHERE a IS DISTINCT FROM b) INTO attributed, differ
    FROM attribution.attribute('installs', overrides => gather.overrides) AS a FULL JOIN by_sql AS b USING (conversion_id);
  SELECT array_agg(of_table ORDER BY of_table) INTO by_index FROM scans WHERE pg_stat_get_xact_numscans(index) > scans;
END $$;
-- The same of whole paths: how many touchpoints there are in all; how many lines of touchpoints(), of conversion_paths() and
-- of attribute() by a model that divides are not as plain SQL has them.
CREATE FUNCTION gather_whole(overrides jsonb DEFAULT '{}', OUT touchpoints bigint, OUT differ bigint)
LANGUAGE plpgsql SET search_path = gathering, pg_temp SET timezone = 'UTC' AS $$
BEGIN
  FOREACH differ IN ARRAY ARRAY[0, 1] LOOP
    PERFORM set_config('attribution.enable_touch_index', differ::int::bool::text, true);
    EXECUTE format('CREATE TEMP TABLE whole_%s AS
        SELECT t::text AS line FROM attribution.touchpoints(''installs'', overrides => $1) AS t
        UNION ALL SELECT p::text FROM attribution.conversion_paths(''installs'', overrides => $1) AS p
        UNION ALL SELECT a::text FROM attribution.attribute(''installs'', overrides => $1 || ''{"model": "linear"}'') AS a', differ)
      USING overrides;
  END LOOP;
  SELECT count(*) INTO touchpoints FROM attribution.touchpoints('installs', overrides => gather_whole.overrides);
  SELECT count(*) INTO differ FROM ((TABLE whole_0 EXCEPT ALL TABLE whole_1) UNION ALL (TABLE whole_1 EXCEPT ALL TABLE whole_0)) AS line;
  DROP TABLE pg_temp.whole_0, pg_temp.whole_1;
END $$;
SET client_min_messages = warning;
SET enable_bitmapscan = off; -- of plain SQL
SELECT * FROM gather_whole();
SELECT * FROM gather_whole('{"path": "all"}');
SET attribution.batch_size = 7;
SELECT * FROM gather_whole('{"model": "first_touch"}');
SET attribution.batch_size = 100000;
SET attribution.work_mem = '256kB'; -- candidates go through it in pieces
SELECT * FROM gather_whole('{"path": "all"}');
RESET attribution.batch_size;
RESET attribution.work_mem;
SELECT attribution.alter_rule('installs', channel => 'kind'), attribution.activate('installs') IS NULL AS failed;
SELECT * FROM gather_whole();
SELECT attribution.alter_rule('installs', channel => 'upper(kind)'), attribution.activate('installs') IS NULL AS failed;
SELECT * FROM gather_whole();
SELECT attribution.alter_rule('installs', channel => ''), attribution.activate('installs') IS NULL AS failed;
SELECT * FROM gather();
SELECT * FROM gather('{"model": "first_touch"}');
SELECT * FROM gather('{"path": "all"}');
SELECT * FROM gather('{"path": "all", "model": "first_touch", "lookback": {"click": "3 days"}}');
SET attribution.batch_size = 7;
SELECT * FROM gather();
SET attribution.batch_size = 100000;
SET attribution.work_mem = '64kB';
SELECT * FROM gather();
RESET attribution.batch_size;
RESET attribution.work_mem;
-- Rows that moved within their pages, and between them; that are gone, and whose places others have taken.
UPDATE clicks SET own = '2 hours' WHERE click_id % 5 = 0;
UPDATE clicks SET device = 'd1' WHERE click_id % 501 = 1;
UPDATE views SET own = '2 hours' WHERE click_id % 5 = 0;
UPDATE views SET device = 'd2' WHERE click_id % 401 = 1;
UPDATE views SET at = at + interval '1 hour' WHERE click_id % 11 = 0;
DELETE FROM clicks WHERE click_id % 4 = 1;
DELETE FROM views WHERE click_id % 4 = 2;
SELECT * FROM gather();
VACUUM clicks, views;
INSERT INTO clicks SELECT 100000 + i, '2026-01-01'::timestamptz + i % 5000 * interval '1 minute', i % 3, 'd' || i % 300, 'click', NULL FROM generate_series(1, 5000) AS i;
SELECT * FROM gather();
-- What the transaction itself has written, and undone.
BEGIN;
INSERT INTO clicks SELECT 200000 + i, '2026-01-01'::timestamptz + i % 5000 * interval '1 minute', i % 3, 'd' || 400 + i % 25, 'click', NULL FROM generate_series(1, 3000) AS i;
SAVEPOINT s;
INSERT INTO clicks SELECT 300000 + i, '2026-01-01'::timestamptz + i % 5000 * interval '1 minute', i % 3, 'd' || 425 + i % 25, 'click', NULL FROM generate_series(1, 3000) AS i;
SELECT * FROM gather();
ROLLBACK TO s;
SELECT * FROM gather();
ROLLBACK;
SELECT * FROM gather();
-- A partition without an index: plain SQL for all whose windows reach there.
DROP INDEX clicks_touch;
CREATE INDEX ON clicks_1 USING touch (device, app, at);
CREATE INDEX ON clicks_default USING touch (device, app, at);
SELECT * FROM gather();
SET attribution.batch_size = 7; -- some batches reach no further than the indexes
SELECT * FROM gather();
SELECT * FROM gather('{"path": "all", "model": "first_touch"}');
RESET attribution.batch_size;
-- An index that knows only some of the rows.
CREATE INDEX clicks_some ON clicks_2 USING touch (device, app, at) WHERE kind = 'click';
SELECT * FROM gather();
DROP INDEX clicks_some;
CREATE INDEX ON clicks_2 USING touch (app, device, at); -- in another order
SELECT * FROM gather();
-- An index that is not valid, as CREATE INDEX CONCURRENTLY leaves one that failed. It knows nothing of these.
UPDATE pg_index SET indisvalid = false, indisready = false WHERE indrelid = 'clicks_2'::regclass;
INSERT INTO clicks SELECT 400000 + i, '2026-01-02'::timestamptz + i * interval '20 s', i % 3, 'd' || i % 400, 'click', NULL FROM generate_series(1, 4000) AS i;
SELECT * FROM gather();
SET attribution.batch_size = 7;
SELECT * FROM gather();
RESET attribution.batch_size;
UPDATE pg_index SET indisready = true WHERE indrelid = 'clicks_2'::regclass; -- it is written again, and lacks some
SELECT * FROM gather();
REINDEX TABLE clicks_2; -- which makes it valid
SELECT * FROM gather();
-- A partitioned table that has no partitions yet.
CREATE TABLE swipes (LIKE clicks) PARTITION BY RANGE (at);
CREATE INDEX ON swipes USING touch (device, app, at);
SELECT attribution.add_tier('installs', 'swipe', 'swipes', ARRAY['app', 'device'], '2 days', id_column => 'click_id', time_column => 'at') IS NULL AS failed;
SELECT attribution.activate('installs') IS NULL AS failed;
SELECT * FROM gather();
SELECT attribution.drop_tier('installs', 'swipe') IS NULL AS failed, attribution.activate('installs') IS NULL AS failed;
-- Row security that holds for the rule's owner: only plain SQL goes by it.
CREATE ROLE regress_gathering;
GRANT USAGE, CREATE ON SCHEMA gathering TO regress_gathering;
GRANT SELECT, TRIGGER ON clicks, views, installs TO regress_gathering;
GRANT attribution_admin TO regress_gathering;
SELECT attribution.set_owner('installs', 'regress_gathering');
ALTER TABLE views ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON views USING (click_id % 8 = 0);
SELECT * FROM gather();
-- Keys that differ and have the same hash: both halves of a bigint are hashed as one.
CREATE TABLE taps (tap_id int, at timestamptz, device bigint);
CREATE TABLE orders (id int, at timestamptz, device bigint);
INSERT INTO taps SELECT i, '2026-01-01'::timestamptz + i * interval '1 minute', CASE WHEN i < 3 THEN 7 ELSE 7::bigint << 32 END FROM generate_series(1, 300) AS i;
INSERT INTO orders VALUES (1, '2026-01-02', 7), (2, '2026-01-02', 7::bigint << 32), (3, '2026-01-02', 6);
CREATE INDEX taps_touch ON taps USING touch (device, at);
SELECT attribution.create_rule('orders', 'orders', 'id', 'at');
SELECT attribution.add_tier('orders', 'tap', 'taps', ARRAY['device'], '2 days', id_column => 'tap_id', time_column => 'at');
SELECT attribution.activate('orders');
SELECT hashint8(7) = hashint8(7::bigint << 32) AS same_hash;
SELECT conversion_id, touch_id, pg_stat_get_xact_numscans('taps_touch'::regclass) AS looks FROM orders_attribute() ORDER BY 1;
CALL attribution.run('orders');
SELECT decided, by_touch_index, by_sql FROM attribution.run_log WHERE rule = 'orders';
RESET enable_bitmapscan;
-- Partitions whose times overlap. Of each device one has a touchpoint, and the other better ones, behind many that don't count.
CREATE TABLE banners (LIKE views, part int) PARTITION BY LIST (part);
CREATE TABLE banners_1 PARTITION OF banners FOR VALUES IN (0);
CREATE TABLE banners_2 PARTITION OF banners FOR VALUES IN (1);
INSERT INTO banners SELECT d * 100 + n, '2026-01-04'::timestamptz + n * interval '1 minute', 1, 'd' || d,
    CASE WHEN n BETWEEN 13 AND 27 THEN 'click' ELSE 'bot' END, NULL, (d + (n = 20)::int) % 2
  FROM generate_series(1, 40) AS d, generate_series(1, 39) AS n;
CREATE INDEX ON banners USING touch (device, app, at);
CREATE TABLE sales (id int, at timestamptz, app bigint, device text);
INSERT INTO sales SELECT d, '2026-01-04 01:00', 1, 'd' || d FROM generate_series(1, 40) AS d;
SELECT attribution.create_rule('sales', 'sales', 'id', 'at');
SELECT attribution.add_tier('sales', 'banner', 'banners', ARRAY['app', 'device'], '2 hours', id_column => 'click_id', time_column => 'at',
  filter => 'kind = ''click''');
SELECT attribution.activate('sales');
SELECT model, count(*), min(touch_id::int % 100), max(touch_id::int % 100) FROM unnest(ARRAY['last_touch', 'first_touch']) AS model,
  attribution.attribute('sales', overrides => jsonb_build_object('model', model)) GROUP BY model ORDER BY model;
-- Parallel workers give what one process does: whatever the slices, and of rows that this transaction alone can see.
CREATE FUNCTION helped(rule text, overrides jsonb DEFAULT '{}', OUT lines bigint, OUT differ bigint)
LANGUAGE plpgsql SET search_path = gathering, pg_temp AS $$
BEGIN
  FOREACH differ IN ARRAY ARRAY[0, 1] LOOP
    PERFORM set_config('max_parallel_workers_per_gather', (differ * 2)::text, true);
    EXECUTE format('CREATE TEMP TABLE helped_%s AS SELECT a::text AS line FROM attribution.attribute($1, overrides => $2) AS a
        UNION ALL SELECT t::text FROM attribution.touchpoints($1, ''2026-01-02'', ''2026-01-04'', $2) AS t', differ) USING rule, overrides;
  END LOOP;
  SELECT count(*) INTO lines FROM helped_1;
  SELECT count(*) INTO differ FROM ((TABLE helped_0 EXCEPT ALL TABLE helped_1) UNION ALL (TABLE helped_1 EXCEPT ALL TABLE helped_0)) AS line;
  DROP TABLE pg_temp.helped_0, pg_temp.helped_1;
END $$;
SET attribution.min_parallel_conversions = 1;
SELECT * FROM helped('installs'); -- one slice: nobody knows the table yet
ANALYZE installs;
SELECT * FROM helped('installs');
SELECT * FROM helped('installs', '{"path": "all", "model": "linear"}');
SET attribution.batch_size = 7;
SELECT * FROM helped('installs');
RESET attribution.batch_size;
SET attribution.enable_touch_index = off;
SELECT * FROM helped('installs');
RESET attribution.enable_touch_index;
BEGIN;
INSERT INTO clicks SELECT 600000 + i, '2026-01-01'::timestamptz + i % 5000 * interval '1 minute', i % 3, 'd' || 400 + i % 50, 'click', NULL FROM generate_series(1, 3000) AS i;
UPDATE installs SET device = 'd1' WHERE id % 7 = 0;
SELECT * FROM helped('installs');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM helped('installs');
COMMIT;
-- A table that lies in the order of time is dealt out by its pages: each row is read once, whatever came since or has moved.
CREATE TABLE signups (id int PRIMARY KEY, at timestamptz, app bigint, device text);
INSERT INTO signups SELECT i, '2026-01-01'::timestamptz + i * interval '30 seconds', i % 3, 'd' || i % 450 FROM generate_series(1, 8000) AS i;
SELECT attribution.create_rule('signups', 'signups', 'id', 'at');
SELECT attribution.add_tier('signups', 'view', 'views', ARRAY['app', 'device'], '2 days', id_column => 'click_id', time_column => 'at');
SELECT attribution.activate('signups');
ANALYZE signups;
SELECT pg_stat_force_next_flush();
SELECT seq_tup_read AS before FROM pg_stat_user_tables WHERE relid = 'signups'::regclass \gset
SELECT count(*) AS decided, count(pg_stat_force_next_flush()) > 0 AS flushed FROM attribution.attribute('signups');
SELECT seq_tup_read - :before AS read FROM pg_stat_user_tables WHERE relid = 'signups'::regclass;
SELECT * FROM helped('signups');
BEGIN;
INSERT INTO signups SELECT -i, '2026-01-04'::timestamptz - i * interval '1 minute', i % 3, 'd' || i % 450 FROM generate_series(1, 3000) AS i;
UPDATE signups SET device = 'd1' WHERE id % 7 = 0;
DELETE FROM signups WHERE id % 11 = 0;
SELECT * FROM helped('signups');
ROLLBACK;
GRANT SELECT ON views TO regress_gathering;
GRANT SELECT (id, at, app, device), TRIGGER ON signups TO regress_gathering;
SELECT attribution.set_owner('signups', 'regress_gathering');
SELECT * FROM helped('signups');
-- A helper's error is the call's. The leader waits for it here, so there is one.
CREATE FUNCTION helpers_fail(kind text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF current_setting('gathering.leader') <> pg_backend_pid()::text THEN RAISE 'a helper fails'; END IF;
  LOOP PERFORM pg_sleep(0.01); END LOOP;
END $$;
SELECT attribution.alter_tier('installs', 'click', filter => 'gathering.helpers_fail(kind)'), attribution.activate('installs') IS NULL AS failed;
SELECT set_config('gathering.leader', pg_backend_pid()::text, false) IS NULL AS failed;
DO $$ BEGIN
  PERFORM attribution.attribute('installs');
EXCEPTION WHEN raise_exception THEN RAISE WARNING '%', sqlerrm; END $$;
-- What is not declared safe is called by the leader alone.
CREATE FUNCTION alone(kind text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'parallel worker') THEN RAISE 'in company'; END IF;
  RETURN true;
END $$;
SELECT attribution.alter_tier('installs', 'click', filter => 'gathering.alone(kind)'), attribution.activate('installs') IS NULL AS failed;
SELECT count(*) > 0 AS some FROM attribution.attribute('installs', '2026-01-02', '2026-01-02 06:00');
RESET attribution.min_parallel_conversions;
DROP SCHEMA gathering CASCADE;
DROP ROLE regress_gathering;
DROP EXTENSION attribution;
