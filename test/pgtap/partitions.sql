-- Partitions by time: made ahead, filled from the default partition, dropped by retention.
BEGIN;
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS attribution;
SELECT plan(95);

CREATE SCHEMA parts;
CREATE TABLE parts.log (id integer, at timestamptz, note text, twice integer GENERATED ALWAYS AS (id * 2) STORED,
  CONSTRAINT positive CHECK (id > 0), PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
-- The default partition's columns lie in another order, and one of its columns is gone.
CREATE TABLE parts.log_rest (gone text, note text, at timestamptz NOT NULL, id integer NOT NULL,
  twice integer GENERATED ALWAYS AS (id * 2) STORED, CONSTRAINT positive CHECK (id > 0));
ALTER TABLE parts.log_rest DROP COLUMN gone;
ALTER TABLE parts.log ATTACH PARTITION parts.log_rest DEFAULT;
CREATE INDEX ON parts.log (note);

-- Where a row is.
CREATE FUNCTION pg_temp.place(wanted integer) RETURNS text LANGUAGE sql AS
  $$ SELECT tableoid::regclass::text FROM parts.log WHERE id = wanted $$;

---------------------------------------------------------------------------------------------------------- make_partitions

SELECT is(attribution.make_partitions('parts.log', '2026-01-03 00:00+00', '2026-01-06 00:00+00'), 3,
          'a partition for each day; until itself is out');
SELECT is(attribution.make_partitions('parts.log', '2026-01-03 00:00+00', '2026-01-06 00:00+00'), 0, 'once');
SELECT is(attribution.make_partitions('parts.log', '2026-01-05 12:00+00', '2026-01-06 00:00:00.000001+00'), 1,
          'days that are there are passed over, a day touched is made whole');
SELECT is(attribution.make_partitions('parts.log', '2026-01-05 12:00+00', '2026-01-05 12:00+00'), 0, 'no time, no days');
INSERT INTO parts.log VALUES (1, '2026-01-03 00:00+00'), (2, '2026-01-03 23:59:59.999999+00'), (3, '2026-01-04 00:00+00'),
  (4, '2026-01-02 23:59:59.999999+00'), (5, '1970-01-01 00:00+00'), (6, 'infinity'), (7, '-infinity');
SELECT is(pg_temp.place(1), 'parts.log_20260103', 'a day holds its first instant');
SELECT is(pg_temp.place(2), 'parts.log_20260103', 'and its last');
SELECT is(pg_temp.place(3), 'parts.log_20260104', 'and not the next day''s');
SELECT is(pg_temp.place(4), 'parts.log_rest', 'what has no day waits in the default partition');
SELECT has_index('parts', 'log_20260103', 'log_20260103_note_idx', 'a day has the indexes');
SELECT throws_ok($$INSERT INTO parts.log VALUES (0, '2026-01-03 00:00+00')$$, '23514', NULL, 'and the constraints');

-- Rows that wait move.
INSERT INTO parts.log SELECT 100 + i, '2026-02-01 00:00+00'::timestamptz + i * interval '6 hours', 'n' || i FROM generate_series(0, 11) i;
CREATE TEMP TABLE before_move AS SELECT * FROM parts.log;
SELECT is(attribution.make_partitions('parts.log', '2026-02-01 00:00+00', '2026-02-03 00:00+00'), 2, 'days of rows that wait');
SELECT is(pg_temp.place(107), 'parts.log_20260202', 'their rows move in');
SELECT is(pg_temp.place(108), 'parts.log_rest', 'those of other days stay');
SELECT set_eq('SELECT * FROM parts.log', 'SELECT * FROM before_move', 'nothing is lost, doubled or changed');
SELECT is((SELECT count(*)::integer FROM pg_constraint WHERE conrelid = 'parts.log_rest'::regclass AND conname LIKE '%fence%'), 0,
          'the default partition keeps no trace');
SELECT lives_ok($$SELECT attribution.make_partitions('parts.log', '1969-12-30 00:00+00', '1970-01-03 00:00+00')$$, 'days around 1970');
SELECT is(pg_temp.place(5), 'parts.log_19700101', 'its first instant is of its first day');

-- No TimeZone, DateStyle or clock change bends a day.
SET timezone = 'America/New_York';
SET datestyle = 'SQL, DMY';
SELECT is(attribution.make_partitions('parts.log', '2026-03-07 00:00+00', '2026-03-10 00:00+00'), 3, 'days around a change to summer time');
INSERT INTO parts.log VALUES (200, '2026-03-08 00:00+00'), (201, '2026-03-08 23:59:59.999999+00'), (202, '2026-03-09 00:00+00');
SELECT is(pg_temp.place(200), 'parts.log_20260308', 'start at midnight UTC');
SELECT is(pg_temp.place(201), 'parts.log_20260308', 'last 24 hours');
SELECT is(pg_temp.place(202), 'parts.log_20260309', 'and end at midnight UTC');
SET timezone = 'Asia/Kathmandu';
SELECT is(attribution.make_partitions('parts.log', '2026-03-07 00:00+00', '2026-03-10 00:00+00'), 0, 'the same days in another zone');
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';

-- Far days.
SELECT is(attribution.make_partitions('parts.log', '0044-03-15 00:00+00 BC', '0044-03-17 00:00+00 BC'), 2, 'days before Christ');
SELECT is(attribution.make_partitions('parts.log', '0044-03-15 00:00+00', '0044-03-17 00:00+00'), 2, 'and the same days after have other names');
SELECT is(attribution.make_partitions('parts.log', '0001-12-31 00:00+00 BC', '0001-01-02 00:00+00'), 2, 'between them lies no year');
SELECT is(attribution.make_partitions('parts.log', '9999-12-31 00:00+00', '10000-01-02 00:00+00'), 2, 'days of five-digit years');
INSERT INTO parts.log VALUES (300, '0044-03-15 12:00+00 BC');
SELECT is(pg_temp.place(300), 'parts.log_00440315bc', 'their rows find them');

-- Errors.
CREATE TABLE parts.plain (at timestamptz);
CREATE TABLE parts.listed (at timestamptz) PARTITION BY LIST (at);
CREATE TABLE parts.zoneless (at timestamp) PARTITION BY RANGE (at);
CREATE TABLE parts.pair (at timestamptz, b integer) PARTITION BY RANGE (at, b);
CREATE TABLE parts.odd (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE parts.odd_january PARTITION OF parts.odd FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00');
CREATE TABLE parts.odd_shifted PARTITION OF parts.odd FOR VALUES FROM ('2026-02-10 06:00+00') TO ('2026-02-11 06:00+00');
SELECT throws_ok(format('SELECT attribution.make_partitions(%L, %L, %L)', relation, since, until), state, NULL, why)
  FROM (VALUES
    ('parts.plain', '2026-01-01', '2026-01-02', '42809', 'a plain table is refused'),
    ('parts.listed', '2026-01-01', '2026-01-02', '42809', 'a table partitioned by list is refused'),
    ('parts.zoneless', '2026-01-01', '2026-01-02', '42809', 'a table partitioned on times without a zone is refused'),
    ('parts.pair', '2026-01-01', '2026-01-02', '42809', 'a table partitioned on two columns is refused'),
    ('parts.log', '-infinity', '2026-01-02', '22023', 'since is finite'),
    ('parts.log', '2026-01-02', 'infinity', '22023', 'until is finite'),
    ('parts.log', '2026-01-02', '2026-01-01', '22023', 'since is not later than until'),
    ('parts.log', NULL, '2026-01-01', '22004', 'since is known'),
    (NULL, '2026-01-01', '2026-01-02', '22004', 'the table is known'),
    ('parts.log', '2030-01-01', '2050-01-01', '54000', 'no more than 4,000 at once'),
    ('parts.odd', '2026-02-10', '2026-02-11', '42P17', 'a partition that covers a part of a day is in the way')
  ) AS refused (relation, since, until, state, why);
SELECT is(attribution.make_partitions('parts.odd', '2026-01-05', '2026-01-09'), 0, 'a month serves its days');
CREATE TABLE parts.odd_20260301 (at timestamptz);
SELECT throws_ok($$SELECT attribution.make_partitions('parts.odd', '2026-03-01', '2026-03-02')$$, '42P07', NULL, 'a name in use is not taken away');

CREATE TABLE parts.refers (id integer, at timestamptz, FOREIGN KEY (id, at) REFERENCES parts.log ON DELETE CASCADE);
INSERT INTO parts.refers VALUES (4, '2026-01-02 23:59:59.999999+00');
SELECT throws_ok($$SELECT attribution.make_partitions('parts.log', '2026-01-02', '2026-01-03')$$, '2BP01', NULL,
                 'rows are not moved from under a foreign key');
SELECT is((SELECT count(*)::integer FROM parts.refers), 1, 'nor are rows that refer to them deleted');
DROP TABLE parts.refers;

-- Names as long as can be.
DO $$ BEGIN EXECUTE format('CREATE TABLE parts.%I (at timestamptz) PARTITION BY RANGE (at)', repeat('ä', 31)); END $$;
SELECT is(attribution.make_partitions(format('parts.%I', repeat('ä', 31))::regclass, '2026-01-01', '2026-01-03'), 2, 'long names leave room for the day');
DO $$ BEGIN EXECUTE format('CREATE TABLE parts.%I (at timestamptz) PARTITION BY RANGE (at)', repeat('ä', 30) || 'ö'); END $$;
SELECT is(attribution.make_partitions(format('parts.%I', repeat('ä', 30) || 'ö')::regclass, '2026-01-01', '2026-01-03'), 2,
          'and those that differ in their end alone don''t meet');

-- Other spans.
CREATE TABLE parts.hourly (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE parts.weekly (at timestamptz) PARTITION BY RANGE (at);
INSERT INTO attribution.partitioning (relation, granularity) VALUES ('parts.hourly', '6 hours'), ('parts.weekly', '7 days');
SELECT is(attribution.make_partitions('parts.hourly', '2026-01-01 00:00+00', '2026-01-02 00:00+00'), 4, 'six hours are four a day');
SELECT has_table('parts', 'hourly_20260101_0600', 'named for their start');
SELECT is(attribution.make_partitions('parts.weekly', '2026-01-05 00:00+00', '2026-01-12 00:00+00'), 1, 'a week starts on Monday');
SELECT throws_ok(format('INSERT INTO attribution.partitioning (relation, granularity) VALUES (''parts.log'', %L)', span), '23514', NULL,
                 'no granularity: ' || span)
  FROM unnest('{1 month,7 hours,36 hours,0,-1 day,30 seconds}'::text[]) span;

---------------------------------------------------------------------------------------------------------- drop_partitions

SELECT throws_ok($$SELECT attribution.drop_partitions('parts.log', '2026-01-05')$$, '55000', NULL, 'without a place for the horizon nothing is dropped');
INSERT INTO attribution.partitioning (relation, ahead) VALUES ('parts.log', 2);
SELECT throws_ok($$SELECT attribution.drop_partitions('parts.log', 'infinity')$$, '22023', NULL, 'before is finite');
INSERT INTO parts.log VALUES (400, '2025-12-24 00:00+00');
SELECT is(attribution.drop_partitions('parts.log', '2026-01-05 23:59+00'),
          12, 'whole partitions before a time are dropped');
SELECT is((SELECT horizon FROM attribution.partitioning WHERE relation = 'parts.log'::regclass), '2026-01-05 00:00+00',
          'the horizon is where they ended');
SELECT hasnt_table('parts', 'log_20260104', 'the day before is gone');
SELECT has_table('parts', 'log_20260105', 'the day of that time stays');
SELECT is((SELECT array_agg(id ORDER BY id) FROM parts.log WHERE at < '2026-01-05 00:00+00'), NULL,
          'rows that waited for days before the horizon are gone, too');
SELECT is((SELECT count(*)::integer FROM parts.log WHERE id >= 108 AND id < 112), 4, 'rows that wait for later days stay');
SELECT is(attribution.drop_partitions('parts.log', '2026-01-03 00:00+00'), 0, 'an earlier time drops nothing');
SELECT is((SELECT horizon FROM attribution.partitioning WHERE relation = 'parts.log'::regclass), '2026-01-05 00:00+00',
          'and does not move the horizon back');

------------------------------------------------------------------------------------------------------ maintain_partitions

SELECT results_eq($$SELECT made, dropped, moved FROM attribution.maintain_partitions('parts.log')$$, $$VALUES (4, 0, 4::bigint)$$,
                  'today, two days ahead, and the day whose rows wait');
SELECT is((SELECT array_agg(id) FROM parts.log_rest), '{6}', 'an infinite time has no day');
SELECT results_eq($$SELECT made, dropped, moved FROM attribution.maintain_partitions('parts.log')$$, $$VALUES (0, 0, 0::bigint)$$, 'once');

-- Retention: 30 days back, rows of 29 to 32 days ago, all of them still waiting.
CREATE TABLE parts.kept (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE parts.kept_rest PARTITION OF parts.kept DEFAULT;
INSERT INTO attribution.partitioning (relation, retention, ahead) VALUES ('parts.kept', '30 days', 0);
INSERT INTO parts.kept SELECT now() - i * interval '24 hours' FROM unnest('{0,29,30,31,32}'::integer[]) i;
SELECT results_eq($$SELECT made, dropped, moved FROM attribution.maintain_partitions('parts.kept')$$, $$VALUES (5, 2, 5::bigint)$$,
                  'what is older than the retention goes, even if it waited');
SELECT is((SELECT count(*)::integer FROM parts.kept), 3, 'the rest stays, the day that the limit lies in as a whole');
SELECT is((SELECT horizon FROM attribution.partitioning WHERE relation = 'parts.kept'::regclass),
          date_trunc('day', now(), 'UTC') - interval '720 hours', 'and the horizon tells');
INSERT INTO parts.kept VALUES (now() - interval '1000 hours'), (now() - interval '48 hours');
SELECT results_eq($$SELECT made, dropped, moved FROM attribution.maintain_partitions('parts.kept')$$, $$VALUES (1, 0, 1::bigint)$$,
                  'a row that comes too late for its retention makes no day');
SELECT is((SELECT count(*)::integer FROM parts.kept), 4, 'and goes');

-- A client that sends any day at all.
CREATE TABLE parts.wild (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE parts.wild_rest PARTITION OF parts.wild DEFAULT;
INSERT INTO attribution.partitioning (relation, ahead) VALUES ('parts.wild', 0);
INSERT INTO parts.wild SELECT now() - i * interval '24 hours' FROM generate_series(0, 401) i;
SELECT results_eq($$SELECT made, moved FROM attribution.maintain_partitions('parts.wild')$$, $$VALUES (400, 400::bigint)$$, 'days in one run are limited');
SELECT is((SELECT max(at) FROM parts.wild_rest), now() - 400 * interval '24 hours', 'the nearest come first');
SELECT results_eq($$SELECT made, moved FROM attribution.maintain_partitions('parts.wild')$$, $$VALUES (2, 2::bigint)$$, 'and the next run goes on');
DROP TABLE parts.wild;

SELECT throws_ok($$SELECT attribution.maintain_partitions('parts.odd')$$, '55000', NULL, 'a table must be registered');
SELECT throws_ok($$INSERT INTO attribution.partitioning VALUES ('parts.plain')$$, '42809', NULL, 'only tables partitioned that way can be');

-- All tables: those in trouble don't keep others from their days, and tables that are gone are forgotten.
INSERT INTO attribution.partitioning (relation, ahead) VALUES ('parts.odd', 0);
DO $$ BEGIN EXECUTE format('CREATE TABLE parts.odd_%s ()', to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')); END $$;
CREATE TEMP TABLE result AS SELECT * FROM attribution.maintain_partitions();
SELECT is((SELECT made FROM result WHERE relation = 'parts.odd'::regclass), NULL, 'a table in trouble has no counts');
SELECT is((SELECT made FROM result WHERE relation = 'parts.hourly'::regclass), 8, 'the others are looked after');
SELECT is((SELECT count(*)::integer FROM attribution.partitioning p WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = p.relation)), 0,
          'tables that are gone are forgotten');

--------------------------------------------------------------------------------------------------------------- privileges

-- Rows are not moved where somebody would take that for their end.
CREATE TABLE parts.watched (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE parts.watched_default PARTITION OF parts.watched DEFAULT;
INSERT INTO attribution.partitioning (relation, ahead) VALUES ('parts.watched', 0);
INSERT INTO parts.watched VALUES ('2026-01-01 12:00+00');
CREATE FUNCTION parts.mourn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
CREATE TRIGGER mourn AFTER DELETE ON parts.watched FOR EACH ROW EXECUTE FUNCTION parts.mourn();
SELECT throws_ok($$SELECT attribution.make_partitions('parts.watched', '2026-01-01', '2026-01-02')$$, '55000', NULL,
                 'a DELETE trigger would take moved rows for deleted');
SELECT is(attribution.make_partitions('parts.watched', '2026-01-02', '2026-01-03'), 1, 'a day without rows is made all the same');
DROP TRIGGER mourn ON parts.watched;
CREATE PUBLICATION tap_watched FOR TABLE parts.watched;
SELECT throws_ok($$SELECT attribution.make_partitions('parts.watched', '2026-01-01', '2026-01-02')$$, '55000', NULL,
                 'a subscriber would lose moved rows');
DROP PUBLICATION tap_watched;
-- A clock at the end of time keeps nobody from the partitions of today.
INSERT INTO parts.watched VALUES ('294276-12-31 23:59:59+00'), ('4713-01-01 00:00+00 BC');
SELECT is((SELECT made FROM attribution.maintain_partitions('parts.watched')), 2, 'today and the day that had a row are made');
SELECT is((SELECT count(*)::integer FROM parts.watched_default), 2, 'what lies at the ends of time stays where it is');

CREATE ROLE tap_ann IN ROLE attribution_admin;
CREATE ROLE tap_ben IN ROLE attribution_admin;
CREATE ROLE tap_cy IN ROLE attribution_admin, tap_ann;
CREATE ROLE tap_dan;
GRANT ALL ON SCHEMA parts TO tap_ann, tap_ben, tap_cy, tap_dan;
CREATE TABLE parts.anns (at timestamptz) PARTITION BY RANGE (at);
ALTER TABLE parts.anns OWNER TO tap_ann;
SET ROLE tap_dan;
SELECT throws_ok($$SELECT attribution.make_partitions('parts.anns', '2026-01-01', '2026-01-02')$$, '42501', NULL, 'not everybody makes partitions');
SET ROLE tap_ben;
SELECT throws_ok($$SELECT attribution.make_partitions('parts.anns', '2026-01-01', '2026-01-02')$$, '42501', NULL, 'an admin not of another''s table');
SELECT throws_ok($$INSERT INTO attribution.partitioning (relation) VALUES ('parts.anns')$$, '42501', NULL, 'nor may one register it');
SET ROLE tap_ann;
SELECT lives_ok($$INSERT INTO attribution.partitioning (relation, ahead) VALUES ('parts.anns', 0)$$, 'its owner may');
SET ROLE tap_ben;
SELECT throws_ok($$UPDATE attribution.partitioning SET retention = '1 day' WHERE relation = 'parts.anns'::regclass$$, '42501', NULL,
                 'nobody else shortens its life');
SELECT throws_ok($$DELETE FROM attribution.partitioning WHERE relation = 'parts.anns'::regclass$$, '42501', NULL, 'or forgets it');
SELECT is((SELECT count(*)::integer FROM attribution.maintain_partitions()), 0, 'all tables means the caller''s');
SET ROLE tap_cy;
SELECT is(attribution.make_partitions('parts.anns', '2026-01-01', '2026-01-02'), 1, 'a member of the owner may');
RESET ROLE;
SELECT table_owner_is('parts', 'anns_20260101', 'tap_ann', 'and the partition is the owner''s');
SELECT is((SELECT count(*)::integer FROM attribution.maintain_partitions() WHERE relation = 'parts.anns'::regclass), 0,
          'a superuser''s routine runs no code of others');
SELECT is((SELECT made FROM attribution.maintain_partitions('parts.anns')), 1, 'unless asked to');

SELECT * FROM finish();
ROLLBACK;
