-- Ingestion: what becomes of staged rows.
\set SHOW_CONTEXT never
CREATE EXTENSION attribution;
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA shop;
CREATE TABLE shop.clicks (id text, at timestamptz NOT NULL, user_id int, cost numeric CHECK (cost >= 0), seen timestamptz DEFAULT '2026-01-01',
  twice int GENERATED ALWAYS AS (user_id * 2) STORED, others jsonb) PARTITION BY RANGE (at);
CREATE TABLE shop.clicks_default PARTITION OF shop.clicks DEFAULT;
CREATE TABLE shop.orders (id int, at timestamptz, user_id int);
CREATE INDEX ON shop.orders (id);
INSERT INTO attribution.partitioning (relation, retention, horizon) VALUES ('shop.clicks', '30 days', '2025-12-20 00:00');
SELECT attribution.create_rule('orders', 'shop.orders', 'id', 'at');
SELECT attribution.add_tier('orders', 'click', 'shop.clicks', '{user_id}', '7 days', id_column => 'id', time_column => 'at');
SELECT attribution.activate('orders');

-- What is to be ingested, and how.
SELECT attribution.make_staging('shop.clicks');
SELECT attname, format_type(atttypid, atttypmod), attnotnull, atthasdef FROM pg_attribute
  WHERE attrelid = 'shop.clicks_staging'::regclass AND attnum > 0 ORDER BY attnum;
SELECT attribution.make_staging('shop.clicks');
CALL attribution.ingest('shop.clicks');
SELECT attribution.ingest_from('shop.clicks', NULL);
SELECT attribution.ingest_from('shop.clicks', 'shop.clicks_staging', id_column => 'nix');
SELECT attribution.ingest_from('shop.clicks', 'shop.clicks_staging', id_column => 'id', time_column => 'user_id');
SELECT attribution.ingest_from('shop.clicks_default', 'shop.clicks_staging');
SELECT attribution.ingest_from('shop.clicks', 'shop.clicks_staging', batch_rows => 0);
SELECT attribution.ingest_from('shop.clicks', 'shop.clicks_staging');
SELECT target, staging, rejected, id_column, time_column, max_age, max_ahead, batch_rows, by_worker, topic, mapping FROM attribution.ingestion;

CREATE VIEW shop.state AS SELECT staged, moved, duplicates, rejected, batches FROM attribution.ingest_status WHERE target = 'shop.clicks'::regclass;
CREATE VIEW shop.wrong AS SELECT id, at, rejected_for, rejected_sqlstate, rejected_message FROM shop.clicks_rejected ORDER BY kafka_offset;
CREATE PROCEDURE shop.go() LANGUAGE plpgsql AS $$ BEGIN CALL attribution.ingest('shop.clicks', as_of => '2026-01-10 12:00'); END $$;

-- Duplicates in a batch: the earliest is kept, and of those the first that came. Generated columns generate themselves,
-- what was not said has its default, and what is not in the event table is left behind.
INSERT INTO shop.clicks_staging (id, at, user_id, kafka_offset) VALUES
  ('a', '2026-01-09 12:00', 1, 1), ('a', '2026-01-09 11:00', 2, 2), ('a', '2026-01-09 11:00', 3, 3), ('b', '2026-01-08 12:00', 4, 4);
CALL shop.go();
SELECT tableoid::regclass AS partition, id, at, user_id, twice, seen FROM shop.clicks ORDER BY id;
TABLE shop.state;
-- In the table: the same row again, the id at another time, in a partition and in the default one.
INSERT INTO shop.clicks (id, at, user_id) VALUES ('old', '2025-12-30 12:00', 9), ('future', '2026-06-01 12:00', 9);
INSERT INTO shop.clicks_staging (id, at, user_id, kafka_offset) VALUES
  ('a', '2026-01-09 11:00', 2, 5), ('b', '2026-01-01 00:00', 4, 6), ('old', '2026-01-10 12:00', 9, 7), ('future', '2026-01-10 12:00', 9, 8), ('c', '2026-01-10 12:00', 5, 9);
CALL shop.go();
SELECT id, at FROM shop.clicks ORDER BY id;
TABLE shop.state;
-- With a touch index on the id it is found by that.
CREATE INDEX ON shop.clicks USING touch (id, at);
INSERT INTO shop.clicks_staging (id, at, user_id, kafka_offset) VALUES
  ('a', '2026-01-09 11:00', 2, 10), ('b', '2026-01-01 00:00', 4, 11), ('old', '2026-01-10 12:00', 9, 12), ('future', '2026-01-10 12:00', 9, 13), ('d', '2026-01-10 12:00', 5, 14);
CALL shop.go();
SELECT id, at FROM shop.clicks ORDER BY id;
TABLE shop.state;
-- What is known, with and without; of a null id nothing is.
SELECT attribution._known('shop.clicks', 'id', 'at', ARRAY['a', 'x', NULL, 'old', 'future', 'a']);
DROP INDEX shop.clicks_id_at_idx;
SELECT attribution._known('shop.clicks', 'id', 'at', ARRAY['a', 'x', NULL, 'old', 'future', 'a']);
SELECT attribution._is_among('(1,2)', '{"(0,9)","(1,2)","(70000,1)"}'), attribution._is_among('(1,1)', '{"(0,9)","(1,2)"}'),
  attribution._is_among('(1,1)', '{}');
SELECT attribution._is_among('(1,1)', ARRAY['(0,9)', NULL]::tid[]);
SELECT attribution._known('shop.clicks', 'id', 'at', '{}'::text[]);
SELECT attribution._known('shop.clicks', 'id', 'at', ARRAY[1, 2]);
SELECT attribution._known('shop.clicks', 'user_id', 'at', ARRAY[5, 6]);
CREATE INDEX ON shop.clicks USING touch (id, at);

-- Ends of time, missing ids and times, the horizon, retention, the future, the table's own constraints.
INSERT INTO shop.clicks_staging (id, at, cost, kafka_offset) VALUES
  (NULL, '2026-01-10 12:00', 1, 20), ('no time', NULL, 1, 21), ('infinity', 'infinity', 1, 22), ('-infinity', '-infinity', 1, 23),
  ('before horizon', '2025-12-19 23:59:59.999999', 1, 24), ('at horizon', '2025-12-20 00:00', 1, 25),
  ('ahead', '2026-01-11 12:00', 1, 26), ('further ahead', '2026-01-11 12:00:00.000001', 1, 27),
  ('negative', '2026-01-10 12:00', -1, 28), ('fine', '2026-01-10 12:00', 1, 29), ('negative too', '2026-01-10 12:00', -2, 30);
CALL shop.go();
TABLE shop.wrong;
SELECT id FROM shop.clicks WHERE cost IS NOT NULL ORDER BY id;
TABLE shop.state;
-- After a fix they are staged again, all or those rejected for a reason; what is still wrong comes back.
UPDATE shop.clicks_rejected SET cost = 0 WHERE rejected_for = 'refused';
SELECT attribution.retry_rejected('shop.clicks', 'refused');
SELECT attribution.retry_rejected('shop.clicks', 'too_new');
CALL shop.go();
SELECT id, rejected_for FROM shop.wrong;
SELECT id, tableoid::regclass FROM shop.clicks WHERE cost = 0 ORDER BY id;
-- Older than max_age, than retention. Without max_ahead the future is as long as it likes.
SELECT attribution.ingest_from('shop.clicks', 'shop.clicks_staging', max_age => '3 days', max_ahead => NULL);
INSERT INTO shop.clicks_staging (id, at, kafka_offset) VALUES ('four days', '2026-01-06 12:00', 40), ('three days', '2026-01-07 12:00', 41), ('far', '2027-01-01 00:00', 42);
CALL shop.go();
SELECT id, rejected_for FROM shop.wrong WHERE id LIKE '%days';
SELECT id, tableoid::regclass FROM shop.clicks WHERE id IN ('three days', 'far') ORDER BY id;
UPDATE attribution.partitioning SET retention = '2 days' WHERE relation = 'shop.clicks'::regclass;
INSERT INTO shop.clicks_staging (id, at, kafka_offset) VALUES ('kept no more', '2026-01-08 11:59', 43);
CALL shop.go();
SELECT id, rejected_for FROM shop.wrong WHERE id LIKE 'kept%';

-- A bad row in a large batch is found, wherever it is, and more batches than one.
SELECT attribution.ingest_from('shop.clicks', 'shop.clicks_staging', batch_rows => 700);
TRUNCATE shop.clicks_rejected;
INSERT INTO shop.clicks_staging (id, at, cost, kafka_offset)
  SELECT 'n' || n, '2026-01-10 00:00'::timestamptz + n * interval '1 s', CASE WHEN n IN (1, 333, 334, 2000) THEN -1 ELSE 1 END, n FROM generate_series(1, 2000) AS n;
CALL shop.go();
SELECT id, rejected_sqlstate FROM shop.wrong;
SELECT count(*), count(DISTINCT id) FROM shop.clicks WHERE id LIKE 'n%';
SELECT staged FROM shop.state;
-- A fault that is not the rows' stops it, and nothing is lost.
ALTER TABLE shop.clicks ADD CONSTRAINT closed CHECK (id IS NULL) NOT VALID;
INSERT INTO shop.clicks_staging (id, at, kafka_offset) SELECT 'm' || n, '2026-01-10 00:00', n FROM generate_series(1, 300) AS n;
CALL shop.go();
SELECT staged FROM shop.state;
SELECT count(*) FROM shop.clicks_rejected;
ALTER TABLE shop.clicks DROP CONSTRAINT closed;
CALL shop.go();
SELECT staged FROM shop.state;
SELECT count(*) FROM shop.clicks WHERE id LIKE 'm%';
-- A staging table that is not in use any more gives its space back.
CALL shop.go();
SELECT pg_relation_size('shop.clicks_staging');

-- Without a default partition, and a table that has none at all.
DROP TABLE shop.clicks_default;
INSERT INTO shop.clicks_staging (id, at) VALUES ('new day', '2026-01-11 01:00');
CALL shop.go();
SELECT tableoid::regclass FROM shop.clicks WHERE id = 'new day';
UPDATE attribution.partitioning SET retention = NULL WHERE relation = 'shop.clicks'::regclass;
-- While partitions are made for a batch, another may take its rows, and new ones be staged: their days get partitions too.
INSERT INTO shop.clicks_staging (id, at) VALUES ('one day', '2026-01-02 01:00');
SELECT attribution._begin_pass('2026-01-10 12:00') AS state \gset
SELECT attribution._ingest_step('shop.clicks', :'state') AS state \gset
SELECT :'state'::jsonb -> 'missing' AS missing;
INSERT INTO shop.clicks_staging (id, at) VALUES ('another day', '2026-01-04 01:00');
SELECT attribution._ingest_step('shop.clicks', :'state') AS state \gset
SELECT attribution._ingest_step('shop.clicks', :'state') AS state \gset
SELECT :'state'::jsonb -> 'missing' AS missing;
CALL shop.go();
SELECT tableoid::regclass, id FROM shop.clicks WHERE id IN ('one day', 'another day') ORDER BY id;
-- Where another partition is in the way, the table refuses the row.
CREATE TABLE shop.clicks_odd PARTITION OF shop.clicks FOR VALUES FROM ('2026-01-06 00:00') TO ('2026-01-06 12:00');
INSERT INTO shop.clicks_staging (id, at) VALUES ('morning', '2026-01-06 11:00'), ('evening', '2026-01-06 13:00');
TRUNCATE shop.clicks_rejected;
CALL shop.go();
SELECT tableoid::regclass FROM shop.clicks WHERE id = 'morning';
SELECT id, rejected_for, rejected_sqlstate, rejected_message FROM shop.wrong;

-- Conversions are queued as others are. Into a plain table, from one that somebody else has made.
CREATE TABLE shop.incoming (user_id int, at timestamptz, id int, note text);
SELECT attribution.ingest_from('shop.orders', 'shop.incoming');
CALL attribution.run('orders');
INSERT INTO shop.incoming (id, at, user_id) VALUES (1, '2026-01-10 11:00', 77), (2, '2026-01-10 11:00', 78), (NULL, '2026-01-10 11:00', 78), (3, NULL, 78);
CALL attribution.ingest(rule => 'orders', as_of => '2026-01-10 12:00');
SELECT conversion_id, arrived_at IS NULL AS undecided FROM shop.orders_pending ORDER BY 1;
SELECT id, rejected_for FROM shop.orders_rejected ORDER BY 1;
CALL attribution.run('orders');
SELECT conversion_id, outcome FROM shop.orders_attribution ORDER BY 1;
-- A click that comes late has the conversion that it may explain decided at once, and no other.
UPDATE shop.orders_pending SET due = '2099-01-01';
UPDATE attribution.ingest_progress SET hasten_at = '-infinity';
INSERT INTO shop.clicks_staging (id, at, user_id) VALUES ('late', '2026-01-10 10:00', 77), ('too late', '2026-01-10 11:00:00.000001', 78), ('too old', '2026-01-03 10:59', 78);
CALL attribution.ingest('shop.clicks', as_of => '2026-01-10 12:00');
SELECT conversion_id, due FROM shop.orders_pending ORDER BY 1;
CALL attribution.run('orders');
SELECT conversion_id, outcome, touch_id FROM shop.orders_attribution ORDER BY 1;

-- Who may: with the privileges of the owner, who must be a writer; the work is done with his rights.
CREATE ROLE regress_shopkeeper;
CREATE ROLE regress_clerk;
GRANT USAGE, CREATE ON SCHEMA shop TO regress_shopkeeper;
GRANT USAGE ON SCHEMA shop TO regress_clerk;
GRANT attribution_writer TO regress_clerk;
CREATE TABLE shop.views (id int, at timestamptz, who text);
CREATE FUNCTION shop.note_who() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.who := current_user; RETURN NEW; END $$;
CREATE TRIGGER note_who BEFORE INSERT ON shop.views FOR EACH ROW EXECUTE FUNCTION shop.note_who();
ALTER TABLE shop.views OWNER TO regress_shopkeeper;
SELECT attribution.make_staging('shop.views');
SELECT attribution.ingest_from('shop.views', 'shop.views_staging', 'id', 'at');
SELECT relname, relowner::regrole FROM pg_class WHERE relname IN ('views_staging', 'views_rejected') ORDER BY 1;
INSERT INTO shop.views_staging VALUES (1, '2026-01-10 12:00', 'me');
CALL attribution.ingest('shop.views', as_of => '2026-01-10 12:00');
GRANT attribution_writer TO regress_shopkeeper;
CALL attribution.ingest('shop.views', as_of => '2026-01-10 12:00');
SELECT * FROM shop.views;
SET ROLE regress_clerk;
SET client_min_messages = notice;
CALL attribution.ingest('shop.views');
CALL attribution.ingest();
SELECT attribution.make_staging('shop.views');
SELECT attribution.ingest_from('shop.views', 'shop.views_staging', 'id', 'at');
DELETE FROM attribution.ingestion WHERE target = 'shop.views'::regclass;
UPDATE attribution.ingest_progress SET moved = 0 WHERE target = 'shop.views'::regclass;
SELECT target, staged, moved FROM attribution.ingest_status WHERE target = 'shop.views'::regclass;
SELECT attribution._known('shop.views', 'id', 'at', ARRAY[1]);
SELECT attribution._ingest_as_owner('shop.views', '{}');
SET client_min_messages = warning;
RESET ROLE;
-- Nor from tables that are another's.
SET ROLE regress_shopkeeper;
SELECT attribution.ingest_from('shop.views', 'shop.incoming', 'id', 'at');
RESET ROLE;
BEGIN;
CALL attribution.ingest();
ROLLBACK;
-- A table that is gone.
DROP TABLE shop.views;
CALL attribution.ingest();
DELETE FROM attribution.ingestion WHERE target::oid NOT IN (SELECT oid FROM pg_class);

-- The bridge's configuration: a topic for each table of the rule.
SELECT attribution.ingest_from('shop.clicks', 'shop.clicks_staging', topic => 'ad clicks', mapping => '{"at": {"path": "datetime_occured", "time": "epoch_ms", "zone": "UTC", "required": true}, "cost": null}');
\pset format unaligned
\pset tuples_only on
SELECT attribution.bridge_config('orders', mapping => '{"orders": {"columns": {"note": {"path": ["a.b", "c"], "default": "say \"x\""}}}}', brokers => 'k1:9092,k2:9092', dsn => 'service=shop');
SELECT attribution.bridge_config('nix');
SELECT attribution.bridge_config('orders', mapping => '{"orders": {"columns": {"nix": {}}}}');
SELECT attribution.bridge_config('orders', mapping => '{"nix": {}}');

DROP EXTENSION attribution CASCADE;
DROP SCHEMA shop CASCADE;
DROP ROLE regress_shopkeeper, regress_clerk;
