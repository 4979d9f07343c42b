-- Schedules: jobs of the extension pg_cron that run, re-attribute, reconcile or maintain a rule, or ingest what it reads.
--
-- pg_cron may be missing, so nothing names its objects but dynamic SQL. Nor is a schema called cron enough: whoever may make
-- schemas could make one. Its objects count if they are members of the extension, which takes a superuser to install.
--
-- A job's name says what it is for, so that it is found again; there is no table beside pg_cron's own that could differ from it.
-- pg_cron before 1.5 cuts names at 63 bytes: just the length of the longest, as a rule's name has at most 37.

CREATE FUNCTION attribution._cron_schema() RETURNS oid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT n.oid
  FROM pg_namespace AS n
  JOIN pg_class AS job ON job.relnamespace = n.oid AND job.relname = 'job'
  JOIN pg_proc AS schedule ON schedule.pronamespace = n.oid AND schedule.proname = 'schedule' AND oidvectortypes(schedule.proargtypes) = 'text, text, text'
  JOIN pg_proc AS unschedule ON unschedule.pronamespace = n.oid AND unschedule.proname = 'unschedule' AND oidvectortypes(unschedule.proargtypes) = 'bigint'
  WHERE n.nspname = 'cron' AND 4 = (
    SELECT count(*) FROM pg_depend AS d JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
     WHERE e.extname = 'pg_cron' AND d.deptype = 'e'
       AND (d.classid, d.objid) IN (('pg_namespace'::regclass, n.oid), ('pg_class'::regclass, job.oid),
                                    ('pg_proc'::regclass, schedule.oid), ('pg_proc'::regclass, unschedule.oid)))
$$;
COMMENT ON FUNCTION attribution._cron_schema() IS 'The schema of the extension pg_cron, if it is installed in this database.';

CREATE FUNCTION attribution._can_use_cron() RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(has_schema_privilege(attribution._cron_schema(), 'USAGE'), false)
$$;
COMMENT ON FUNCTION attribution._can_use_cron() IS 'Whether pg_cron is installed in this database, and the caller may look into its schema.';

CREATE FUNCTION attribution._require_cron(there text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  -- Hidden from those who may not read all settings.
  home text := (SELECT s.setting FROM pg_settings AS s WHERE s.name = 'cron.database_name');
BEGIN
  IF home <> current_database() THEN
    RAISE EXCEPTION 'pg_cron does not serve database "%"', current_database() USING ERRCODE = 'feature_not_supported',
      DETAIL = format('It keeps its jobs in database "%s" (cron.database_name).', home), HINT = format('In database "%s": %s', home, there);
  ELSIF attribution._cron_schema() IS NULL THEN
    RAISE EXCEPTION 'pg_cron is not installed in database "%"', current_database() USING ERRCODE = 'feature_not_supported',
      DETAIL = 'Schedules are jobs of the extension pg_cron.' || CASE WHEN to_regnamespace('cron') IS NULL THEN '' ELSE ' The schema cron is not its own.' END,
      HINT = CASE
        WHEN home IS NOT NULL THEN 'CREATE EXTENSION pg_cron;'
        WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN format('Set shared_preload_libraries = ''pg_cron'' and cron.database_name = %L, '
          'restart the server, and CREATE EXTENSION pg_cron;', current_database())
        ELSE format('Let a superuser CREATE EXTENSION pg_cron; or, if it serves another database, there: %s', there) END;
  END IF;
  IF NOT attribution._can_use_cron() THEN
    RAISE EXCEPTION 'permission denied for schema cron' USING ERRCODE = 'insufficient_privilege',
      HINT = format('GRANT USAGE ON SCHEMA cron TO %I;', current_user);
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._require_cron(text) IS
'Raises an error where pg_cron can''t be used; it says what to do, such as a statement for the database where pg_cron is.';

CREATE FUNCTION attribution._since(of_rule text, back interval DEFAULT NULL) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT now() - make_interval(secs => attribution._micros(coalesce(back, (
    SELECT max(t.lookback) + v.allowed_lateness
      FROM attribution.rule AS r
      JOIN attribution.rule_version AS v ON v.rule = r.rule AND v.version = r.active_version
      JOIN attribution.tier AS t ON t.rule = r.rule AND t.version = r.active_version
     WHERE r.rule = of_rule GROUP BY v.allowed_lateness))) / 1000000.0)
$$;
COMMENT ON FUNCTION attribution._since(text, interval) IS
'The time that lies an interval back, of absolute days; by default the longest lookback of the rule as it is now plus its
allowed lateness. Jobs of pg_cron call it.';

CREATE FUNCTION attribution._check_what(what text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF what <> ALL ('{run,reattribute,reconcile,maintain,ingest}'::text[]) THEN
    RAISE EXCEPTION 'nothing called "%" can be scheduled', what USING ERRCODE = 'invalid_parameter_value',
      HINT = 'There are run, reattribute, reconcile, maintain and ingest.';
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._check_what(text) IS 'Raises an error for what can''t be scheduled.';

CREATE FUNCTION attribution._job_command(of_rule text, what text, since interval) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres AS $$
DECLARE
  seconds numeric := attribution._micros(since) / 1000000.0;
BEGIN
  -- Whole days and a time: no sign, whatever was given.
  RETURN CASE what
    WHEN 'reattribute' THEN format('CALL attribution.reattribute(%L, attribution._since(%L%s))', of_rule, of_rule,
      ', ' || quote_literal(make_interval(days => div(seconds, 86400)::integer, secs => mod(seconds, 86400)::float8)))
    WHEN 'ingest' THEN format('CALL attribution.ingest(rule => %L)', of_rule)
    ELSE format('CALL attribution.%I(%L)', what, of_rule) END;
END
$$;
COMMENT ON FUNCTION attribution._job_command(text, text, interval) IS 'What the job of a rule calls.';

CREATE FUNCTION attribution._schedules()
RETURNS TABLE (rule text, what text, schedule text, since interval, command text, active boolean, username text, job bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres AS $$
BEGIN
  IF attribution._can_use_cron() THEN
    RETURN QUERY EXECUTE $query$
      SELECT n.parts[1], n.parts[2], j.schedule,
        (regexp_match(j.command, ', ''(\d{1,5} days?( \d\d:\d\d:\d\d(\.\d{1,6})?)?|\d\d:\d\d:\d\d(\.\d{1,6})?)''\)\)$'))[1]::interval,
        j.command, j.active, j.username, j.jobid
      FROM cron.job AS j
      CROSS JOIN LATERAL regexp_match(j.jobname, '^attribution: (.+): (run|reattribute|reconcile|maintain|ingest)$') AS n(parts)
      WHERE n.parts IS NOT NULL AND j.database = current_database()
    $query$;
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._schedules() IS 'The jobs of attribution.schedule() that pg_cron shows to the caller; none where it is missing.';

CREATE FUNCTION attribution._unschedule(of_rule text, of_what text DEFAULT NULL, keep_for name DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found record;
  gone integer := 0;
BEGIN
  FOR found IN
    SELECT s.job, s.username, s.active FROM attribution._schedules() AS s WHERE s.rule = of_rule AND s.what = coalesce(of_what, s.what)
  LOOP
    CONTINUE WHEN found.username = keep_for AND found.active;
    -- Who sees the jobs of others need not be allowed to take them away.
    CONTINUE WHEN found.username <> current_user AND NOT has_table_privilege('cron.job', 'DELETE');
    EXECUTE 'SELECT cron.unschedule($1)' USING found.job;
    gone := gone + 1;
  END LOOP;
  RETURN gone;
END
$$;
COMMENT ON FUNCTION attribution._unschedule(text, text, name) IS 'Takes away jobs of a rule, but for the active one of a role. Returns how many.';

CREATE FUNCTION attribution.schedule(rule text, what text, schedule text, since interval DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name text := format('attribution: %s: %s', rule, what);
  command text;
  there text;
  taken boolean;
  made bigint;
BEGIN
  IF rule IS NULL OR what IS NULL OR schedule IS NULL THEN
    RAISE EXCEPTION 'rule, what and schedule must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  PERFORM attribution._check_what(what);
  IF since IS NOT NULL AND what <> 'reattribute' THEN
    RAISE EXCEPTION 'since is for "reattribute", not for "%"', what USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF since IS NOT NULL THEN
    PERFORM attribution._check_duration('since', since);
  END IF;
  PERFORM attribution._require_owner(rule);
  -- What could only fail, time and again, where nobody looks, fails now.
  IF what NOT IN ('maintain', 'ingest') THEN
    PERFORM attribution._kept(rule);
    IF EXISTS (SELECT FROM attribution.rule AS r WHERE r.rule = schedule.rule AND r.active_version IS NULL) THEN
      RAISE EXCEPTION 'rule "%" is not in force', rule USING ERRCODE = 'object_not_in_prerequisite_state',
        HINT = format('SELECT attribution.activate(%L);', rule);
    END IF;
  END IF;
  command := attribution._job_command(rule, what, since);
  there := format('SELECT cron.schedule_in_database(%L, %L, %L, %L);', format('attribution %s in %s: %s', what, current_database(), rule),
                  schedule, command, current_database());
  PERFORM attribution._require_cron(there);
  IF NOT (SELECT r.rolcanlogin FROM pg_roles AS r WHERE r.rolname = current_user) THEN
    RAISE EXCEPTION 'role "%" may not log in', current_user USING ERRCODE = 'object_not_in_prerequisite_state',
      DETAIL = 'A job runs in a session of the role that schedules it.',
      HINT = format('Schedule it as a role with LOGIN and the privileges of the rule''s owner, or: ALTER ROLE %I LOGIN;', current_user);
  END IF;
  EXECUTE 'SELECT EXISTS (SELECT FROM cron.job AS j WHERE j.jobname = $1 AND j.username = current_user AND j.database <> current_database())'
    INTO STRICT taken USING name;
  IF taken THEN
    RAISE EXCEPTION 'job "%" of role "%" is for another database', name, current_user USING ERRCODE = 'duplicate_object',
      HINT = format('If it is not wanted: SELECT cron.unschedule(%L);', name);
  END IF;
  PERFORM attribution._unschedule(rule, what, current_user);
  EXECUTE 'SELECT cron.schedule($1, $2, $3)' INTO STRICT made USING name, schedule, command;
  -- Where the setting was hidden from _require_cron().
  IF NOT EXISTS (SELECT FROM attribution._schedules() AS s WHERE s.job = made AND s.rule = schedule.rule AND s.what = schedule.what) THEN
    RAISE EXCEPTION 'pg_cron does not serve database "%"', current_database() USING ERRCODE = 'feature_not_supported',
      DETAIL = 'It is installed here, but keeps its jobs in another database (cron.database_name).', HINT = format('There: %s', there);
  END IF;
  RETURN made;
END
$$;
COMMENT ON FUNCTION attribution.schedule(text, text, text, interval) IS
'Has pg_cron do something for a rule, as you, again and again. what: ''run'', ''reattribute'', ''reconcile'', ''maintain'' or
''ingest'' (into the tables that the rule reads), the procedures of these names. schedule: a cron expression, such as ''* * * * *'' for every minute or ''15 3 * * *'' for 3:15 (GMT,
unless cron.timezone says otherwise), or what else pg_cron takes. since, for ''reattribute'': how far back it goes each time; by
default the longest lookback of the rule plus its allowed lateness, as they are then. In place of an earlier schedule of yours
for the same; a superuser replaces those of others as well. Needs the privileges of the rule''s owner, and pg_cron in this
database. Returns pg_cron''s job id; cron.job_run_details says how its runs ended. DROP EXTENSION leaves the jobs, which then
fail: call unschedule() before it.';

CREATE FUNCTION attribution.unschedule(rule text, what text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  gone integer;
BEGIN
  IF what IS NOT NULL THEN
    PERFORM attribution._check_what(what);
  END IF;
  PERFORM attribution._require_cron(format('SELECT cron.unschedule(jobid) FROM cron.job WHERE database = %L AND jobname = ANY (%L);', current_database(),
    ARRAY(SELECT format('attribution %s in %s: %s', w, current_database(), rule) FROM unnest('{run,reattribute,reconcile,maintain,ingest}'::text[]) AS w
           WHERE w = coalesce(what, w))));
  gone := attribution._unschedule(rule, what);
  -- One's own jobs may outlive the rule, or one's right to it.
  IF gone = 0 THEN
    PERFORM attribution._require_owner(rule);
  END IF;
  RETURN gone;
END
$$;
COMMENT ON FUNCTION attribution.unschedule(text, text) IS
'Ends what attribution.schedule() has scheduled for a rule, or one thing of it: your jobs, a superuser''s call all. Returns how many.';

CREATE VIEW attribution.schedules AS
  SELECT s.rule, s.what, s.schedule, s.since, s.command, s.active, s.username, s.job FROM attribution._schedules() AS s;
COMMENT ON VIEW attribution.schedules IS
'What attribution.schedule() has scheduled in this database, as far as pg_cron shows it to you: your jobs, to a superuser all.
since: null for the default, and for all but ''reattribute''. No rows where pg_cron is missing, or its schema is closed to you.';
