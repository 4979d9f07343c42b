-- Deciding and keeping: run(), reattribute(), reconcile(), and what they left behind.
--
-- The procedures commit step by step, so they can't pin search_path themselves: they hold nothing but calls of functions
-- that do. A step is one transaction: some pages of a table queued, or a batch of conversions decided.

CREATE FUNCTION attribution._guard_log() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  of_rule text := CASE TG_OP WHEN 'DELETE' THEN OLD.rule ELSE NEW.rule END;
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.rule <> NEW.rule
     OR EXISTS (SELECT FROM attribution.rule AS r WHERE r.rule = of_rule AND NOT pg_has_role(r.owner::oid, 'USAGE')) THEN
    -- Who owns the conversions may move them.
    IF TG_OP <> 'INSERT' OR TG_TABLE_NAME <> 'reconciled'
       OR NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = (to_jsonb(NEW) ->> 'leaf')::oid AND pg_has_role(c.relowner, 'USAGE')) THEN
      RAISE EXCEPTION 'must be owner of rule "%"', of_rule USING ERRCODE = 'insufficient_privilege';
    END IF;
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION attribution._guard_log() IS 'Lets only those write of a rule''s runs who have the privileges of its owner.';

CREATE TABLE attribution.run_log (
  run bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  rule text NOT NULL,
  procedure text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  finished_at timestamptz,
  pid integer NOT NULL DEFAULT pg_catalog.pg_backend_pid(),
  as_of timestamptz NOT NULL,
  since timestamptz,
  until timestamptz,
  work jsonb NOT NULL,
  passed_over oid[] NOT NULL DEFAULT '{}',
  queued bigint NOT NULL DEFAULT 0,
  batches integer NOT NULL DEFAULT 0,
  decided bigint NOT NULL DEFAULT 0,
  changed bigint NOT NULL DEFAULT 0,
  restated bigint NOT NULL DEFAULT 0,
  withdrawn bigint NOT NULL DEFAULT 0,
  kept bigint NOT NULL DEFAULT 0,
  closed bigint NOT NULL DEFAULT 0,
  dead bigint NOT NULL DEFAULT 0,
  by_touch_index bigint NOT NULL DEFAULT 0,
  by_sql bigint NOT NULL DEFAULT 0,
  most integer,
  outcomes jsonb NOT NULL DEFAULT '{}',
  error text,
  sqlstate text
);
COMMENT ON TABLE attribution.run_log IS 'Every run of every rule of the last 90 days. It has ended if finished_at is set; if not, it is still at it, or it was killed.';
COMMENT ON COLUMN attribution.run_log.procedure IS 'run, reattribute, reconcile; worker: what the worker did in up to a minute.';
COMMENT ON COLUMN attribution.run_log.as_of IS 'The time that counted as now: what was due by then was decided. Of the worker, the time of its last step.';
COMMENT ON COLUMN attribution.run_log.since IS 'What reattribute() was asked for; null for other runs.';
COMMENT ON COLUMN attribution.run_log.work IS 'Tables, or rests of them, that are yet to be looked through for conversions to queue.';
COMMENT ON COLUMN attribution.run_log.passed_over IS 'Tables of which some pages were not looked through, because open transactions had changed conversions in them.';
COMMENT ON COLUMN attribution.run_log.queued IS 'Conversions queued because they, or their decisions, had not been seen before, or for reattribute().';
COMMENT ON COLUMN attribution.run_log.decided IS 'Conversions decided, again or for the first time.';
COMMENT ON COLUMN attribution.run_log.changed IS 'Decisions written: new ones, and those that differ from an earlier one.';
COMMENT ON COLUMN attribution.run_log.restated IS 'Of these, those that differ from an earlier one.';
COMMENT ON COLUMN attribution.run_log.withdrawn IS 'Decisions whose conversion is no more.';
COMMENT ON COLUMN attribution.run_log.kept IS 'Decisions left as they were because they lie beyond the horizon.';
COMMENT ON COLUMN attribution.run_log.closed IS 'Conversions that will not be decided again of themselves.';
COMMENT ON COLUMN attribution.run_log.dead IS 'Conversions that could not be decided, and were set aside: attribution.dead_letters has them.';
COMMENT ON COLUMN attribution.run_log.by_touch_index IS 'How often the touchpoints of a tier were found for a batch by touch indexes.';
COMMENT ON COLUMN attribution.run_log.by_sql IS 'How often by plain SQL, as a table has no touch index that serves.';
COMMENT ON COLUMN attribution.run_log.most IS 'Only so many conversions are decided at a time, since a batch has failed; null: attribution.batch_size.';
COMMENT ON COLUMN attribution.run_log.outcomes IS 'How many were decided by which tier, or organic.';
COMMENT ON SEQUENCE attribution.run_log_run_seq IS 'Numbers the runs.';
CREATE INDEX ON attribution.run_log (rule, run);
SELECT pg_catalog.pg_extension_config_dump('attribution.run_log', '');
SELECT pg_catalog.pg_extension_config_dump('attribution.run_log_run_seq', '');
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON attribution.run_log
  FOR EACH ROW EXECUTE FUNCTION attribution._guard_log();

-- The tables (leaf partitions, or the one table) of a rule's conversions whose rows are known to be queued or decided, or on
-- whose rows decisions may stand. One that is not here was attached, one whose file is another was truncated or rewritten, one
-- whose trigger is another was detached for a while, one that is no leaf any more was detached or dropped: no trigger fires for
-- that. Not dumped: after a restore everything is looked through once.
CREATE TABLE attribution.reconciled (
  rule text REFERENCES attribution.rule ON DELETE CASCADE,
  leaf oid,
  filenode oid,
  queueing oid,
  span tstzrange NOT NULL,
  PRIMARY KEY (rule, leaf)
);
COMMENT ON TABLE attribution.reconciled IS 'Tables of conversions whose rows are all queued or decided; what comes later, the trigger queues. Where filenode is 0 they need not be, but decisions may stand on them.';
COMMENT ON COLUMN attribution.reconciled.filenode IS 'Its file; 0 as long as it is not looked through to its end.';
COMMENT ON COLUMN attribution.reconciled.queueing IS 'The trigger on it that queues; 0 if it never was looked through to its end.';
COMMENT ON COLUMN attribution.reconciled.span IS 'The times that the table may hold.';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON attribution.reconciled
  FOR EACH ROW EXECUTE FUNCTION attribution._guard_log();

CREATE FUNCTION attribution._require_own_transactions(procedure text) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'attribution_require_own_transactions';
COMMENT ON FUNCTION attribution._require_own_transactions(text) IS 'Raises an error where a procedure could not commit, or would not see what is new.';

CREATE FUNCTION attribution._queue(rule text, relation regclass, decisions boolean, missing boolean, unqueued boolean, reopen boolean, first_page bigint, past_page bigint,
  since timestamptz, until timestamptz, now timestamptz) RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'attribution_queue';
COMMENT ON FUNCTION attribution._queue(text, regclass, boolean, boolean, boolean, boolean, bigint, bigint, timestamptz, timestamptz, timestamptz) IS
'Queues what some pages of a table of conversions, or of decisions, hold; missing: if there is no decision, or no conversion,
to it; unqueued: if it is not in the queue; reopen: as if it had arrived at its time, or else long ago, to close at once. Returns how many.';

CREATE FUNCTION attribution._run_batch_size() RETURNS integer LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'attribution_run_batch_size';
COMMENT ON FUNCTION attribution._run_batch_size() IS 'How many conversions a batch of a run has at most, as attribution.batch_size says.';

CREATE FUNCTION attribution._run_batch(rule text, run bigint, since timestamptz, now timestamptz, most integer, everywhere boolean, OUT claimed integer,
  OUT reached timestamptz, OUT rest boolean, OUT decided bigint, OUT changed bigint, OUT restated bigint, OUT withdrawn bigint,
  OUT kept bigint, OUT closed bigint, OUT by_touch_index bigint, OUT by_sql bigint, OUT tiers text[], OUT counts bigint[], OUT dead text, OUT message text)
RETURNS SETOF record LANGUAGE c ROWS 1 AS 'MODULE_PATHNAME', 'attribution_run_batch';
COMMENT ON FUNCTION attribution._run_batch(text, bigint, timestamptz, timestamptz, integer, boolean) IS
'Decides a batch of what is due from since until now, as the rule''s owner, and writes what changed; reached: when the last of
it was due; rest: more may be due. most: at most so many conversions, null for attribution.batch_size; 1: if the one can''t be
decided, it is set aside; dead is its id, and message says why. everywhere: earlier decisions are looked for at all times.';

CREATE FUNCTION attribution._is_of_the_data(code text) RETURNS boolean
LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_is_of_the_data';
COMMENT ON FUNCTION attribution._is_of_the_data(text) IS 'Whether an SQLSTATE says that something is wrong with a row, and not with all.';

CREATE FUNCTION attribution._next_due(rule text, since timestamptz) RETURNS timestamptz
LANGUAGE c STABLE COST 1000 AS 'MODULE_PATHNAME', 'attribution_next_due';
COMMENT ON FUNCTION attribution._next_due(text, timestamptz) IS 'When something in a rule''s queue is due next, of what is due from since on; null: nothing is.';

CREATE FUNCTION attribution._leaves(relation regclass, time_column name, trigger_name name)
RETURNS TABLE (leaf regclass, filenode oid, queueing oid, pages bigint, span tstzrange)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.oid::regclass, pg_relation_filenode(c.oid::regclass),
    (SELECT t.oid FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgname = trigger_name),
    -- Without pages, as a foreign table or one of another access method, it is looked through at once.
    CASE WHEN c.relkind = 'r' AND a.amname = 'heap' THEN pg_relation_size(c.oid::regclass) / current_setting('block_size')::bigint END,
    coalesce(p.span, '(,)')
  FROM (SELECT t.relid::oid FROM pg_partition_tree(relation) AS t WHERE t.isleaf
        UNION SELECT relation::oid WHERE NOT EXISTS (SELECT FROM pg_partition_tree(relation))) AS leaves
  JOIN pg_class AS c ON c.oid = leaves.relid AND c.relkind <> 'p'
  LEFT JOIN pg_am AS a ON a.oid = c.relam
  LEFT JOIN LATERAL (
    SELECT s.span FROM attribution._partitions_of(relation) AS s
     WHERE s.partition = c.oid AND EXISTS (
       SELECT FROM pg_partitioned_table AS k JOIN pg_attribute AS b ON b.attrelid = k.partrelid AND b.attnum = k.partattrs[0]
        WHERE k.partrelid = relation AND k.partstrat = 'r' AND k.partnatts = 1 AND b.attname = time_column AND b.atttypid = 'timestamptz'::regtype)) AS p ON true
$$;
COMMENT ON FUNCTION attribution._leaves(regclass, name, name) IS 'The tables that hold a relation''s rows, with their trigger of a name and the times each may hold.';

CREATE FUNCTION attribution._attachment(leaf oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(string_agg(c.xmin::text, ' ' ORDER BY c.oid), 'dropped')
  FROM pg_class AS c WHERE c.oid = leaf OR c.oid IN (SELECT a.relid FROM pg_partition_ancestors(leaf) AS a)
$$;
COMMENT ON FUNCTION attribution._attachment(oid) IS
'Which transactions last changed what the catalog says of a table and of the tables that it is a partition of: as long as that
stays the same, it was neither attached nor detached.';

CREATE FUNCTION attribution._work_on(of_rule text, since timestamptz, until timestamptz) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
  SELECT coalesce(jsonb_agg(jsonb_build_object('relation', w.leaf::oid, 'pages', w.pages, 'decisions', w.decisions, 'missing', false, 'reopen', false,
                                               'since', since, 'until', until) ORDER BY w.decisions, w.span, w.leaf::oid), '[]')
  FROM attribution.rule AS r
  JOIN attribution.rule_version AS v ON v.rule = r.rule AND v.version = r.active_version
  JOIN attribution.storage AS s ON s.rule = r.rule
  CROSS JOIN LATERAL (SELECT l.*, false AS decisions FROM attribution._leaves(v.conversions, v.time_column, NULL) AS l
                      UNION ALL
                      SELECT l.*, true FROM attribution._leaves(s.decisions, 'conversion_time', NULL) AS l) AS w
  WHERE r.rule = of_rule AND w.span && tstzrange(since, until, '[]') AND (w.pages IS NULL OR w.pages > 0)
$$;
COMMENT ON FUNCTION attribution._work_on(text, timestamptz, timestamptz) IS 'The tables of a rule''s conversions and decisions to look through, for those of a time.';

CREATE FUNCTION attribution._reconciliation(of_rule text, thorough boolean DEFAULT false) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
DECLARE
  work jsonb;
  known jsonb;
  lost tstzmultirange;
  gone jsonb;
  stated record;
BEGIN
  IF NOT thorough AND attribution._is_reconciled(of_rule, '{}') THEN
    RETURN '[]'; -- as almost always, and told in a fifth of the time
  END IF;
  SELECT v.conversions, v.time_column, attribution._horizon(v.conversions) AS horizon, s.decisions, 'attribution_' || r.rule AS trigger_name
    INTO STRICT stated
    FROM attribution.rule AS r
    JOIN attribution.rule_version AS v ON v.rule = r.rule AND v.version = r.active_version
    JOIN attribution.storage AS s ON s.rule = r.rule
    WHERE r.rule = of_rule;
  -- What was attached, or holds other rows than before. Where the rule knows the table, or others of it, rows with a decision
  -- may differ from what was decided; in another file under the same trigger they can't.
  SELECT coalesce(jsonb_agg(jsonb_build_object('relation', l.leaf::oid, 'pages', l.pages, 'decisions', false,
           'missing', k.queueing IS NOT DISTINCT FROM l.queueing
             OR NOT EXISTS (SELECT FROM attribution.reconciled AS r WHERE r.rule = of_rule AND r.queueing IS DISTINCT FROM 0),
           'reopen', true, 'since', coalesce(lower(l.span), '-infinity'), 'until', coalesce(upper(l.span), 'infinity')) ORDER BY l.span, l.leaf::oid), '[]'),
      coalesce(jsonb_agg(jsonb_build_object('known', l.leaf::oid, 'filenode', l.filenode, 'queueing', l.queueing, 'span', l.span)), '[]')
    INTO STRICT work, known
    FROM attribution._leaves(stated.conversions, stated.time_column, stated.trigger_name) AS l
    LEFT JOIN attribution.reconciled AS k ON k.rule = of_rule AND k.leaf = l.leaf
    WHERE k.leaf IS NULL OR (k.filenode, k.queueing) IS DISTINCT FROM (l.filenode, l.queueing);
  -- Decisions on what was there and is not any more. Before the horizon that is as it should be.
  SELECT range_agg(k.span * tstzrange(stated.horizon, NULL)),
      coalesce(jsonb_agg(jsonb_build_object('forget', k.leaf, 'filenode', k.filenode, 'queueing', k.queueing, 'attachment', attribution._attachment(k.leaf)))
               FILTER (WHERE l.leaf IS NULL), '[]')
    INTO STRICT lost, gone
    FROM attribution.reconciled AS k
    LEFT JOIN attribution._leaves(stated.conversions, stated.time_column, stated.trigger_name) AS l ON l.leaf = k.leaf
    WHERE k.rule = of_rule AND (k.filenode, k.queueing) IS DISTINCT FROM (l.filenode, l.queueing);
  IF thorough THEN
    lost := tstzmultirange(tstzrange(NULL, NULL));
  END IF;
  IF NOT isempty(lost) THEN
    work := work || (
      SELECT coalesce(jsonb_agg(jsonb_build_object('relation', l.leaf::oid, 'pages', l.pages, 'decisions', true, 'missing', true, 'reopen', true,
               'since', coalesce(lower(lost), '-infinity'), 'until', coalesce(upper(lost), 'infinity')) ORDER BY l.span, l.leaf::oid), '[]')
      FROM attribution._leaves(stated.decisions, 'conversion_time', NULL) AS l WHERE l.span && lost);
  END IF;
  RETURN attribution._with_last_look(work) || known || gone;
END
$$;
COMMENT ON FUNCTION attribution._reconciliation(text, boolean) IS
'The tables to look through for what no trigger has seen: existing rows, attached, detached and truncated partitions; thorough: and
for all decisions without a conversion.';

CREATE FUNCTION attribution._is_reconciled(of_rule text, passed_over oid[]) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN NOT EXISTS (
    SELECT
    FROM (SELECT p.relid::oid AS leaf FROM attribution.rule AS r
            JOIN attribution.rule_version AS v ON v.rule = r.rule AND v.version = r.active_version
           CROSS JOIN LATERAL (SELECT t.relid FROM pg_partition_tree(v.conversions) AS t WHERE t.isleaf
                               UNION SELECT v.conversions WHERE NOT EXISTS (SELECT FROM pg_partition_tree(v.conversions))) AS p
           WHERE r.rule = of_rule) AS l
    JOIN pg_class AS c ON c.oid = l.leaf AND c.relkind <> 'p'
    FULL JOIN (SELECT * FROM attribution.reconciled AS r WHERE r.rule = of_rule) AS k ON k.leaf = l.leaf
    WHERE (k.leaf IS NULL OR l.leaf IS NULL OR (k.filenode, k.queueing) IS DISTINCT FROM (pg_relation_filenode(l.leaf),
            (SELECT t.oid FROM pg_trigger AS t WHERE t.tgrelid = l.leaf AND t.tgname = 'attribution_' || of_rule)))
      -- A table that nobody knows would not be missed, once there are decisions on its rows.
      AND (k.leaf IS NULL OR k.leaf <> ALL (passed_over)));
END
$$;
COMMENT ON FUNCTION attribution._is_reconciled(text, oid[]) IS 'Whether the tables of a rule''s conversions are those that were looked through.';

CREATE FUNCTION attribution._start_run(procedure text, of_rule text, as_of timestamptz, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
DECLARE
  stated record;
  started bigint;
  work jsonb;
BEGIN
  PERFORM attribution._require_own_transactions('attribution.' || procedure || '()');
  IF of_rule IS NULL THEN
    RAISE EXCEPTION 'rule must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  PERFORM attribution._require_owner(of_rule);
  IF NOT isfinite(as_of) THEN
    RAISE EXCEPTION 'as_of must be finite' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF since > until THEN
    RAISE EXCEPTION 'since must not be after until' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  PERFORM attribution._kept(of_rule);
  SELECT r.active_version, v.conversions INTO STRICT stated
    FROM attribution.rule AS r LEFT JOIN attribution.rule_version AS v ON v.rule = r.rule AND v.version = r.active_version WHERE r.rule = of_rule;
  IF EXISTS (SELECT FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhparent AND c.relkind = 'r' WHERE i.inhparent = stated.conversions) THEN
    RAISE EXCEPTION '% has inheritance children', stated.conversions USING ERRCODE = 'feature_not_supported',
      DETAIL = 'Their rows would be conversions, but no trigger queues them.', HINT = 'Use partitions.';
  END IF;
  IF stated.active_version IS NULL THEN
    RAISE EXCEPTION 'rule "%" is not in force', of_rule USING ERRCODE = 'object_not_in_prerequisite_state',
      HINT = format('SELECT attribution.activate(%L);', of_rule);
  END IF;
  IF NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = stated.conversions AND t.tgname = 'attribution_' || of_rule AND t.tgenabled = 'A') THEN
    RAISE EXCEPTION 'rule "%" does not queue the conversions of %', of_rule, stated.conversions
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('Trigger %I is missing or disabled.', 'attribution_' || of_rule),
        HINT = format('As the owner of %s: SELECT attribution.activate(%L); and enable it ALWAYS.', stated.conversions, of_rule);
  END IF;
  IF procedure = 'reconcile' THEN
    -- No table counts as looked through; but that it was known stays known: another run may be the first to see that it is gone.
    UPDATE attribution.reconciled AS r SET filenode = 0 WHERE r.rule = of_rule;
  END IF;
  work := attribution._reconciliation(of_rule, procedure = 'reconcile');
  IF procedure = 'reattribute' THEN
    work := work || attribution._with_last_look(attribution._work_on(of_rule, since, until));
  END IF;
  -- The oldest only, as far as an index finds them: each run takes more away than one brings.
  DELETE FROM attribution.run_log AS l WHERE l.started_at < now() - interval '90 days'
    AND l.run IN (SELECT o.run FROM attribution.run_log AS o WHERE o.rule = of_rule ORDER BY o.run LIMIT 100);
  INSERT INTO attribution.run_log (rule, procedure, as_of, since, until, work)
    VALUES (of_rule, procedure, coalesce(as_of, clock_timestamp()), since, until, work)
    RETURNING run INTO STRICT started;
  RETURN started;
END
$$;
COMMENT ON FUNCTION attribution._start_run(text, text, timestamptz, timestamptz, timestamptz) IS 'Checks that a rule can run, and enters a run into the log. Returns its number.';

CREATE FUNCTION attribution._with_last_look(work jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(jsonb_agg(i.item ORDER BY i.last, w.at), '[]')
  FROM jsonb_array_elements(work) WITH ORDINALITY AS w(item, at)
  CROSS JOIN LATERAL (SELECT w.item, 0 AS last
                      UNION ALL
                      SELECT w.item - 'pages' - 'first' || '{"unqueued": true}', 1 WHERE (w.item ->> 'pages')::bigint > 1000) AS i
$$;
COMMENT ON FUNCTION attribution._with_last_look(jsonb) IS
'Tables to look through, with a last look in one snapshot at those that take several chunks: between two of them a row may
have moved to pages that were looked through before.';

CREATE FUNCTION attribution._chunk(item jsonb, OUT first bigint, OUT past bigint) RETURNS record
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN pages IS NOT NULL THEN since END, CASE WHEN pages IS NOT NULL THEN least(since + 1000, pages) END
  FROM (SELECT coalesce((item ->> 'first')::bigint, 0) AS since, (item ->> 'pages')::bigint AS pages) AS i
$$;
COMMENT ON FUNCTION attribution._chunk(jsonb) IS 'The pages of a table to look through next, past excluded; nulls: all of it at once.';

CREATE FUNCTION attribution._look_through(this_run bigint, item jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
DECLARE
  log attribution.run_log;
  chunk record;
  found_queued bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = (item ->> 'relation')::oid) THEN
    RETURN '[]'; -- dropped meanwhile
  END IF;
  SELECT * INTO STRICT log FROM attribution.run_log AS l WHERE l.run = this_run;
  chunk := attribution._chunk(item);
  -- Queueing waits for transactions that have changed the same conversions; not for long, as they may come to wait for us.
  PERFORM set_config('lock_timeout', '500ms', true);
  found_queued := attribution._queue(log.rule, (item ->> 'relation')::oid::regclass, (item ->> 'decisions')::boolean, (item ->> 'missing')::boolean,
    item ? 'unqueued', (item ->> 'reopen')::boolean, chunk.first, chunk.past, (item ->> 'since')::timestamptz, (item ->> 'until')::timestamptz, log.as_of);
  UPDATE attribution.run_log AS l SET queued = l.queued + found_queued WHERE l.run = this_run;
  IF chunk.past IS NULL OR chunk.past >= (item ->> 'pages')::bigint THEN
    RETURN '[]';
  END IF;
  RAISE NOTICE 'rule "%": looked through % of % pages of %', log.rule, chunk.past, item ->> 'pages', (item ->> 'relation')::oid::regclass;
  RETURN jsonb_build_array(item || jsonb_build_object('first', chunk.past));
END
$$;
COMMENT ON FUNCTION attribution._look_through(bigint, jsonb) IS 'Queues what the next pages of a table hold. Returns what is left to do of it.';

CREATE FUNCTION attribution._step(this_run bigint, since timestamptz) RETURNS timestamptz
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
DECLARE
  log attribution.run_log;
  item jsonb;
  rest jsonb;
  batch record;
  now_is timestamptz;
BEGIN
  SELECT * INTO STRICT log FROM attribution.run_log AS l WHERE l.run = this_run;
  now_is := CASE log.procedure WHEN 'worker' THEN clock_timestamp() ELSE log.as_of END;
  IF jsonb_array_length(log.work) = 0 THEN
    BEGIN
      SELECT * INTO STRICT batch FROM attribution._run_batch(log.rule, this_run, since, now_is, log.most, log.passed_over <> '{}');
      -- The batch has locked all tables of the conversions. If others came or went since the run began, decisions may stand
      -- that nothing points to: it is undone, and those tables come first.
      IF NOT attribution._is_reconciled(log.rule, log.passed_over) THEN
        RAISE EXCEPTION 'stale' USING ERRCODE = 'AT001';
      END IF;
    EXCEPTION WHEN SQLSTATE 'AT001' THEN
      UPDATE attribution.run_log AS l SET as_of = now_is, work = attribution._reconciliation(l.rule) WHERE l.run = this_run;
      RETURN '-infinity';
    END;
    IF batch.claimed = 0 THEN
      RETURN NULL;
    END IF;
    IF batch.dead IS NOT NULL THEN
      RAISE WARNING 'rule "%": conversion % can''t be decided, and was set aside: %', log.rule, batch.dead, batch.message
        USING HINT = format('attribution.dead_letters has it. When it is mended: SELECT attribution.retry_dead_letters(%L);', log.rule);
    END IF;
    UPDATE attribution.run_log AS l SET as_of = now_is, batches = l.batches + 1, decided = l.decided + batch.decided,
        changed = l.changed + batch.changed, restated = l.restated + batch.restated, withdrawn = l.withdrawn + batch.withdrawn,
        kept = l.kept + batch.kept, closed = l.closed + batch.closed, dead = l.dead + (batch.dead IS NOT NULL)::integer,
        by_touch_index = l.by_touch_index + batch.by_touch_index, by_sql = l.by_sql + batch.by_sql,
        most = CASE WHEN l.most < attribution._run_batch_size() / 2 THEN l.most * 2 END,
        outcomes = (SELECT coalesce(jsonb_object_agg(o.tier, o.total ORDER BY o.tier), '{}') FROM (
          SELECT e.tier, sum(e.count) AS total FROM (
            SELECT key AS tier, value::numeric AS count FROM jsonb_each_text(l.outcomes) UNION ALL SELECT * FROM unnest(batch.tiers, batch.counts)) AS e
          GROUP BY e.tier HAVING sum(e.count) > 0) AS o)
      WHERE l.run = this_run;
    RETURN CASE WHEN batch.rest THEN batch.reached ELSE 'infinity' END;
  END IF;

  item := log.work -> 0;
  rest := log.work - 0;
  IF NOT item ? 'relation' THEN
    IF EXISTS (SELECT FROM jsonb_array_elements(rest) AS w WHERE w ? 'relation') THEN
      rest := rest || item; -- not yet: something was put off, and other runs go by what is known
    ELSIF coalesce(item ->> 'known', item ->> 'forget')::oid = ANY (log.passed_over) THEN
      -- The next run will look. Decisions are made on it all the same: if it goes before it is known, they are to be found.
      INSERT INTO attribution.reconciled AS r
        SELECT log.rule, (item ->> 'known')::oid, 0, 0, (item ->> 'span')::tstzrange WHERE item ? 'known' ON CONFLICT DO NOTHING;
    ELSIF item ? 'forget' THEN
      -- If it was back meanwhile, decisions may stand on it that were not looked through, or made since: then it stays known,
      -- and what it is now is looked at anew.
      DELETE FROM attribution.reconciled AS r
        WHERE r.rule = log.rule AND r.leaf = (item ->> 'forget')::oid
          AND (r.filenode, r.queueing) IS NOT DISTINCT FROM ((item ->> 'filenode')::oid, (item ->> 'queueing')::oid)
          AND attribution._attachment(r.leaf) = item ->> 'attachment';
    ELSE
      INSERT INTO attribution.reconciled AS r
        VALUES (log.rule, (item ->> 'known')::oid, (item ->> 'filenode')::oid, (item ->> 'queueing')::oid, (item ->> 'span')::tstzrange)
        ON CONFLICT (rule, leaf) DO UPDATE SET filenode = excluded.filenode, queueing = excluded.queueing, span = excluded.span;
    END IF;
  ELSE
    rest := attribution._look_through(this_run, item) || rest;
  END IF;
  UPDATE attribution.run_log AS l SET as_of = now_is, work = rest WHERE l.run = this_run;
  RETURN '-infinity';
END
$$;
COMMENT ON FUNCTION attribution._step(bigint, timestamptz) IS
'One transaction''s worth of a run: of what is due from since on, the first. Returns from when to go on, infinity if it was all,
null if there was nothing. (Where an old snapshot keeps the rows that are through from being vacuumed, looking from the
beginning each time would take longer and longer.)';

CREATE FUNCTION attribution._finish_run(this_run bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  log attribution.run_log;
BEGIN
  UPDATE attribution.run_log AS l SET finished_at = clock_timestamp() WHERE l.run = this_run RETURNING * INTO STRICT log;
  -- All of it was decided by the filter as it is: no decision stands on a row that is a conversion no more.
  IF log.passed_over = '{}' AND (log.procedure = 'reconcile' OR log.since = '-infinity' AND log.until = 'infinity') THEN
    UPDATE attribution.storage AS s SET refiltered_at = NULL WHERE s.rule = log.rule AND s.refiltered_at < log.started_at;
  END IF;
  RAISE NOTICE 'rule "%": % decided in % s%', log.rule, log.decided, round(extract(epoch FROM log.finished_at - log.started_at), 1),
    coalesce((SELECT ' (' || string_agg(value || ' ' || key, ', ' ORDER BY value::bigint DESC, key) || ')' FROM jsonb_each_text(log.outcomes)), '')
    USING DETAIL = format('queued %s, batches %s, new %s, restated %s, withdrawn %s, kept beyond the horizon %s, closed %s',
                          log.queued, log.batches, log.changed - log.restated, log.restated, log.withdrawn, log.kept, log.closed)
                   || CASE WHEN log.dead > 0 THEN format(', set aside %s', log.dead) ELSE '' END;
END
$$;
COMMENT ON FUNCTION attribution._finish_run(bigint) IS 'Enters the end of a run into the log, and says what it did.';

CREATE FUNCTION attribution._fail_run(this_run bigint, message text, code text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  UPDATE attribution.run_log AS l SET finished_at = clock_timestamp(), error = message, sqlstate = code WHERE l.run = this_run
$$;
COMMENT ON FUNCTION attribution._fail_run(bigint, text, text) IS 'Enters the error that ended a run into the log.';

CREATE FUNCTION attribution._recover(this_run bigint, retries integer, code text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
DECLARE
  log attribution.run_log;
  item jsonb;
  chunk record;
  rest jsonb := '[]';
BEGIN
  IF code IN ('40P01', '40001', '42P01') AND retries > 0 THEN
    RETURN retries - 1; -- it lost to others, or a partition was dropped under it; it has written nothing
  END IF;
  SELECT * INTO STRICT log FROM attribution.run_log AS l WHERE l.run = this_run;
  IF NOT coalesce(log.work -> 0 ? 'relation', false) AND attribution._is_of_the_data(code) AND log.most IS DISTINCT FROM 1 THEN
    -- One of the batch can't be decided: smaller and smaller batches tell which.
    UPDATE attribution.run_log AS l SET most = greatest(coalesce(l.most, attribution._run_batch_size()) / 2, 1)
      WHERE l.run = this_run;
    RETURN retries;
  END IF;
  IF code <> '55P03' OR NOT coalesce(log.work -> 0 ? 'relation', false) THEN
    RETURN NULL;
  END IF;
  -- An open transaction holds conversions of the chunk: the rest first, then the chunk in halves, down to a page.
  item := log.work -> 0;
  chunk := attribution._chunk(item);
  IF chunk.past < (item ->> 'pages')::bigint THEN
    rest := jsonb_build_array(item || jsonb_build_object('first', chunk.past));
  END IF;
  rest := rest || (log.work - 0);
  IF chunk.past - chunk.first > 1 AND retries > 0 THEN
    rest := rest || jsonb_build_array(item || jsonb_build_object('first', chunk.first, 'pages', (chunk.first + chunk.past) / 2),
                                      item || jsonb_build_object('first', (chunk.first + chunk.past) / 2, 'pages', chunk.past));
    IF NOT EXISTS (SELECT FROM jsonb_array_elements(rest) AS w
                   WHERE w ? 'unqueued' AND w -> 'relation' = item -> 'relation' AND w -> 'missing' = item -> 'missing') THEN
      rest := rest || jsonb_build_array(item - 'pages' - 'first' || '{"unqueued": true}');
    END IF;
  ELSIF coalesce((item ->> 'tries')::integer, 0) < 3 AND retries > 0 THEN
    rest := rest || jsonb_build_array(item || jsonb_build_object('pages', chunk.past, 'tries', coalesce((item ->> 'tries')::integer, 0) + 1));
  ELSE
    IF (item ->> 'relation')::oid <> ALL (log.passed_over) THEN
      RAISE WARNING 'rule "%": % is not looked through to its end: open transactions have changed conversions in it',
          log.rule, (item ->> 'relation')::oid::regclass
        USING HINT = CASE WHEN (item ->> 'reopen')::boolean THEN 'The next run will try again.' ELSE 'Try again when they have ended.' END;
    END IF;
    -- Of decisions, it is not known which of the tables that came or went they stand on.
    UPDATE attribution.run_log AS l SET passed_over = ARRAY(
        SELECT unnest(l.passed_over) UNION SELECT (item ->> 'relation')::oid
        UNION SELECT coalesce(w ->> 'known', w ->> 'forget')::oid FROM jsonb_array_elements(rest) AS w
               WHERE (item ->> 'decisions')::boolean AND NOT w ? 'relation')
      WHERE l.run = this_run;
  END IF;
  UPDATE attribution.run_log AS l SET work = rest WHERE l.run = this_run;
  RETURN greatest(retries - 1, 0);
END
$$;
COMMENT ON FUNCTION attribution._recover(bigint, integer, text) IS 'After an error: how often a run may still repeat a step; null: the error ends the run.';

CREATE FUNCTION attribution._raise(code text, message text, detail text, hint text) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'attribution_raise';
COMMENT ON FUNCTION attribution._raise(text, text, text, text) IS 'Raises an error again.';

CREATE PROCEDURE attribution._work(this_run bigint)
LANGUAGE plpgsql AS $$
DECLARE
  since timestamptz := '-infinity';
  next timestamptz;
  retries integer := 20;
  code text;
  message text;
  detail text;
  hint text;
BEGIN
  COMMIT;
  LOOP
    BEGIN
      code := NULL;
      next := attribution._step(this_run, since);
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    END;
    IF code IS NOT NULL THEN
      retries := attribution._recover(this_run, retries, code);
      IF retries IS NULL THEN
        PERFORM attribution._fail_run(this_run, message, code);
        COMMIT;
        PERFORM attribution._raise(code, message, detail, hint);
      END IF;
    ELSE
      -- After several a last look from the beginning: what was committed late may have been due earlier.
      next := coalesce(next, 'infinity');
      EXIT WHEN next OPERATOR(pg_catalog.=) 'infinity' AND NOT pg_catalog.isfinite(since);
      since := CASE WHEN next OPERATOR(pg_catalog.=) 'infinity' THEN '-infinity' ELSE next END;
    END IF;
    COMMIT;
  END LOOP;
  PERFORM attribution._finish_run(this_run);
END
$$;
COMMENT ON PROCEDURE attribution._work(bigint) IS 'Does a run step by step; each is committed.';

CREATE PROCEDURE attribution.run(rule text, as_of timestamptz DEFAULT NULL)
LANGUAGE plpgsql AS $$
BEGIN
  CALL attribution._work(attribution._start_run('run', rule, as_of));
END
$$;
COMMENT ON PROCEDURE attribution.run(text, timestamptz) IS
'Decides what is pending for a rule, keeps the decisions, and schedules those that stay open; first it queues what is there
and was never seen: existing rows, attached partitions. Batch by batch (attribution.batch_size), each in a transaction of
its own: it can be killed and repeated at any time, and several share the work. as_of: the time that counts as now, by
default the time of the call. A later one decides, and closes, what would be due by then; what was never decided arrives then,
and is open from then on. A conversion that can''t be decided is set aside, with a warning: attribution.dead_letters. Runs as the rule''s owner, whose
privileges you must have; READ COMMITTED, outside of a transaction block. A run is entered into attribution.run_log.';

CREATE PROCEDURE attribution.reattribute(rule text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity',
  as_of timestamptz DEFAULT NULL)
LANGUAGE plpgsql AS $$
BEGIN
  CALL attribution._work(attribution._start_run('reattribute', rule, as_of, coalesce(since, '-infinity'), coalesce(until, 'infinity')));
END
$$;
COMMENT ON PROCEDURE attribution.reattribute(text, timestamptz, timestamptz, timestamptz) IS
'Decides the conversions with since <= time < until again, closed or not, by the rule as it is now. Writes only decisions
that change; the earlier ones go into history. Decisions beyond the horizon stay as they are. All else as for run().';

CREATE PROCEDURE attribution.reconcile(rule text)
LANGUAGE plpgsql AS $$
BEGIN
  CALL attribution._work(attribution._start_run('reconcile', rule, NULL));
END
$$;
COMMENT ON PROCEDURE attribution.reconcile(text) IS
'Looks through all conversions and all decisions of a rule, and decides what is found to lack the other: for when a trigger was
disabled. (Rows that were changed meanwhile, and have their decision, need reattribute().) run() does so for tables that it
does not know yet.';

CREATE FUNCTION attribution.decisions_as_of(rule text, at timestamptz)
RETURNS TABLE (conversion_id text, conversion_time timestamptz, outcome text, kind text, tier text, credit_position integer,
  touch_id text, touch_time timestamptz, credit float8, value numeric, rule_version integer, decided_at timestamptz)
LANGUAGE c STABLE ROWS 10000 COST 10000 AS 'MODULE_PATHNAME', 'attribution_decisions_as_of';
COMMENT ON FUNCTION attribution.decisions_as_of(text, timestamptz) IS
'What a rule had decided at a time, as it was believed then: one row a credit. Needs SELECT on the tables of the rule''s
decisions. Ids come as text; <rule>_decisions_as_of() gives them their own types.';

CREATE FUNCTION attribution._outlook(rule text, since timestamptz, until timestamptz, overrides jsonb)
RETURNS TABLE (conversion_id text, conversion_time timestamptz, tier text, touch_id text, touch_time timestamptz, credits text,
  value numeric, carried text[], beyond_horizon boolean)
LANGUAGE c STABLE ROWS 10000 COST 100000 AS 'MODULE_PATHNAME', 'attribution_outlook';
COMMENT ON FUNCTION attribution._outlook(text, timestamptz, timestamptz, jsonb) IS 'What a rule would decide, one row a conversion, with the touchpoint of the most credit: for diff().';

CREATE FUNCTION attribution._stored(rule text, since timestamptz, until timestamptz, by name[])
RETURNS TABLE (conversion_id text, conversion_time timestamptz, tier text, touch_id text, touch_time timestamptz, credits text, value numeric,
  carried text[])
LANGUAGE c STABLE ROWS 10000 COST 10000 AS 'MODULE_PATHNAME', 'attribution_stored';
COMMENT ON FUNCTION attribution._stored(text, timestamptz, timestamptz, name[]) IS 'What a rule has decided, the same way, with some carried columns: for diff().';

CREATE FUNCTION attribution.diff(rule text, overrides jsonb DEFAULT '{}', since timestamptz DEFAULT '-infinity',
  until timestamptz DEFAULT 'infinity', by name[] DEFAULT '{}')
RETURNS TABLE (from_tier text, from_by text[], to_tier text, to_by text[], conversions bigint, value numeric)
LANGUAGE plpgsql STABLE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  stated record;
  places integer[];
BEGIN
  PERFORM attribution._kept(rule);
  overrides := jsonb_build_object('version', (SELECT max(v.version) FROM attribution.rule_version AS v WHERE v.rule = diff.rule))
               || coalesce(overrides, '{}');
  SELECT v.carry, attribution._horizon(v.conversions) AS horizon INTO STRICT stated FROM attribution.rule_version AS v
    WHERE v.rule = diff.rule AND v.version = (overrides ->> 'version')::integer;
  places := ARRAY(SELECT array_position(stated.carry, b) FROM unnest(by) WITH ORDINALITY AS u(b, k) ORDER BY k);
  IF array_position(places, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'decisions of rule "%" do not carry all of %', rule, by USING ERRCODE = 'undefined_column',
      HINT = 'by names columns that the rule carries: attribution.rules lists them.';
  END IF;
  RETURN QUERY
    SELECT moves.from_tier, moves.from_by, moves.to_tier, moves.to_by, count(*), sum(moves.value)
    FROM (
      SELECT CASE WHEN o.conversion_id IS NULL THEN 'undecided' ELSE coalesce(o.tier, 'organic') END AS from_tier, o.carried AS from_by,
        CASE WHEN n.conversion_id IS NULL THEN 'no conversion' ELSE coalesce(n.tier, 'organic') END AS to_tier,
        ARRAY(SELECT n.carried[p] FROM unnest(places) WITH ORDINALITY AS u(p, k) WHERE n.tier IS NOT NULL ORDER BY k) AS to_by,
        coalesce(n.value, o.value) AS value
      FROM attribution._stored(rule, since, until, by) AS o
      FULL JOIN attribution._outlook(rule, since, until, overrides) AS n
        ON n.conversion_id = o.conversion_id AND n.conversion_time = o.conversion_time
      WHERE ((o.tier, o.touch_id, o.touch_time, o.credits) IS DISTINCT FROM (n.tier, n.touch_id, n.touch_time, n.credits)
             OR (o.conversion_id IS NULL) <> (n.conversion_id IS NULL))
        AND (o.conversion_id IS NULL OR coalesce(NOT n.beyond_horizon, o.conversion_time >= stated.horizon, true))
    ) AS moves
    GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4;
END
$$;
COMMENT ON FUNCTION attribution.diff(text, jsonb, timestamptz, timestamptz, name[]) IS
'What would move if a rule said otherwise: kept decisions on conversions with since <= time < until beside what the overrides
would give (as for attribute(); by default the newest version, so a draft before it is activated). One row for each way
that conversions move: from and to which tier (or organic; undecided: nothing is kept yet; no conversion: the rule would
leave it out) and which values of carried columns (by), how many, and what they are worth. Where the credit is divided, a
conversion whose credits would differ moves from and to the touchpoint with the most, of equal ones the newest. Decisions beyond the horizon,
which reattribute() leaves alone, are not compared. Needs SELECT on what the rule reads and on the tables of its decisions.';

CREATE FUNCTION attribution._backlog(rule text)
RETURNS TABLE (undecided bigint, open bigint, due bigint, oldest_pending timestamptz, lag interval, next_due timestamptz, dead bigint)
LANGUAGE c STABLE ROWS 1 COST 10000 AS 'MODULE_PATHNAME', 'attribution_backlog';
COMMENT ON FUNCTION attribution._backlog(text) IS 'What waits in a rule''s queue.';
CREATE FUNCTION attribution._outcomes(rule text)
RETURNS TABLE (outcome text, kind text, tier text, conversions bigint, value numeric)
LANGUAGE c STABLE ROWS 10 COST 10000 AS 'MODULE_PATHNAME', 'attribution_outcomes';
COMMENT ON FUNCTION attribution._outcomes(text) IS 'A rule''s decisions by outcome, kind and tier.';
CREATE FUNCTION attribution._oldest_pending(rule text) RETURNS timestamptz
LANGUAGE c STABLE COST 10000 AS 'MODULE_PATHNAME', 'attribution_oldest_pending';
COMMENT ON FUNCTION attribution._oldest_pending(text) IS 'The time of the oldest conversion in a rule''s queue.';

CREATE FUNCTION attribution._can_read(relation regclass) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = relation AND has_schema_privilege(c.relnamespace, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))
$$;
COMMENT ON FUNCTION attribution._can_read(regclass) IS 'Whether a table is there, and the caller''s to read.';

CREATE VIEW attribution.backlog AS
  SELECT s.rule, b.undecided, b.open, b.due, b.oldest_pending, b.lag, b.next_due, b.dead
  FROM attribution.storage AS s CROSS JOIN LATERAL attribution._backlog(s.rule) AS b WHERE attribution._can_read(s.pending);
COMMENT ON VIEW attribution.backlog IS
'For each rule whose queue you may read: conversions never decided (undecided), decided and open, due by now; since when the
oldest undecided one waits, and how long; when something is due next; dead: those that could not be decided, and are not
counted elsewhere. Reads the whole queue.';
CREATE VIEW attribution.outcomes AS
  SELECT s.rule, o.outcome, o.kind, o.tier, o.conversions, o.value
  FROM attribution.storage AS s CROSS JOIN LATERAL attribution._outcomes(s.rule) AS o WHERE attribution._can_read(s.decisions);
COMMENT ON VIEW attribution.outcomes IS 'Decisions by outcome, kind and tier, with what they are worth, for each rule whose decisions you may read. Reads them all.';
