-- A database that pg_cron does not serve. It is called contrib_regression: nowhere else could pg_cron be installed as well.
BEGIN;
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT no_plan();

CREATE ROLE tap_owner LOGIN;
GRANT attribution_admin TO tap_owner;
CREATE SCHEMA scheduled;
GRANT CREATE, USAGE ON SCHEMA scheduled TO tap_owner;
SELECT format('GRANT CREATE ON DATABASE %I TO tap_owner', current_database()) \gexec
SET ROLE tap_owner;
CREATE TABLE scheduled.installs (id integer, at timestamptz, device integer);
CREATE TABLE scheduled.clicks (id text, at timestamptz, device integer);
CREATE FUNCTION scheduled.make_rule() RETURNS void LANGUAGE sql AS $$
  SELECT attribution.create_rule('tap''s', 'scheduled.installs', 'id', 'at');
  SELECT attribution.add_tier('tap''s', 'click', 'scheduled.clicks', '{device}', '7 days', id_column => 'id', time_column => 'at');
  SELECT attribution.activate('tap''s');
$$;
SELECT scheduled.make_rule() \g /dev/null

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
CREATE FUNCTION scheduled.message() RETURNS text LANGUAGE sql AS $$ SELECT format('pg_cron is not installed in database "%s"', current_database()) $$;

-- Who may not read the setting is told both ways.
SELECT is(scheduled.complaint($$SELECT attribution.schedule('tap''s', 'run', '0 0 1 1 *')$$), ARRAY['0A000', scheduled.message(), 'Schedules are jobs of the extension pg_cron.',
  format('Let a superuser CREATE EXTENSION pg_cron; or, if it serves another database, there: SELECT cron.schedule_in_database(%L, ''0 0 1 1 *'', %L, %L);',
         format('attribution run in %s: tap''s', current_database()), 'CALL attribution.run(''tap''''s'')', current_database())], 'what to do without pg_cron');
SELECT is((scheduled.complaint($$SELECT attribution.unschedule('tap''s')$$))[1:2], ARRAY['0A000', scheduled.message()], 'also to unschedule');
SELECT is_empty('SELECT FROM attribution.schedules', 'nothing is scheduled');

-- Somebody's own schema, which looks like pg_cron's.
CREATE SCHEMA cron;
CREATE TABLE cron.fell_for_it (what text, who text);
CREATE TABLE cron.job (jobid bigint, schedule text, command text, nodename text, nodeport integer, database text, username text, active boolean, jobname text);
INSERT INTO cron.job VALUES (1, '* * * * *', 'SELECT 1', '', 1, current_database(), current_user, true, 'attribution: tap''s: run');
CREATE FUNCTION cron.schedule(text, text, text) RETURNS bigint LANGUAGE sql AS $$INSERT INTO cron.fell_for_it VALUES ('schedule', current_user) RETURNING 1::bigint$$;
CREATE FUNCTION cron.unschedule(bigint) RETURNS boolean LANGUAGE sql AS $$INSERT INTO cron.fell_for_it VALUES ('unschedule', current_user) RETURNING true$$;
SELECT is((scheduled.complaint($$SELECT attribution.schedule('tap''s', 'run', '0 0 1 1 *')$$))[1:3], ARRAY['0A000', scheduled.message(),
          'Schedules are jobs of the extension pg_cron. The schema cron is not its own.'], 'a schema called cron is not enough');
SELECT throws_ok($$SELECT attribution.unschedule('tap''s')$$, '0A000', NULL, 'nor to unschedule');
RESET ROLE;
SELECT throws_ok($$SELECT attribution.schedule('tap''s', 'run', '0 0 1 1 *')$$, '0A000', NULL, 'for a superuser neither');
SELECT is_empty('SELECT FROM attribution.schedules', 'nor to list');
SELECT lives_ok($$SELECT attribution.drop_rule('tap''s')$$, 'a rule can be dropped');
SELECT is_empty('SELECT FROM cron.fell_for_it', 'and nobody calls what is in it');

SELECT is((scheduled.complaint($$SELECT attribution.unschedule('tap''s')$$))[1:3], ARRAY['0A000', format('pg_cron does not serve database "%s"', current_database()),
          format('It keeps its jobs in database "%s" (cron.database_name).', current_setting('cron.database_name'))], 'who may is told where pg_cron is');

-- pg_cron itself, but its jobs are in another database.
DROP SCHEMA cron CASCADE;
CREATE EXTENSION pg_cron;
GRANT USAGE ON SCHEMA cron TO tap_owner;
SET ROLE tap_owner;
SELECT scheduled.make_rule() \g /dev/null
SELECT is((scheduled.complaint($$SELECT attribution.schedule('tap''s', 'run', '0 0 1 1 *')$$))[1:3], ARRAY['0A000', format('pg_cron does not serve database "%s"', current_database()),
          'It is installed here, but keeps its jobs in another database (cron.database_name).'], 'a job that nobody would run');

SELECT * FROM finish();
ROLLBACK;
