-- The worker: a process of each database that has an enabled rule, under shared_preload_libraries = 'attribution'. It does for
-- all rules, as conversions are committed, what run() does for one.

CREATE FUNCTION attribution._wake(due timestamptz) RETURNS void
LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'attribution_wake';
COMMENT ON FUNCTION attribution._wake(timestamptz) IS 'When this transaction commits, the worker is waked: something is due then.';

CREATE FUNCTION attribution._rules_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM attribution._wake('-infinity');
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION attribution._rules_changed() IS 'Has the worker look which rules there are; it is started for the first, and ends with the last.';
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE ON attribution.rule
  FOR EACH STATEMENT EXECUTE FUNCTION attribution._rules_changed();

CREATE FUNCTION attribution._agenda(since timestamptz, thorough boolean, put_off text[]) RETURNS TABLE (rule text, due timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
BEGIN
  FOR rule IN
    SELECT r.rule FROM attribution.rule AS r JOIN attribution.storage AS s ON s.rule = r.rule
     WHERE r.enabled AND r.active_version IS NOT NULL ORDER BY r.rule
  LOOP
    BEGIN
      due := '-infinity';
      IF _agenda.rule <> ALL (put_off) AND (NOT thorough OR attribution._is_reconciled(_agenda.rule, '{}')) THEN
        due := attribution._next_due(_agenda.rule, since);
      END IF;
    EXCEPTION WHEN OTHERS THEN
      NULL; -- a run will say what is wrong
    END;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION attribution._agenda(timestamptz, boolean, text[]) IS
'The rules that the worker runs, and when each has something due, of what is due from since on; thorough: tables that no trigger
has seen count as well. Of rules that are put off nothing is asked: their tables may be what is locked.';

CREATE FUNCTION attribution._take_over(of_rule text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  failures integer;
BEGIN
  UPDATE attribution.run_log AS l SET finished_at = clock_timestamp(), error = 'the worker or the server was stopped', sqlstate = '57P01'
    WHERE l.rule = of_rule AND l.procedure = 'worker' AND l.finished_at IS NULL;
  SELECT count(*) INTO STRICT failures
    FROM (SELECT bool_and(l.error IS NOT NULL AND l.batches = 0 AND l.started_at > clock_timestamp() - interval '1 hour') OVER (ORDER BY l.run DESC) AS failed
          FROM attribution.run_log AS l WHERE l.rule = of_rule AND l.procedure = 'worker' ORDER BY l.run DESC LIMIT 20) AS runs
    WHERE runs.failed;
  RETURN failures;
END
$$;
COMMENT ON FUNCTION attribution._take_over(text) IS
'For a worker that begins, or has lost a run: enters the end of runs that are open in the log though nobody is at them, and tells
how many of the last ones came to nothing. A rule that brings the server down is so tried again less and less often.';

CREATE FUNCTION attribution._fail_worker(of_rule text, this_run bigint, message text, code text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF this_run IS NOT NULL THEN
    PERFORM attribution._fail_run(this_run, message, code);
  ELSE
    INSERT INTO attribution.run_log (rule, procedure, as_of, work, finished_at, error, sqlstate)
      VALUES (of_rule, 'worker', clock_timestamp(), '[]', clock_timestamp(), message, code);
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._fail_worker(text, bigint, text, text) IS 'Enters the error that ended a run of the worker, or kept it from beginning, into the log.';

CREATE FUNCTION attribution._enable(of_rule text, enable boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM attribution._lock_rule(of_rule);
  PERFORM attribution._require_owner(of_rule);
  UPDATE attribution.rule AS r SET enabled = enable WHERE r.rule = of_rule AND r.enabled <> enable;
END
$$;
COMMENT ON FUNCTION attribution._enable(text, boolean) IS 'Has the worker run a rule, or leave it alone.';

CREATE FUNCTION attribution.enable(rule text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT attribution._enable(rule, true) $$;
COMMENT ON FUNCTION attribution.enable(text) IS 'Has the worker run a rule, as it does with all rules that are not disabled.';

CREATE FUNCTION attribution.disable(rule text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT attribution._enable(rule, false) $$;
COMMENT ON FUNCTION attribution.disable(text) IS
'Has the worker leave a rule alone: its conversions are queued, and run() decides them. A step that it is at is done to its end.';

CREATE FUNCTION attribution._workers()
RETURNS TABLE (database oid, pid integer, state text, since timestamptz, failures integer, next_start timestamptz, message text)
LANGUAGE c ROWS 10 AS 'MODULE_PATHNAME', 'attribution_workers';
COMMENT ON FUNCTION attribution._workers() IS 'The databases that have a worker, or need one.';

CREATE VIEW attribution.workers AS
  SELECT d.datname AS database, w.pid, w.state, w.since, w.failures, w.next_start, w.message
  FROM attribution._workers() AS w LEFT JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) w.database;
COMMENT ON VIEW attribution.workers IS
'The databases of this cluster that have a worker, or need one. state: idle, running, starting; waiting: it has no process, and
message says why. failures: of its processes, one after the other; next_start: not before then is another started. No rows: no
database has an enabled rule, or attribution is not in shared_preload_libraries.';
