-- The preset for mobile apps: its tables take what comes, and its rule attributes installs as its tiers say.
BEGIN;
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS attribution;
SELECT no_plan();

CREATE ROLE tap_studio IN ROLE attribution_admin;
CREATE ROLE tap_visitor;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO tap_studio', current_database()); END $$;

SET ROLE tap_visitor;
SELECT throws_ok($$SELECT attribution.create_mobile('tap_game')$$, '42501', NULL, 'not everybody makes tables');
SET ROLE tap_studio;
SET timezone = 'Australia/Lord_Howe';
SELECT lives_ok($$SELECT attribution.create_mobile('tap_game')$$, 'an admin does, and needs no superuser');

------------------------------------------------------------------------------------------------------------------- tables

SELECT has_table('tap_game', name, name) FROM unnest('{clicks,impressions,events}'::name[]) name;
SELECT table_owner_is('tap_game', name, 'tap_studio', name || ' belong to the caller')
  FROM unnest('{clicks,impressions,events,clicks_default}'::name[]) name;
SELECT is((SELECT count(*)::integer FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
            WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND c.relnamespace = 'tap_game'::regnamespace), 0,
          'they are data, no part of the extension');
SELECT columns_are('tap_game', 'clicks', '{link_uid,event_time,store_id,network,campaign_name,campaign_id,ad_name,ad_id,ifa,client_ip,user_agent,click_id,country_iso,state_iso,city_name,received_at}'::name[]);
SELECT columns_are('tap_game', 'impressions', '{link_uid,event_time,store_id,network,campaign_name,campaign_id,ad_name,ad_id,ifa,client_ip,user_agent,click_id,country_iso,state_iso,city_name,received_at}'::name[]);
SELECT columns_are('tap_game', 'events', '{event_uid,event_time,store_id,event_id,ifa,oa_uid,client_ip,user_agent,click_id,referrer,install_begin_time,revenue,currency,country_iso,state_iso,city_name,received_at}'::name[]);
SELECT results_eq($$SELECT relation::text, ahead, retention, horizon FROM attribution.partitioning
                     WHERE relation IN ('tap_game.clicks'::regclass, 'tap_game.events'::regclass, 'tap_game.impressions'::regclass) ORDER BY 1$$,
                  $$VALUES ('tap_game.clicks', 7, NULL::interval, NULL::timestamptz), ('tap_game.events', 7, NULL, NULL),
                           ('tap_game.impressions', 7, NULL, NULL)$$, 'a week ahead, everything is kept');

-- An event of any day finds its place.
INSERT INTO tap_game.clicks (link_uid, event_time, store_id, click_id)
  VALUES (gen_random_uuid(), now(), 'app', 'now'), (gen_random_uuid(), now() + interval '168 hours', 'app', 'ahead'),
         (gen_random_uuid(), '2026-01-03 12:00+00', 'app', 'old'), (gen_random_uuid(), '2199-01-01 00:00+00', 'app', 'strange');
CREATE FUNCTION pg_temp.place(wanted text) RETURNS text LANGUAGE sql AS
  $$ SELECT tableoid::regclass::text FROM tap_game.clicks WHERE click_id = wanted $$;
SELECT is(pg_temp.place('now'), to_char(now() AT TIME ZONE 'UTC', '"tap_game.clicks_"YYYYMMDD'), 'today has a partition');
SELECT is(pg_temp.place('ahead'), to_char((now() + interval '168 hours') AT TIME ZONE 'UTC', '"tap_game.clicks_"YYYYMMDD'), 'so has today in a week');
SELECT is(pg_temp.place('old'), 'tap_game.clicks_default', 'another day waits');
SELECT is((SELECT moved FROM attribution.maintain_partitions('tap_game.clicks')), 2::bigint, 'until the next maintenance');
SELECT is(pg_temp.place('old'), 'tap_game.clicks_20260103', 'and then has its own');
DELETE FROM tap_game.clicks;

SELECT throws_ok($$INSERT INTO tap_game.clicks (link_uid, event_time, store_id) VALUES (NULL, now(), 'app')$$, '23502', NULL, 'no click without an id');
SELECT throws_ok($$INSERT INTO tap_game.clicks (link_uid, event_time, store_id) VALUES (gen_random_uuid(), 'infinity', 'app')$$, '23514', NULL, 'none in eternity');
SELECT throws_ok($$INSERT INTO tap_game.events (event_uid, event_time, store_id, event_id) VALUES (gen_random_uuid(), '-infinity', 'app', 'install')$$, '23514', NULL, 'no event either');
INSERT INTO tap_game.clicks (link_uid, event_time, store_id) VALUES ('00000000-0000-4000-8000-000000000001', '2026-01-03 12:00+00', 'app');
SELECT throws_ok($$INSERT INTO tap_game.clicks (link_uid, event_time, store_id) VALUES ('00000000-0000-4000-8000-000000000001', '2026-01-03 12:00+00', 'app')$$,
                 '23505', NULL, 'the same click again is refused');
SELECT lives_ok($$INSERT INTO tap_game.clicks (link_uid, event_time, store_id) VALUES ('00000000-0000-4000-8000-000000000001', '2026-01-03 12:00+00', 'app') ON CONFLICT DO NOTHING$$,
                'or passed over');
DELETE FROM tap_game.clicks;

--------------------------------------------------------------------------------------------------------------------- rule

SELECT is((SELECT string_agg(format('%s: %s %s %s %s', tier, touchpoints, match, lookback, conflict), E'\n' ORDER BY strength)
             FROM attribution.tiers WHERE rule = 'installs' AND state = 'active'),
  'click by click id: tap_game.clicks {store_id,click_id} 7 days {}
click by device: tap_game.clicks {store_id,ifa} 7 days {}
click by fingerprint: tap_game.clicks {store_id,client_ip,user_agent} 24:00:00 {ifa}
impression by device: tap_game.impressions {store_id,ifa} 24:00:00 {}
impression by fingerprint: tap_game.impressions {store_id,client_ip,user_agent} 24:00:00 {ifa}', 'the waterfall');

-- Every install below happens at noon, for app "app"; its id ends in its number. Touchpoints are told by their network.
CREATE FUNCTION pg_temp.uid(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
  $$ SELECT format('00000000-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION pg_temp.install(n integer, ifa uuid, ip inet DEFAULT NULL, agent text DEFAULT NULL, click_id text DEFAULT NULL)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO tap_game.events (event_uid, event_time, store_id, event_id, ifa, client_ip, user_agent, click_id)
  VALUES (pg_temp.uid(n), '2026-01-10 12:00+00', 'app', 'install', ifa, ip, agent, click_id) $$;
CREATE FUNCTION pg_temp.touch(kind text, network text, ago interval, ifa uuid, ip inet DEFAULT NULL, agent text DEFAULT NULL,
                              click_id text DEFAULT NULL, app text DEFAULT 'app')
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('INSERT INTO tap_game.%I (link_uid, network, event_time, ifa, client_ip, user_agent, click_id, store_id)
                  VALUES (gen_random_uuid(), $1, timestamptz ''2026-01-10 12:00+00'' - $2, $3, $4, $5, $6, $7)', kind)
    USING network, ago, ifa, ip, agent, click_id, app;
END $$;
CREATE VIEW pg_temp.answer AS
  SELECT right(a.conversion_id::text, 3)::integer AS n, a.outcome, a.tier, t.network
    FROM tap_game.installs_attribute() a
    LEFT JOIN (SELECT * FROM tap_game.clicks UNION ALL SELECT * FROM tap_game.impressions) t
      ON (t.link_uid, t.event_time) = (a.touch_id, a.touch_time);

-- 1 wins by click id, though another click is newer; 2 by device; 3 by fingerprint; 4 and 5 by impressions.
SELECT pg_temp.install(1, pg_temp.uid(901), click_id => 'c1');
SELECT pg_temp.touch('clicks', 'old', '168 hours', NULL, click_id => 'c1');
SELECT pg_temp.touch('clicks', 'new', '1 minute', pg_temp.uid(901));
SELECT pg_temp.install(2, pg_temp.uid(902), '10.0.0.2', 'phone');
SELECT pg_temp.touch('clicks', 'device', '167 hours', pg_temp.uid(902));
SELECT pg_temp.touch('clicks', 'fingerprint', '1 hour', NULL, '10.0.0.2', 'phone');
SELECT pg_temp.install(3, pg_temp.uid(0), '10.0.0.3', 'phone');
SELECT pg_temp.touch('clicks', 'earlier', '24 hours', pg_temp.uid(990), '10.0.0.3', 'phone');
SELECT pg_temp.touch('clicks', 'later', '23 hours', NULL, '10.0.0.3', 'phone');
SELECT pg_temp.touch('impressions', 'view', '1 minute', NULL, '10.0.0.3', 'phone');
SELECT pg_temp.install(4, pg_temp.uid(904));
SELECT pg_temp.touch('impressions', 'view', '24 hours', pg_temp.uid(904));
SELECT pg_temp.install(5, NULL, '10.0.0.5', 'phone');
SELECT pg_temp.touch('impressions', 'view', '1 second', pg_temp.uid(905), '10.0.0.5', 'phone');
-- Near misses: too old, by a microsecond; after; another app; opted out, both; two devices behind one address; an empty text.
SELECT pg_temp.install(11, pg_temp.uid(911));
SELECT pg_temp.touch('clicks', 'stale', '168:00:00.000001', pg_temp.uid(911));
SELECT pg_temp.touch('impressions', 'stale', '24:00:00.000001', pg_temp.uid(911));
SELECT pg_temp.install(12, pg_temp.uid(912));
SELECT pg_temp.touch('clicks', 'after', '-0.000001 seconds', pg_temp.uid(912));
SELECT pg_temp.install(13, pg_temp.uid(913));
SELECT pg_temp.touch('clicks', 'elsewhere', '1 hour', pg_temp.uid(913), app => 'other app');
SELECT pg_temp.install(14, '00000000-0000-0000-0000-000000000000');
SELECT pg_temp.touch('clicks', 'nobody', '1 hour', '00000000-0000-0000-0000-000000000000');
SELECT pg_temp.install(15, pg_temp.uid(915), '10.0.0.15', 'phone');
SELECT pg_temp.touch('clicks', 'neighbour', '1 hour', pg_temp.uid(916), '10.0.0.15', 'phone');
SELECT pg_temp.touch('impressions', 'neighbour', '1 hour', pg_temp.uid(916), '10.0.0.15', 'phone');
SELECT pg_temp.install(16, NULL, click_id => '');
SELECT pg_temp.touch('clicks', 'empty', '1 hour', NULL, click_id => '');
-- No install: another event, and its click.
INSERT INTO tap_game.events (event_uid, event_time, store_id, event_id, ifa) VALUES (pg_temp.uid(21), '2026-01-10 12:00+00', 'app', 'app_open', pg_temp.uid(902));

SELECT results_eq('SELECT * FROM pg_temp.answer ORDER BY n',
  $$VALUES (1, 'attributed', 'click by click id', 'old'), (2, 'attributed', 'click by device', 'device'),
           (3, 'attributed', 'click by fingerprint', 'later'), (4, 'attributed', 'impression by device', 'view'),
           (5, 'attributed', 'impression by fingerprint', 'view'), (11, 'organic', NULL, NULL), (12, 'organic', NULL, NULL),
           (13, 'organic', NULL, NULL), (14, 'organic', NULL, NULL), (15, 'organic', NULL, NULL), (16, 'organic', NULL, NULL)$$,
  'each install has one decision, by the strongest tier');
CREATE TEMP TABLE answered AS SELECT * FROM pg_temp.answer;
SELECT isnt_empty('SELECT FROM attribution.maintain_partitions() WHERE moved > 0', 'partitions change');
SELECT set_eq('SELECT * FROM pg_temp.answer', 'SELECT * FROM answered', 'decisions do not');
SELECT ok('empty_key' = ANY (ARRAY(SELECT reason FROM tap_game.installs_explain(pg_temp.uid(14)))), 'an opted-out device is no key, and explain says so');
SELECT ok('conflict' = ANY (ARRAY(SELECT reason FROM tap_game.installs_explain(pg_temp.uid(15)))), 'two devices at one address conflict');
SELECT ok('outside_window' = ANY (ARRAY(SELECT reason FROM tap_game.installs_explain(pg_temp.uid(11)))), 'an old click is outside the window');
SELECT ok('after_conversion' = ANY (ARRAY(SELECT reason FROM tap_game.installs_explain(pg_temp.uid(12)))), 'a late one comes after');

------------------------------------------------------------------------------------------------------------------- others

SELECT throws_ok($$SELECT attribution.create_mobile('tap_game', 'again')$$, '42P07', NULL, 'tables that are there are not touched');
SELECT ok((SELECT count(*) = 11 FROM pg_temp.answer), 'nor lost');
SELECT throws_ok($$SELECT attribution.create_mobile('tap_second')$$, NULL, NULL, 'a rule''s name is taken once');
SELECT hasnt_schema('tap_second', 'and then nothing is made');
SELECT throws_ok($$SELECT attribution.create_mobile(NULL)$$, '22004', NULL, 'the schema is known');
SELECT lives_ok($$SELECT attribution.create_mobile('tap "Game" 2', 'it''s 2', 'first''open')$$, 'names of any kind');
INSERT INTO "tap ""Game"" 2".events (event_uid, event_time, store_id, event_id)
  VALUES (pg_temp.uid(31), now(), 'app', 'first''open'), (pg_temp.uid(32), now(), 'app', 'install');
SELECT results_eq($$SELECT conversion_id, outcome FROM attribution.attribute('it''s 2')$$, $$VALUES (pg_temp.uid(31)::text, 'organic')$$,
                  'the event that is an install can be named');
RESET ROLE;
CREATE SCHEMA tap_third;
SELECT lives_ok($$SELECT attribution.create_mobile('tap_third', 'third')$$, 'a schema can be there');

DROP VIEW pg_temp.answer;
DROP EXTENSION attribution CASCADE;
SELECT is((SELECT count(*)::integer FROM tap_game.clicks), 12, 'DROP EXTENSION leaves the data');

SELECT * FROM finish();
ROLLBACK;
