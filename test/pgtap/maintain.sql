-- maintain(): the partitions of all tables of a rule, each with the rights of its owner.
-- It commits, so there is no transaction around it all: the file takes away at its end what it has made.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS attribution;
SET timezone = 'UTC';
SELECT no_plan();

CREATE ROLE tap_shop;
CREATE ROLE tap_media;
CREATE ROLE tap_clerk;
GRANT attribution_admin TO tap_shop, tap_media, tap_clerk;
GRANT tap_shop TO tap_clerk;
CREATE SCHEMA maintain;
GRANT CREATE, USAGE ON SCHEMA maintain TO tap_shop, tap_media;

-- What runs when rows move: a check of the table's owner, which tries to become who calls.
CREATE TABLE maintain.moved (id text, who name);
GRANT ALL ON maintain.moved TO PUBLIC;
CREATE FUNCTION maintain.note(id text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    SET LOCAL ROLE none;
  EXCEPTION WHEN insufficient_privilege THEN
    NULL;
  END;
  INSERT INTO maintain.moved VALUES (id, current_user);
  RETURN true;
END $$;

SET ROLE tap_media;
CREATE TABLE maintain.impressions (id text, at timestamptz NOT NULL, device integer) PARTITION BY RANGE (at);
CREATE TABLE maintain.impressions_rest PARTITION OF maintain.impressions DEFAULT;
CREATE VIEW maintain.seen AS SELECT * FROM maintain.impressions;
GRANT SELECT ON maintain.impressions, maintain.seen TO tap_shop;
INSERT INTO attribution.partitioning (relation, ahead) VALUES ('maintain.impressions', 2);
SET ROLE tap_shop;
CREATE TABLE maintain.clicks (id text CHECK (maintain.note(id)), at timestamptz NOT NULL, device integer) PARTITION BY RANGE (at);
CREATE TABLE maintain.clicks_rest PARTITION OF maintain.clicks DEFAULT;
CREATE INDEX ON maintain.clicks (device, at);
CREATE TABLE maintain.plain (id text, at timestamptz, device integer);
CREATE TABLE maintain.other (id text, at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE maintain.installs (id integer, at timestamptz NOT NULL, device integer) PARTITION BY RANGE (at);
CREATE TABLE maintain.installs_rest PARTITION OF maintain.installs DEFAULT;
INSERT INTO attribution.partitioning (relation, ahead) VALUES ('maintain.clicks', 2), ('maintain.installs', 2), ('maintain.other', 2);
SELECT attribution.create_rule('tap_maintained', 'maintain.installs', 'id', 'at') \g /dev/null
SELECT attribution.add_tier('tap_maintained', 'click', 'maintain.clicks', '{device}', '7 days', id_column => 'id', time_column => 'at') \g /dev/null
SELECT attribution.add_tier('tap_maintained', 'flyer', 'maintain.plain', '{device}', '7 days', id_column => 'id', time_column => 'at') \g /dev/null
SELECT attribution.add_tier('tap_maintained', 'impression', 'maintain.seen', '{device}', '1 day', id_column => 'id', time_column => 'at') \g /dev/null
SELECT attribution.activate('tap_maintained') \g /dev/null

RESET ROLE;
CREATE FUNCTION pg_temp.partitions(relation regclass) RETURNS integer LANGUAGE sql AS
  $$ SELECT count(*)::integer FROM pg_inherits WHERE inhparent = relation $$;

INSERT INTO maintain.clicks VALUES ('old', now() - interval '20 days', 1), ('older', now() - interval '50 days', 1);
TRUNCATE maintain.moved;
SET ROLE tap_clerk;
CALL attribution.maintain('tap_maintained');
SELECT is(pg_temp.partitions('maintain.installs'), 4, 'conversions get their partitions');
SELECT is(pg_temp.partitions('maintain.clicks'), 6, 'so do touchpoints, and days of rows that waited');
SELECT is(pg_temp.partitions('maintain.impressions'), 1, 'a table of others is passed over');
SELECT is(pg_temp.partitions('maintain.other'), 0, 'a table that the rule does not read is none of its');
SELECT is((SELECT count(*)::integer FROM maintain.clicks_rest), 0, 'rows move');
SELECT results_eq('SELECT id, who FROM maintain.moved ORDER BY id', $$VALUES ('old', 'tap_shop'::name), ('older', 'tap_shop')$$, 'with the rights of the table''s owner');
RESET ROLE;
SELECT is((SELECT array_agg(DISTINCT pg_get_userbyid(relowner)) FROM pg_class WHERE relnamespace = 'maintain'::regnamespace AND relname ~ '^(clicks|installs)_'),
          '{tap_shop}', 'whose are the partitions');

UPDATE attribution.partitioning SET retention = '30 days' WHERE relation = 'maintain.clicks'::regclass;
UPDATE attribution.partitioning SET ahead = 3 WHERE relation::text LIKE 'maintain.%';
INSERT INTO maintain.clicks VALUES ('new', now() - interval '5 days', 1);
TRUNCATE maintain.moved;
CALL attribution.maintain('tap_maintained');
SELECT is((SELECT array_agg(id ORDER BY id) FROM maintain.clicks), '{new,old}', 'retention takes what is too old');
SELECT isnt(attribution._horizon('maintain.clicks'), NULL, 'and the horizon says so');
SELECT results_eq('SELECT id, who FROM maintain.moved', $$VALUES ('new', 'tap_shop'::name)$$, 'a superuser lends no rights to who owns a table');
SELECT is(pg_temp.partitions('maintain.impressions'), 5, 'and may maintain what a view reads');
SELECT table_owner_is('maintain', (SELECT max(relname) FROM pg_class WHERE relnamespace = 'maintain'::regnamespace AND relname LIKE 'impressions\_2%'), 'tap_media', 'as its owner');
SELECT ok((SELECT min(pg_temp.partitions(r)) >= 5 FROM unnest(ARRAY['maintain.tap_maintained_decisions', 'maintain.tap_maintained_credits',
           'maintain.tap_maintained_decisions_history', 'maintain.tap_maintained_credits_history']::regclass[]) AS r), 'decisions, too, get partitions ahead');

SELECT throws_ok($$CALL attribution.maintain('tap_maintained')$$, '25001', NULL, 'it commits, and can''t within a transaction');
SELECT throws_ok($$SELECT attribution._maintained('tap_maintained')$$, '25001', NULL, 'that comes first');
SET ROLE tap_media;
SELECT throws_ok($$SELECT attribution._maintain_as_owner('maintain.clicks')$$, '42501', 'must be owner of table maintain.clicks', 'nobody works with the rights of others');
RESET ROLE;
REVOKE attribution_admin FROM tap_shop;
SELECT throws_ok($$SELECT attribution._maintain('maintain.clicks')$$, '42501', 'role "tap_shop" may not maintain partitions', 'nor one with rights that its role has not');

SELECT attribution.drop_rule('tap_maintained', keep_decisions => false) \g /dev/null
DELETE FROM attribution.partitioning WHERE relation::text LIKE 'maintain.%';
DROP SCHEMA maintain CASCADE;
REVOKE attribution_admin FROM tap_media, tap_clerk;
DROP ROLE tap_clerk, tap_shop, tap_media;
SELECT * FROM finish();
