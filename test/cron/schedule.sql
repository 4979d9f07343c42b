-- schedule(), unschedule() and the view, in the database that pg_cron serves. Nothing here is due while it lasts.
BEGIN;
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT no_plan();

CREATE ROLE tap_owner LOGIN;
CREATE ROLE tap_member LOGIN;
CREATE ROLE tap_stranger LOGIN;
CREATE ROLE tap_team;
CREATE ROLE tap_writer LOGIN;
GRANT attribution_admin TO tap_owner, tap_stranger, tap_team;
GRANT attribution_writer TO tap_writer;
GRANT tap_owner TO tap_member;
GRANT tap_owner TO tap_team;
GRANT USAGE ON SCHEMA cron TO tap_owner, tap_stranger, tap_team;
CREATE SCHEMA scheduled;
GRANT CREATE, USAGE ON SCHEMA scheduled TO tap_owner;
SET ROLE tap_owner;
CREATE TABLE scheduled.installs (id integer, at timestamptz, device integer);
CREATE TABLE scheduled.clicks (id text, at timestamptz, device integer);
CREATE FUNCTION scheduled.make_rule(rule text) RETURNS void LANGUAGE sql AS $$
  SELECT attribution.create_rule(rule, 'scheduled.installs', 'id', 'at', allowed_lateness => '36 hours');
  SELECT attribution.add_tier(rule, 'long', 'scheduled.clicks', '{device}', '7 days', id_column => 'id', time_column => 'at');
  SELECT attribution.add_tier(rule, 'short', 'scheduled.clicks', '{device}', '1 day', id_column => 'id', time_column => 'at');
  SELECT attribution.activate(rule);
$$;
SELECT scheduled.make_rule('tap') \g /dev/null

-- An error in full.
CREATE FUNCTION scheduled.complaint(statement text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  code text;
  message text;
  detail text;
  hint text;
BEGIN
  EXECUTE statement;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN ARRAY[code, message, detail, hint];
END $$;

------------------------------------------------------------------------------------------------------------ what is scheduled

SELECT attribution.schedule('tap', 'run', '0 0 1 1 *') AS job \gset
SELECT is(:job::bigint, (SELECT jobid FROM cron.job), 'schedule() returns the job''s id');
SELECT results_eq('SELECT jobname::text COLLATE "default", schedule, command, database, username, active FROM cron.job',
  $$VALUES ('attribution: tap: run', '0 0 1 1 *', 'CALL attribution.run(''tap'')', current_database()::text COLLATE "default", 'tap_owner', true)$$, 'which calls run()');
SELECT attribution.schedule('tap', 'reattribute', '15 3 1 1 *') \g /dev/null
SELECT attribution.schedule('tap', 'reconcile', '15 4 1 1 *') \g /dev/null
SELECT attribution.schedule('tap', 'maintain', '15 5 1 1 *') \g /dev/null
SELECT results_eq('SELECT rule, what, schedule, since, command, active, username FROM attribution.schedules ORDER BY what', $$VALUES
  ('tap', 'maintain', '15 5 1 1 *', NULL::interval, 'CALL attribution.maintain(''tap'')', true, 'tap_owner'),
  ('tap', 'reattribute', '15 3 1 1 *', NULL, 'CALL attribution.reattribute(''tap'', attribution._since(''tap''))', true, 'tap_owner'),
  ('tap', 'reconcile', '15 4 1 1 *', NULL, 'CALL attribution.reconcile(''tap'')', true, 'tap_owner'),
  ('tap', 'run', '0 0 1 1 *', NULL, 'CALL attribution.run(''tap'')', true, 'tap_owner')$$, 'schedules are listed');
SELECT set_eq('SELECT job FROM attribution.schedules', 'SELECT jobid FROM cron.job', 'with their jobs');

CREATE TEMP TABLE first_jobs AS SELECT what, job FROM attribution.schedules;
SELECT attribution.schedule('tap', 'run', '0 0 2 2 *') \g /dev/null
SELECT attribution.schedule('tap', 'reattribute', '15 6 1 1 *', '36 hours') \g /dev/null
SELECT results_eq('SELECT what, schedule, since FROM attribution.schedules ORDER BY what', $$VALUES ('maintain', '15 5 1 1 *', NULL::interval),
  ('reattribute', '15 6 1 1 *', '1 day 12:00'), ('reconcile', '15 4 1 1 *', NULL), ('run', '0 0 2 2 *', NULL)$$, 'a second one replaces the first');
SELECT set_eq('SELECT what, job FROM attribution.schedules', 'TABLE first_jobs', 'in the same job');
RESET ROLE;
SELECT cron.alter_job(job, active => false) FROM attribution.schedules WHERE what = 'run' \g /dev/null
SELECT is((SELECT active FROM attribution.schedules WHERE what = 'run'), false, 'a job may be asleep');
SET ROLE tap_owner;
SELECT attribution.schedule('tap', 'run', '0 0 2 2 *') \g /dev/null
SELECT is((SELECT active FROM attribution.schedules WHERE what = 'run'), true, 'to schedule it wakes it');

-- How far back.
SELECT is(attribution._since('tap'), now() - interval '204 hours', 'by default as far back as the longest lookback and the lateness');
SELECT attribution.alter_tier('tap', 'long', lookback => '2 days') \g /dev/null
SELECT is(attribution._since('tap'), now() - interval '204 hours', 'of the rule in force');
SELECT attribution.activate('tap') \g /dev/null
SELECT is(attribution._since('tap'), now() - interval '84 hours', 'as it is then');
SET LOCAL timezone = 'America/New_York';
SELECT is(attribution._since('tap', '300 days'), now() - interval '7200 hours', 'days are absolute');
CREATE FUNCTION scheduled.back(since interval) RETURNS interval[] LANGUAGE plpgsql AS $$
DECLARE
  called timestamptz;
BEGIN
  PERFORM attribution.schedule('tap', 'reattribute', '0 0 1 1 *', since);
  EXECUTE (SELECT format('SELECT %s', substring(s.command FROM 'attribution\._since.*(?=\)$)')) FROM attribution.schedules AS s WHERE s.what = 'reattribute') INTO called;
  RETURN ARRAY[(SELECT s.since FROM attribution.schedules AS s WHERE s.what = 'reattribute'), now() - called];
END $$;
SET LOCAL timezone = 'UTC';
SET LOCAL intervalstyle = 'sql_standard';
SELECT is(scheduled.back(given), ARRAY[given, given], format('%s back', given))
  FROM unnest('{0,00:00:00.000001,-1 days +25:00,40 days,9 days 23:59:59.999999,36500 days}'::interval[]) AS given;
SET LOCAL intervalstyle = 'postgres';

------------------------------------------------------------------------------------------------------------------- odd names

CREATE FUNCTION scheduled.odd_names() RETURNS SETOF text LANGUAGE sql AS $$
  VALUES ('it''s "odd"'), ('back\slash'), ('100% of %s %I %1$L'), ('größer, 大きい'), ('a: run'), (': run'), ('attribution: x: run'), (E'two\nlines'), ('$1; DROP TABLE x --'),
         ('x'', ''1 day'), ('thirty-seven bytes: a name with no mo') $$;
SELECT scheduled.make_rule(n) FROM scheduled.odd_names() AS n \g /dev/null
SELECT attribution.unschedule('tap') \g /dev/null
SELECT attribution.schedule(n, w, '0 0 1 1 *') FROM scheduled.odd_names() AS n, unnest('{run,reattribute,reconcile,maintain,ingest}'::text[]) AS w \g /dev/null
SELECT set_eq('SELECT rule, what, since FROM attribution.schedules',
  $$SELECT n, w, NULL::interval FROM scheduled.odd_names() AS n, unnest('{run,reattribute,reconcile,maintain,ingest}'::text[]) AS w$$, 'a name can be anything, and as long as names get');
SELECT attribution.schedule(n, 'reattribute', '0 0 1 1 *', '2 days') FROM scheduled.odd_names() AS n \g /dev/null
SELECT set_eq($$SELECT rule, since FROM attribution.schedules WHERE what = 'reattribute'$$, $$SELECT n, interval '2 days' FROM scheduled.odd_names() AS n$$, 'also with since');
-- Within a transaction the procedures refuse to work, but not before they have understood.
SELECT is(scheduled.complaint(command), ARRAY['25001', format('attribution.%s() cannot run inside a transaction block', what), '',
            'It commits batch by batch: CALL it outside of BEGIN .. COMMIT.'], format('%s of %s is a command', what, quote_literal(rule))) FROM attribution.schedules;
SELECT is(attribution.unschedule(n, 'run'), 1, format('one job of %s', quote_literal(n))) FROM scheduled.odd_names() AS n;
SELECT is(attribution.unschedule(n), 4, format('all jobs of %s', quote_literal(n))) FROM scheduled.odd_names() AS n;
SELECT is_empty('SELECT FROM cron.job', 'no job is left');
SELECT attribution.drop_rule(n) FROM scheduled.odd_names() AS n \g /dev/null

----------------------------------------------------------------------------------------------------------------- what is wrong

SELECT is(scheduled.complaint($$SELECT attribution.schedule('tap', 'walk', '* * * * *')$$), ARRAY['22023', 'nothing called "walk" can be scheduled', '',
          'There are run, reattribute, reconcile, maintain and ingest.'], 'nothing is called so');
SELECT throws_ok($$SELECT attribution.unschedule('tap', 'walk')$$, '22023', NULL, 'nor unscheduled');
SELECT throws_ok($$SELECT attribution.schedule('tap', 'run', '* * * * *', '1 day')$$, '22023', 'since is for "reattribute", not for "run"', 'since for others');
SELECT throws_ok($$SELECT attribution.schedule('tap', 'reattribute', '* * * * *', '1 month')$$, '22023', NULL, 'since in months');
SELECT throws_ok($$SELECT attribution.schedule('tap', 'reattribute', '* * * * *', '-1 days')$$, '22023', NULL, 'since to come');
SELECT throws_ok(format('SELECT attribution.schedule(%L, %L, %L)', rule, what, schedule), '22004', NULL, 'a null')
  FROM (VALUES (NULL, 'run', '* * * * *'), ('tap', NULL, '* * * * *'), ('tap', 'run', NULL)) AS v(rule, what, schedule);
SELECT throws_ok($$SELECT attribution.schedule('tap', 'run', '61 * * * *')$$, '22023', 'invalid schedule: 61 * * * *', 'an expression that pg_cron refuses');
SELECT throws_ok($$SELECT attribution.schedule('nothing', 'run', '* * * * *')$$, '42704', NULL, 'a rule that is not there');
SELECT throws_ok($$SELECT attribution.unschedule('nothing')$$, '42704', NULL, 'nothing of which is scheduled');
SELECT is(attribution.unschedule('tap'), 0, 'nothing is scheduled');
SELECT attribution.create_rule('tap_draft', 'scheduled.installs', 'id', 'at') \g /dev/null
SELECT is(scheduled.complaint($$SELECT attribution.schedule('tap_draft', 'run', '* * * * *')$$), ARRAY['55000', 'rule "tap_draft" is not in force', '',
          'SELECT attribution.activate(''tap_draft'');'], 'a rule that is not in force');
SELECT lives_ok($$SELECT attribution.schedule('tap_draft', 'maintain', '0 0 1 1 *')$$, 'its partitions can be looked after');
SELECT attribution.drop_rule('tap_draft') \g /dev/null
SELECT is_empty('SELECT FROM cron.job', 'drop_rule() unschedules');
CREATE VIEW scheduled.seen AS SELECT * FROM scheduled.installs;
SELECT attribution.create_rule('tap_view', 'scheduled.seen', 'id', 'at') \g /dev/null
SELECT throws_ok($$SELECT attribution.schedule('tap_view', 'run', '* * * * *')$$, '55000', NULL, 'a rule that stores nothing');

RESET ROLE;
SELECT cron.schedule_in_database('attribution: tap: run', '0 0 1 1 *', 'SELECT 1', 'template1', 'tap_owner') \g /dev/null
SET ROLE tap_owner;
SELECT throws_ok($$SELECT attribution.schedule('tap', 'run', '0 0 2 2 *')$$, '42710', NULL, 'a job of that name that is for another database');
SELECT results_eq('SELECT schedule, command, database FROM cron.job', $$VALUES ('0 0 1 1 *', 'SELECT 1', 'template1')$$, 'it stays as it was');
SELECT is(attribution.unschedule('tap'), 0, 'and is none of ours');
SELECT cron.unschedule(jobid) FROM cron.job \g /dev/null

---------------------------------------------------------------------------------------------------------------------- who may

SET ROLE tap_writer;
SELECT throws_ok($$SELECT attribution.schedule('tap', 'run', '* * * * *')$$, '42501', NULL, 'not a writer');
SELECT is_empty('SELECT FROM attribution.schedules', 'who sees nothing in a schema that is closed to him');
SELECT lives_ok($$SELECT attribution._since('tap')$$, 'a writer''s job may ask how far back');
SET ROLE tap_stranger;
SELECT throws_ok($$SELECT attribution.schedule('tap', 'run', '* * * * *')$$, '42501', 'must be owner of rule "tap"', 'not an admin who is not the owner');
SELECT throws_ok($$SELECT attribution.unschedule('tap')$$, '42501', 'must be owner of rule "tap"', 'nor to unschedule');
SET ROLE tap_member;
SELECT is(scheduled.complaint($$SELECT attribution.schedule('tap', 'run', '* * * * *')$$), NULL, 'a member of the owner may');
SELECT is((SELECT username FROM attribution.schedules), 'tap_member', 'and the job is his');
RESET ROLE;
REVOKE USAGE ON SCHEMA cron FROM tap_owner;
SET ROLE tap_member;
SELECT is(scheduled.complaint($$SELECT attribution.schedule('tap', 'run', '* * * * *')$$), ARRAY['42501', 'permission denied for schema cron', '',
          'GRANT USAGE ON SCHEMA cron TO tap_member;'], 'not without pg_cron''s schema');
SELECT is((scheduled.complaint($$SELECT attribution.unschedule('tap')$$))[2], 'permission denied for schema cron', 'nor to unschedule');
SELECT is_empty('SELECT FROM attribution.schedules', 'nor to see');
RESET ROLE;
GRANT USAGE ON SCHEMA cron TO tap_owner;
SET ROLE tap_team;
SELECT is((scheduled.complaint($$SELECT attribution.schedule('tap', 'run', '* * * * *')$$))[1:2], ARRAY['55000', 'role "tap_team" may not log in'],
          'not as a role that can have no session');

SET ROLE tap_owner;
SELECT is_empty('SELECT FROM attribution.schedules', 'jobs of others are not seen');
SELECT attribution.schedule('tap', 'run', '0 0 2 2 *') \g /dev/null
SELECT attribution.schedule('tap', 'maintain', '0 0 2 2 *') \g /dev/null
RESET ROLE;
SELECT results_eq('SELECT what, username FROM attribution.schedules ORDER BY 1, 2', $$VALUES ('maintain', 'tap_owner'), ('run', 'tap_member'), ('run', 'tap_owner')$$,
                  'but by a superuser');
SELECT attribution.schedule('tap', 'run', '0 0 3 3 *') \g /dev/null
SELECT results_eq('SELECT what, username FROM attribution.schedules ORDER BY 1, 2', $$VALUES ('maintain', 'tap_owner'), ('run', current_user::text COLLATE "default")$$, 'who replaces them');
SET ROLE tap_owner;
SELECT attribution.schedule('tap', 'run', '0 0 2 2 *') \g /dev/null
-- Who sees all need not be allowed to delete all.
RESET ROLE;
ALTER ROLE tap_member BYPASSRLS;
SET ROLE tap_member;
SELECT attribution.schedule('tap', 'run', '0 0 2 2 *') \g /dev/null
SELECT is(attribution.unschedule('tap'), 1, 'one''s own jobs go, not those of others');
SELECT lives_ok($$SELECT attribution.drop_rule('tap')$$, 'nor do they keep a rule from being dropped');
SET ROLE tap_owner;
SELECT set_eq('SELECT what FROM attribution.schedules', '{maintain,run}'::text[], 'jobs of others outlive the rule');
SELECT is(attribution.unschedule('tap'), 2, 'until they end them');
RESET ROLE;
SELECT is(attribution.unschedule('tap'), 1, 'or a superuser does');
SELECT throws_ok($$SELECT attribution.unschedule('tap')$$, '42704', NULL, 'then nothing is left to unschedule');

SELECT * FROM finish();
ROLLBACK;
