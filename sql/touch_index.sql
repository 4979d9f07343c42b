-- The touch index as an index: whatever is done to its table, it finds what reading all of it finds.
CREATE EXTENSION attribution;
CREATE SCHEMA touched;
SET search_path = touched;
SET timezone = 'UTC';

-- Clicks of many devices, of one that is heavy, and of none. Every tenth has no device, every seventh the heavy one.
CREATE TABLE clicks (id bigint, at timestamptz, app int, device uuid);
CREATE FUNCTION add_clicks(first int, last int) RETURNS void LANGUAGE sql AS $$
  INSERT INTO clicks SELECT i, '2026-01-01 00:00+00'::timestamptz + i % 86400 * interval '1 second', i % 3,
    CASE WHEN i % 10 = 0 THEN NULL WHEN i % 7 = 0 THEN md5('heavy') ELSE md5((i % 5000)::text) END::uuid
  FROM generate_series(first, last) AS i $$;
-- How many keys have other clicks by the index than by reading all; a few of them one by one, with a time.
CREATE FUNCTION differ() RETURNS bigint LANGUAGE plpgsql SET search_path = touched SET timezone = 'UTC' AS $$
DECLARE
  wrong bigint := 0;
  key record;
BEGIN
  FOR key IN SELECT c.app, c.device, count(*) AS whole, count(*) FILTER (WHERE c.at >= '2026-01-01 06:00' AND c.at < '2026-01-01 12:00') AS part
               FROM clicks AS c WHERE c.device IS NOT NULL AND (hashtext(c.device::text) % 20 = 0 OR c.device = md5('heavy')::uuid)
              GROUP BY 1, 2 LOOP
    PERFORM set_config('enable_seqscan', 'off', true);
    IF key.whole <> (SELECT count(*) FROM clicks AS c WHERE c.app = key.app AND c.device = key.device) OR
       key.part <> (SELECT count(*) FROM clicks AS c WHERE c.app = key.app AND c.device = key.device
                     AND c.at >= '2026-01-01 06:00' AND c.at < '2026-01-01 12:00') THEN
      wrong := wrong + 1;
    END IF;
    PERFORM set_config('enable_seqscan', 'on', true);
  END LOOP;
  RETURN wrong;
END $$;

-- Built from rows, and filled row by row.
SELECT add_clicks(1, 20000);
CREATE INDEX clicks_touch ON clicks USING touch (app, device, at);
EXPLAIN (COSTS OFF) SELECT FROM clicks WHERE app = 1 AND device = md5('1')::uuid AND at > '2026-01-01';
SELECT differ();
SELECT * FROM attribution.touch_index_check('clicks_touch');
SELECT add_clicks(20001, 100000);
SELECT differ();
SELECT * FROM attribution.touch_index_check('clicks_touch');
SELECT entries, null_entries, buckets > 50 AS many_buckets, longest_chain <= 5 AS short_chains, heavy_buckets, longest_heavy_chain > 8 AS long_heavy_chain
  FROM attribution.touch_indexes WHERE index = 'clicks_touch'::regclass;
-- Chains from before an option was changed are right all the same.
ALTER INDEX clicks_touch SET (bucket_pages = 1);
SELECT * FROM attribution.touch_index_check('clicks_touch');
ALTER INDEX clicks_touch RESET (bucket_pages);

-- Changed, deleted, vacuumed; places that are used again.
UPDATE clicks SET at = at + interval '1 hour' WHERE id % 11 = 0;
UPDATE clicks SET device = md5('heavy')::uuid WHERE id % 501 = 0;
DELETE FROM clicks WHERE id % 3 = 0;
SELECT differ();
VACUUM clicks;
SELECT * FROM attribution.touch_index_check('clicks_touch');
SELECT entries = (SELECT count(*) FROM clicks) AS all_gone, free_pages > 0 AS pages_free FROM attribution.touch_indexes WHERE index = 'clicks_touch'::regclass;
SELECT add_clicks(100001, 140000);
SELECT differ();
SELECT * FROM attribution.touch_index_check('clicks_touch');
DELETE FROM clicks WHERE device = md5('heavy')::uuid AND id < 100000;
VACUUM clicks;
SELECT differ();
SELECT * FROM attribution.touch_index_check('clicks_touch');

-- A transaction finds what it has inserted, and what its subtransactions have left.
BEGIN;
INSERT INTO clicks VALUES (-1, '2026-01-01', -1, md5('mine')::uuid);
SAVEPOINT one;
INSERT INTO clicks VALUES (-2, '2026-01-01', -1, md5('mine')::uuid);
SAVEPOINT two;
INSERT INTO clicks VALUES (-3, '2026-01-01', -1, md5('mine')::uuid);
RELEASE two;
ROLLBACK TO one;
INSERT INTO clicks VALUES (-4, '2026-01-01', -1, md5('mine')::uuid);
SAVEPOINT three;
INSERT INTO clicks VALUES (-5, '2026-01-01', -1, md5('mine')::uuid);
SET LOCAL enable_seqscan = off;
SELECT id FROM clicks WHERE app = -1 AND device = md5('mine')::uuid ORDER BY id DESC;
RELEASE three;
INSERT INTO clicks VALUES (-6, '2026-01-01', -1, md5('mine')::uuid);
COMMIT;
SET enable_seqscan = off;
SELECT id FROM clicks WHERE app = -1 AND device = md5('mine')::uuid ORDER BY id DESC;
RESET enable_seqscan;
SELECT * FROM attribution.touch_index_check('clicks_touch');
DO $$ -- subtransactions, each with a row
BEGIN
  FOR i IN 1 .. 50 LOOP
    BEGIN
      INSERT INTO clicks VALUES (-100 - i, '2026-01-01', -2, md5('mine')::uuid);
      IF i % 2 = 0 THEN RAISE 'no'; END IF;
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
  END LOOP;
END $$;
SET enable_seqscan = off;
SELECT count(*) FROM clicks WHERE app = -2 AND device = md5('mine')::uuid;
RESET enable_seqscan;

-- Truncated, rewritten, rebuilt: within the transaction that inserts, too.
BEGIN;
SELECT add_clicks(200001, 200100);
TRUNCATE clicks;
SELECT add_clicks(1, 3000);
COMMIT;
SELECT differ();
BEGIN;
SELECT add_clicks(3001, 6000);
REINDEX INDEX clicks_touch;
SELECT add_clicks(6001, 9000);
ALTER TABLE clicks ALTER id TYPE numeric;
SELECT add_clicks(9001, 12000);
COMMIT;
SELECT differ();
REINDEX INDEX CONCURRENTLY clicks_touch;
CREATE INDEX CONCURRENTLY clicks_known ON clicks USING touch (device, app, at) WITH (bucket_pages = 1) WHERE device IS NOT NULL;
SELECT differ();
BEGIN;
SELECT add_clicks(12001, 15000);
DROP INDEX clicks_known;
COMMIT;
SELECT * FROM attribution.touch_index_check('clicks_touch');
SET maintenance_work_mem = '1MB';
SELECT add_clicks(15001, 150000);
REINDEX INDEX clicks_touch; -- through files
RESET maintenance_work_mem;
SELECT differ();
SELECT * FROM attribution.touch_index_check('clicks_touch');
DROP TABLE clicks;

-- Partitions: made with their index, and attached.
CREATE TABLE clicks (id bigint, at timestamptz, app int, device uuid) PARTITION BY RANGE (at);
CREATE INDEX clicks_touch ON clicks USING touch (app, device, at);
CREATE TABLE clicks_1 PARTITION OF clicks FOR VALUES FROM ('2026-01-01') TO ('2026-01-01 12:00');
CREATE TABLE clicks_2 (LIKE clicks);
INSERT INTO clicks_2 VALUES (-1, '2026-01-01 12:00', 1, md5('heavy')::uuid);
ALTER TABLE clicks ATTACH PARTITION clicks_2 FOR VALUES FROM ('2026-01-01 12:00') TO ('2026-01-02');
SELECT add_clicks(1, 60000);
ANALYZE clicks;
SELECT differ();
SELECT relation, problem FROM attribution.touch_indexes LEFT JOIN LATERAL attribution.touch_index_check(index) ON true ORDER BY 1;
SELECT * FROM attribution.touch_index_check('clicks_touch');
DROP TABLE clicks;

-- Any type that can be hashed, NULLs, equal values of different types and of different looks.
CREATE TYPE color AS ENUM ('red', 'green');
CREATE DOMAIN app_id AS int;
CREATE TABLE odd (n numeric, b char(5), c color, a int[], r int4range, i int8, d app_id, t timestamptz);
CREATE INDEX odd_touch ON odd USING touch (n, b, c, a, r, i, d, t);
INSERT INTO odd VALUES (1.0, 'x', 'red', '{1,2}', '[1,3)', 7, 7, '2026-01-01'), (1.00, 'x  ', 'red', '{1,2}', '[1,2]', 7, 7, 'infinity'),
  (NULL, 'x', 'red', '{1,2}', '[1,3)', 7, 7, '2026-01-01'), (1, 'x', 'green', '{1,2}', '[1,3)', 7, 7, NULL);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT FROM odd WHERE n = 1 AND b = 'x' AND c = 'red' AND a = '{1,2}' AND r = '[1,3)' AND i = 7::int4 AND d = 7;
SELECT n, t FROM odd WHERE n = 1 AND b = 'x' AND c = 'red' AND a = '{1,2}' AND r = '[1,3)' AND i = 7::int2 AND d = 7 ORDER BY t;
SELECT n, t FROM odd WHERE n = 1 AND b = 'x' AND c = 'red' AND a = '{1,2}' AND r = '[1,3)' AND i = 7 AND d = 7 AND t = 'infinity';
SELECT count(*) FROM odd WHERE n = NULL::numeric AND b = 'x' AND c = 'red' AND a = '{1,2}' AND r = '[1,3)' AND i = 7 AND d = 7;
SELECT count(*) FROM odd WHERE n = ANY ('{1,2}') AND b = 'x' AND c = 'green' AND a = '{1,2}' AND r = '[1,3)' AND i = 7 AND d = 7;
SELECT count(*) FROM odd WHERE n = 1; -- not all of the key: all of the index
RESET enable_seqscan;
SELECT * FROM attribution.touch_index_check('odd_touch');

-- Pages have room when they are built: a few rows more need no others.
CREATE TABLE growing (k int, t timestamptz);
INSERT INTO growing SELECT i, '2026-01-01' FROM generate_series(1, 50000) AS i;
CREATE INDEX growing_touch ON growing USING touch (k, t);
CREATE INDEX growing_full ON growing USING touch (k, t) WITH (fillfactor = 100);
CREATE INDEX growing_half ON growing USING touch (k, t) WITH (fillfactor = 50);
INSERT INTO growing SELECT i, '2026-01-01' FROM generate_series(50001, 52000) AS i;
SELECT index, buckets, longest_chain FROM attribution.touch_indexes WHERE relation = 'growing'::regclass ORDER BY 1;
DROP TABLE growing;

-- Unlogged and temporary tables.
CREATE UNLOGGED TABLE fleeting (k text, t timestamptz);
CREATE INDEX fleeting_touch ON fleeting USING touch (k, t);
INSERT INTO fleeting SELECT (i % 100)::text, '2026-01-01'::timestamptz + i * interval '1 s' FROM generate_series(1, 5000) AS i;
SELECT * FROM attribution.touch_index_check('fleeting_touch');
CREATE TEMP TABLE passing (k text, t timestamptz) ON COMMIT DELETE ROWS;
CREATE INDEX passing_touch ON passing USING touch (k, t);
BEGIN;
INSERT INTO passing VALUES ('a', '2026-01-01'), ('b', '2026-01-01');
SET LOCAL enable_seqscan = off;
SELECT * FROM passing WHERE k = 'a';
COMMIT;
SELECT count(*) FROM passing;
SELECT * FROM attribution.touch_index_check('passing_touch');

-- What can't be.
\set VERBOSITY default
CREATE INDEX ON odd USING touch (t);
CREATE INDEX ON odd USING touch (n, i);
CREATE TABLE strange (p point, t timestamptz);
CREATE INDEX ON strange USING touch (p, t);
CREATE UNIQUE INDEX ON odd USING touch (n, t);
CREATE INDEX ON odd USING touch (n, t) INCLUDE (i);
CREATE INDEX ON odd USING touch (n, t) WITH (bucket_pages = 0);
CREATE INDEX ON odd USING touch (n, t) WITH (fillfactor = 9);
CREATE INDEX odd_btree ON odd (n);
SELECT * FROM attribution.touch_index_check('odd_btree');

\set VERBOSITY terse
DROP TABLE passing;
SET client_min_messages = warning;
DROP SCHEMA touched CASCADE;
DROP EXTENSION attribution;
