-- Moving staged rows, step by step; each step is a transaction, done with the rights of the target's owner.
--
-- What is between two steps is a state, in jsonb, that the caller hands from one to the next: the pages of the staging table
-- that are yet to be read, and what has been done. It holds nothing that would be missed: a pass can end anywhere.

CREATE FUNCTION attribution._known(relation regclass, id_column name, time_column name, ids anyarray) RETURNS boolean[]
LANGUAGE c STABLE COST 100000 AS 'MODULE_PATHNAME', 'attribution_known';
COMMENT ON FUNCTION attribution._known(regclass, name, name, anyarray) IS
'For each id, whether a table has a row with it, whatever its time: by touch indexes on (id, time) where all partitions have one.';

CREATE FUNCTION attribution._is_among(place tid, places tid[]) RETURNS boolean
LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_is_among';
COMMENT ON FUNCTION attribution._is_among(tid, tid[]) IS
'Whether a place is one of some that are in order. Beside it must stand between which places to look, or all of the table is read.';

CREATE FUNCTION attribution._ingest_as_owner(target regclass, state jsonb) RETURNS jsonb
LANGUAGE c AS 'MODULE_PATHNAME', 'attribution_ingest_as_owner';
COMMENT ON FUNCTION attribution._ingest_as_owner(regclass, jsonb) IS 'What _ingest_step() does, with the rights of the target''s owner.';

CREATE FUNCTION attribution._is_refused(stated attribution.ingestion, place tid, code text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  is_there boolean := false;
BEGIN
  -- Somebody else may have brought it just now.
  IF code = '23505' THEN
    EXECUTE format('SELECT EXISTS (SELECT FROM %s AS t JOIN %s AS s ON s.%3$I = t.%3$I WHERE s.ctid = $1)', stated.target, stated.staging, stated.id_column)
      INTO STRICT is_there USING place;
  END IF;
  RETURN NOT is_there;
END
$$;
COMMENT ON FUNCTION attribution._is_refused(attribution.ingestion, tid, text) IS
'Whether a row that could not be inserted is at fault, and not a duplicate.';

CREATE FUNCTION attribution._ingest_rows(stated attribution.ingestion, columns text, places tid[],
  OUT moved bigint, OUT duplicates bigint, OUT refused tid[], OUT codes text[], OUT messages text[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  -- If so many can't be inserted and not one can, it is not the rows' fault.
  hopeless CONSTANT integer := 100;
  at integer := 1;
  most integer := cardinality(places);
  count bigint;
  code text;
  message text;
BEGIN
  moved := 0;
  duplicates := 0;
  refused := '{}';
  codes := '{}';
  messages := '{}';
  -- All at once; where that fails, smaller and smaller pieces tell which rows are to blame.
  WHILE at <= cardinality(places) LOOP
    BEGIN
      code := NULL;
      -- Between two places, so that no more is read than that.
      EXECUTE format('INSERT INTO %s (%s) SELECT %2$s FROM %3$s AS s WHERE attribution._is_among(s.ctid, $1) AND s.ctid >= $2 AND s.ctid <= $3',
                     stated.target, columns, stated.staging)
        USING places[at:at + most - 1], places[at], places[least(at + most - 1, cardinality(places))];
      GET DIAGNOSTICS count = ROW_COUNT;
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
      IF NOT attribution._is_of_the_data(code) THEN
        RAISE;
      END IF;
    END;
    IF code IS NULL THEN
      moved := moved + count;
      at := at + most;
      most := most * 2;
    ELSIF most > 1 THEN
      most := greatest(least(most, cardinality(places) - at + 1) / 4, 1);
    ELSE
      IF attribution._is_refused(stated, places[at], code) THEN
        refused := refused || places[at];
        codes := codes || code;
        messages := messages || message;
      ELSE
        duplicates := duplicates + 1;
      END IF;
      at := at + 1;
      IF cardinality(refused) >= hopeless AND moved + duplicates = 0 THEN
        PERFORM attribution._raise(code, message, format('None of the first %s rows of a batch could be inserted into %s.', hopeless, stated.target),
          'If they are at fault, and not the table, delete them from ' || stated.staging::text || '.');
      END IF;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION attribution._ingest_rows(attribution.ingestion, text, tid[]) IS
'Inserts staged rows, in the order of their places, into their target, those that it refuses excepted. An error that is not a row''s is raised, and so is that of
the first hundred rows if none of them can be inserted.';

CREATE FUNCTION attribution._reject(stated attribution.ingestion, places tid[], reasons text[], codes text[], messages text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  columns text;
BEGIN
  SELECT string_agg(quote_ident(s.attname), ', ' ORDER BY s.attnum) INTO STRICT columns
    FROM attribution._event_columns(stated.staging) AS s JOIN attribution._event_columns(stated.rejected) AS r ON r.attname = s.attname;
  EXECUTE format('INSERT INTO %s (%s, rejected_for, rejected_sqlstate, rejected_message) SELECT %2$s, u.reason, u.code, u.message FROM %3$s AS s '
                 'JOIN unnest($1, $2, $3, $4) AS u(place, reason, code, message) ON u.place = s.ctid WHERE s.ctid >= $5 AND s.ctid <= $6',
                 stated.rejected, columns, stated.staging)
    USING places, reasons, codes, messages, (SELECT min(p) FROM unnest(places) AS p), (SELECT max(p) FROM unnest(places) AS p);
END
$$;
COMMENT ON FUNCTION attribution._reject(attribution.ingestion, tid[], text[], text[], text[]) IS 'Copies staged rows to those that are set aside.';

CREATE FUNCTION attribution._hasten(stated attribution.ingestion, places tid[], now timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  -- Later than that it would not have been there when a conversion that it may explain was first decided.
  late CONSTANT interval := '1 minute';
  -- More come from somewhere else than from devices: a backfill. It is left to the rungs.
  most CONSTANT integer := 10000;
  began timestamptz := clock_timestamp();
  reader record;
  late_ones record;
  changed bigint;
  any_changed boolean := false;
BEGIN
  IF NOT EXISTS (SELECT FROM attribution.ingest_progress AS p WHERE p.target = stated.target AND p.hasten_at <= began)
     OR NOT EXISTS (SELECT FROM attribution.tier AS t JOIN attribution.rule AS r ON r.rule = t.rule AND r.active_version = t.version
                    WHERE t.touchpoints = stated.target) THEN
    RETURN;
  END IF;
  EXECUTE format('SELECT array_agg(l.place ORDER BY l.place) AS places, min(l.at) AS since, max(l.at) AS until
                    FROM (SELECT s.ctid AS place, s.%1$I AS at FROM %2$s AS s
                           WHERE attribution._is_among(s.ctid, $1) AND s.ctid >= $3 AND s.ctid <= $4 AND s.%1$I < $2 LIMIT $5) AS l',
                 stated.time_column, stated.staging)
    INTO STRICT late_ones USING places, now - late, places[1], places[cardinality(places)], most + 1;
  IF late_ones.places IS NULL OR cardinality(late_ones.places) > most THEN
    RETURN;
  END IF;
  FOR reader IN
    SELECT k.pending, v.conversions, v.id_column, v.time_column,
        make_interval(secs => attribution._micros(t.lookback) / 1000000.0) AS lookback, make_interval(secs => attribution._micros(t.skew) / 1000000.0) AS skew,
        (SELECT string_agg(format('c.%I = s.%I', m.theirs, m.ours), ' AND ') FROM unnest(t.conversion_match, t.match) AS m(theirs, ours)) AS condition
      FROM attribution.tier AS t
      JOIN attribution.rule AS r ON r.rule = t.rule AND r.active_version = t.version
      JOIN attribution.rule_version AS v ON v.rule = t.rule AND v.version = t.version
      JOIN attribution.storage AS k ON k.rule = t.rule
     -- Who ingests may have no right to the conversions, or staging lacks a column: then it is left to the rungs as well.
     WHERE t.touchpoints = stated.target AND cardinality(t.match) > 0
       AND has_table_privilege(k.pending, 'SELECT, UPDATE') AND attribution._can_read(v.conversions)
       AND NOT EXISTS (SELECT FROM unnest(t.match) AS m WHERE m NOT IN (SELECT e.attname FROM attribution._event_columns(stated.staging) AS e))
  LOOP
    -- A run that has one in its hands will decide it with what it sees; its next rung comes.
    EXECUTE format('UPDATE %1$s AS p SET due = $4 WHERE p.conversion_id IN (
        SELECT o.conversion_id FROM %1$s AS o
         WHERE o.arrived_at IS NOT NULL AND o.due > $4 AND o.due < ''infinity'' AND o.conversion_time BETWEEN $2 AND $3
           AND EXISTS (SELECT FROM %2$s AS c JOIN %3$s AS s ON %4$s
                        WHERE c.%5$I = o.conversion_id AND c.%6$I = o.conversion_time AND attribution._is_among(s.ctid, $1) AND s.ctid >= $7 AND s.ctid <= $8
                          AND s.%7$I <= c.%6$I + $5 AND s.%7$I >= c.%6$I - $6)
         FOR UPDATE OF o SKIP LOCKED)',
        reader.pending, reader.conversions, stated.staging, reader.condition, reader.id_column, reader.time_column, stated.time_column)
      USING late_ones.places, late_ones.since - reader.skew, late_ones.until + reader.lookback, now, reader.skew, reader.lookback,
            late_ones.places[1], late_ones.places[cardinality(late_ones.places)];
    GET DIAGNOSTICS changed = ROW_COUNT;
    any_changed := any_changed OR changed > 0;
  END LOOP;
  IF any_changed THEN
    PERFORM attribution._wake(now);
  END IF;
  -- It may take one twentieth of the time; but after a flood it is tried again within a minute.
  UPDATE attribution.ingest_progress AS p SET hasten_at = clock_timestamp() + least(19 * (clock_timestamp() - began), interval '1 minute')
    WHERE p.target = stated.target;
END
$$;
COMMENT ON FUNCTION attribution._hasten(attribution.ingestion, tid[], timestamptz) IS
'Has open conversions decided again at once that late rows may concern, rather than on their next rung. An optimisation.';

CREATE FUNCTION attribution._missing_partitions(stated attribution.ingestion, places tid[], oldest timestamptz, newest timestamptz, now timestamptz,
  tried timestamptz[])
RETURNS timestamptz[] LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
DECLARE
  -- For a batch: the nearest. For others the next batch that has rows of them will do it.
  most CONSTANT integer := 64;
  spans tstzmultirange;
  step interval;
  missing timestamptz[] := '{}';
BEGIN
  IF NOT EXISTS (SELECT FROM pg_partitioned_table AS k JOIN pg_attribute AS a ON a.attrelid = k.partrelid AND a.attnum = k.partattrs[0]
                 WHERE k.partrelid = stated.target AND k.partstrat = 'r' AND k.partnatts = 1 AND a.attname = stated.time_column
                   AND a.atttypid = 'timestamptz'::regtype) THEN
    RETURN missing;
  END IF;
  SELECT coalesce(range_agg(p.span), '{}') INTO STRICT spans FROM attribution._partitions_of(stated.target) AS p WHERE NOT p.is_default;
  IF spans @> tstzrange(oldest, newest, '[]') THEN
    RETURN missing;
  END IF;
  SELECT p.granularity INTO step FROM attribution.partitioning AS p WHERE p.relation = stated.target;
  step := coalesce(step, '1 day');
  EXECUTE format('SELECT coalesce(array_agg(d.start), ''{}'') FROM (
      SELECT m.start FROM (SELECT DISTINCT attribution._partition_start(i.minute, $3) AS start FROM (
          SELECT DISTINCT date_trunc(''minute'', s.%1$I) AS minute FROM %2$s AS s
                            WHERE attribution._is_among(s.ctid, $1) AND s.ctid >= $6 AND s.ctid <= $7 AND NOT $2 @> s.%1$I
            AND s.%1$I >= ''4700-01-01 BC'' AND s.%1$I < ''294000-01-01'') AS i) AS m
       WHERE NOT $2 && tstzrange(m.start, m.start + $3) AND m.start <> ALL ($8)
       ORDER BY abs(extract(epoch FROM m.start - $4)) LIMIT $5) AS d', stated.time_column, stated.staging)
    INTO STRICT missing USING places, spans, step, now, greatest(most - cardinality(tried), 0), places[1], places[cardinality(places)], tried;
  RETURN missing;
END
$$;
COMMENT ON FUNCTION attribution._missing_partitions(attribution.ingestion, tid[], timestamptz, timestamptz, timestamptz, timestamptz[]) IS
'Where partitions start that a target lacks for staged rows, but for those that were tried. What another partition covers in part gets none.';

CREATE FUNCTION attribution._ingest_batch(stated attribution.ingestion, first bigint, past bigint, most integer, now timestamptz,
  tried timestamptz[],
  OUT taken bigint, OUT next bigint, OUT moved bigint, OUT duplicates bigint, OUT rejected bigint, OUT missing timestamptz[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
DECLARE
  columns text;
  floor timestamptz;
  batch record;
  fresh tid[];
  inserted record;
  this_minute timestamptz := date_trunc('minute', clock_timestamp(), 'UTC');
BEGIN
  moved := 0;
  duplicates := 0;
  rejected := 0;
  missing := '{}';
  SELECT string_agg(quote_ident(t.attname), ', ' ORDER BY t.attnum) INTO STRICT columns
    FROM attribution._event_columns(stated.target) AS t JOIN attribution._event_columns(stated.staging) AS s ON s.attname = t.attname;
  SELECT greatest(max(p.horizon), max(now - p.retention), now - stated.max_age, '-infinity') INTO STRICT floor
    FROM attribution.partitioning AS p WHERE p.relation = stated.target;
  -- Of rows with the same id the earliest counts; of those, the first that came.
  EXECUTE format('
    WITH taken AS MATERIALIZED (
      SELECT s.ctid AS place, s.%1$I AS id, s.%2$I AS at FROM %3$s AS s WHERE s.ctid >= $1 AND s.ctid < $2 LIMIT $3),
    judged AS (
      SELECT t.place, t.id, t.at, CASE WHEN t.id IS NULL THEN ''null_id'' WHEN t.at IS NULL THEN ''null_time''
                                       WHEN t.at < $4 OR t.at = ''-infinity'' THEN ''too_old'' WHEN t.at > $5 OR t.at = ''infinity'' THEN ''too_new'' END AS reason
        FROM taken AS t),
    right_ones AS MATERIALIZED (SELECT j.place, j.id, j.at FROM judged AS j WHERE j.reason IS NULL),
    firsts AS MATERIALIZED (SELECT DISTINCT ON (r.id) r.place, r.id, r.at FROM right_ones AS r ORDER BY r.id, r.at, r.place)
    SELECT t.count, t.places, t.first, t.last, f.count AS different, f.places AS firsts, f.oldest, f.newest, b.places AS bad, b.reasons,
        CASE WHEN f.count > 0 THEN attribution._known($6, $7, $8, f.ids) END AS known
      FROM (SELECT count(*), array_agg(t.place ORDER BY t.place) AS places, min(t.place) AS first, max(t.place) AS last FROM taken AS t) AS t,
           (SELECT count(*), array_agg(f.place) AS places, array_agg(f.id) AS ids, min(f.at) AS oldest, max(f.at) AS newest FROM firsts AS f) AS f,
           (SELECT coalesce(array_agg(j.place), ''{}'') AS places, array_agg(j.reason) AS reasons FROM judged AS j WHERE j.reason IS NOT NULL) AS b',
      stated.id_column, stated.time_column, stated.staging)
    INTO STRICT batch
    USING format('(%s,0)', first)::tid, format('(%s,0)', past)::tid, most, floor, coalesce(now + stated.max_ahead, 'infinity'),
          stated.target, stated.id_column, stated.time_column;
  taken := batch.count;
  -- The page of the last row may hold more of them.
  next := CASE WHEN taken < most THEN past ELSE split_part(ltrim(batch.last::text, '('), ',', 1)::bigint END;
  IF taken = 0 THEN
    RETURN;
  END IF;
  SELECT coalesce(array_agg(u.place ORDER BY u.place), '{}') INTO STRICT fresh FROM unnest(batch.firsts, batch.known) AS u(place, known) WHERE NOT u.known;
  IF cardinality(fresh) > 0 THEN
    missing := attribution._missing_partitions(stated, fresh, batch.oldest, batch.newest, now, tried);
    IF cardinality(missing) > 0 THEN
      RETURN;
    END IF;
  END IF;

  IF cardinality(fresh) > 0 THEN
    SELECT * INTO STRICT inserted FROM attribution._ingest_rows(stated, columns, fresh);
    moved := inserted.moved;
    IF cardinality(inserted.refused) > 0 THEN
      PERFORM attribution._reject(stated, inserted.refused, array_fill('refused'::text, ARRAY[cardinality(inserted.refused)]), inserted.codes, inserted.messages);
    END IF;
    PERFORM attribution._hasten(stated, fresh, now);
    rejected := cardinality(inserted.refused);
  END IF;
  IF cardinality(batch.bad) > 0 THEN
    PERFORM attribution._reject(stated, batch.bad, batch.reasons, NULL, NULL);
    rejected := rejected + cardinality(batch.bad);
  END IF;
  duplicates := taken - moved - rejected;
  EXECUTE format('DELETE FROM %s AS s WHERE attribution._is_among(s.ctid, $1) AND s.ctid >= $2 AND s.ctid <= $3', stated.staging)
    USING batch.places, batch.first, batch.last;

  UPDATE attribution.ingest_progress AS p
    SET next_page = _ingest_batch.next, moved = p.moved + _ingest_batch.moved, duplicates = p.duplicates + _ingest_batch.duplicates,
        rejected = p.rejected + _ingest_batch.rejected, batches = p.batches + 1, moved_at = clock_timestamp()
    WHERE p.target = stated.target;
  INSERT INTO attribution.ingest_minute AS m (target, minute, moved, duplicates, rejected, batches)
    VALUES (stated.target, this_minute, moved, duplicates, rejected, 1)
    ON CONFLICT ON CONSTRAINT ingest_minute_pkey DO UPDATE
      SET moved = m.moved + excluded.moved, duplicates = m.duplicates + excluded.duplicates, rejected = m.rejected + excluded.rejected, batches = m.batches + 1;
  -- With the first batch of each hour.
  IF NOT EXISTS (SELECT FROM attribution.ingest_minute AS m
                 WHERE m.target = stated.target AND m.minute >= date_trunc('hour', this_minute, 'UTC') AND m.minute < this_minute) THEN
    DELETE FROM attribution.ingest_minute AS m WHERE m.target = stated.target AND m.minute < this_minute - interval '7 days';
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._ingest_batch(attribution.ingestion, bigint, bigint, integer, timestamptz, timestamptz[]) IS
'Moves a batch of at most so many staged rows from some pages, past excluded; next: the page to go on with. missing: nothing was done, as the
target lacks partitions that start then, which were not tried yet.';

CREATE FUNCTION attribution._lock_staging(staging regclass) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
BEGIN
  EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', staging);
  RETURN true;
EXCEPTION WHEN lock_not_available THEN
  RETURN false;
END
$$;
COMMENT ON FUNCTION attribution._lock_staging(regclass) IS 'Keeps everybody else out of a staging table, unless somebody stays in it.';

CREATE FUNCTION attribution._ingest_step(target regclass, state jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
DECLARE
  -- A staging table with more pages is truncated as soon as all of it is moved; one that is not in use, with a few already.
  enough CONSTANT bigint := 4096;
  few CONSTANT bigint := 16;
  stated attribution.ingestion;
  progress attribution.ingest_progress;
  now_is timestamptz := (state ->> 'now')::timestamptz;
  pages bigint;
  first bigint := (state ->> 'first')::bigint;
  past bigint := (state ->> 'past')::bigint;
  wrap bigint := (state ->> 'wrap')::bigint;
  is_last boolean := false;
  batch record;
BEGIN
  SELECT * INTO stated FROM attribution.ingestion AS i WHERE i.target = _ingest_step.target;
  IF NOT FOUND THEN
    RETURN state || '{"done": true}';
  END IF;
  IF state ? 'missing' THEN
    PERFORM attribution._attach_partitions(target, ARRAY(SELECT m::timestamptz FROM jsonb_array_elements_text(state -> 'missing') AS m),
      coalesce((SELECT p.granularity FROM attribution.partitioning AS p WHERE p.relation = _ingest_step.target), '1 day'), true);
    RETURN state - 'missing' || jsonb_build_object('tried', coalesce(state -> 'tried', '[]') || (state -> 'missing'));
  END IF;
  -- Whoever else moves rows to this target waits until the end of the transaction.
  SELECT * INTO STRICT progress FROM attribution.ingest_progress AS p WHERE p.target = _ingest_step.target FOR UPDATE;
  pages := pg_relation_size(stated.staging) / current_setting('block_size')::bigint;
  IF first IS NULL THEN
    -- All of it once, from where the last one ended, round to there again.
    past := least(pages, (state ->> 'bound')::bigint);
    first := CASE WHEN progress.next_page < past THEN progress.next_page ELSE 0 END;
    wrap := first;
  ELSIF first >= past AND wrap > 0 THEN
    first := 0;
    past := wrap;
    wrap := 0;
  END IF;
  IF first >= past THEN
    IF pages <= (CASE WHEN state ? 'taken' THEN enough ELSE few END) OR progress.reclaim_at > clock_timestamp() THEN
      RETURN state || '{"done": true}';
    END IF;
    IF NOT attribution._lock_staging(stated.staging) THEN
      -- A dump reads it, perhaps. Loaders wait behind whoever waits for it, so that must not be often.
      UPDATE attribution.ingest_progress AS p SET reclaim_at = clock_timestamp() + interval '1 minute' WHERE p.target = _ingest_step.target;
      RETURN state || '{"done": true}';
    END IF;
    is_last := true;
    first := 0;
    past := pg_relation_size(stated.staging) / current_setting('block_size')::bigint;
    wrap := 0;
  END IF;
  SELECT * INTO STRICT batch FROM attribution._ingest_batch(stated, first, past, least(stated.batch_rows, (state ->> 'most')::integer), now_is,
    ARRAY(SELECT t::timestamptz FROM jsonb_array_elements_text(state -> 'tried') AS t));
  IF cardinality(batch.missing) > 0 THEN
    RETURN state || jsonb_build_object('first', first, 'past', past, 'wrap', wrap, 'missing', to_jsonb(batch.missing));
  END IF;
  IF is_last AND batch.next >= past THEN
    EXECUTE format('TRUNCATE %s', stated.staging);
    UPDATE attribution.ingest_progress AS p SET next_page = 0 WHERE p.target = _ingest_step.target;
    state := state || '{"done": true}';
  END IF;
  RETURN state - 'tried' || jsonb_build_object('first', batch.next, 'past', past, 'wrap', wrap,
      'moved', coalesce((state ->> 'moved')::bigint, 0) + batch.moved, 'duplicates', coalesce((state ->> 'duplicates')::bigint, 0) + batch.duplicates,
      'rejected', coalesce((state ->> 'rejected')::bigint, 0) + batch.rejected)
    || CASE WHEN batch.taken > 0 THEN jsonb_build_object('taken', coalesce((state ->> 'taken')::bigint, 0) + batch.taken) ELSE '{}' END;
END
$$;
COMMENT ON FUNCTION attribution._ingest_step(regclass, jsonb) IS
'Does the next step of a pass over what is staged for a table, and returns the state that the step after it begins with; done: it
is over. A pass sees all that was committed before it began; in the state, bound: only in the pages before it; most: so many rows
at a time.';

CREATE FUNCTION attribution._are_conversions(relation regclass) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM attribution.rule AS r JOIN attribution.rule_version AS v ON v.rule = r.rule AND v.version = r.active_version
                  WHERE v.conversions = relation)
$$;
COMMENT ON FUNCTION attribution._are_conversions(regclass) IS
'Whether a rule decides the rows of a table. One is decided soon after it has come: better that what explains it is there.';

CREATE FUNCTION attribution._ingestible(target regclass, of_rule text) RETURNS regclass[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found record;
  ingestible regclass[] := '{}';
BEGIN
  PERFORM attribution._require_own_transactions('attribution.ingest()');
  IF target IS NOT NULL THEN
    PERFORM attribution._require_event_table(target);
    IF NOT EXISTS (SELECT FROM attribution.ingestion AS i WHERE i.target = _ingestible.target) THEN
      RAISE EXCEPTION 'nothing is ingested into %', target USING ERRCODE = 'object_not_in_prerequisite_state',
        HINT = 'attribution.ingest_from() enters it.';
    END IF;
  END IF;
  IF of_rule IS NOT NULL THEN
    PERFORM attribution._require_rule(of_rule);
  END IF;
  FOR found IN
    SELECT i.target AS relation, pg_get_userbyid(c.relowner) AS owner, pg_has_role(c.relowner, 'USAGE') AS allowed,
           has_function_privilege(c.relowner, 'attribution._ingest_step(regclass, jsonb)', 'EXECUTE') AS entitled
      FROM attribution.ingestion AS i JOIN pg_class AS c ON c.oid = i.target
     WHERE i.target = coalesce(_ingestible.target, i.target)
       AND (of_rule IS NULL OR i.target IN (SELECT attribution._event_tables(of_rule)))
     ORDER BY attribution._are_conversions(i.target), i.target::oid
  LOOP
    IF NOT found.allowed THEN
      RAISE NOTICE 'passed over %: it belongs to role "%"', found.relation, found.owner;
    ELSIF NOT found.entitled THEN
      RAISE EXCEPTION 'role "%" may not ingest', found.owner USING ERRCODE = 'insufficient_privilege',
        DETAIL = format('Rows of %s are moved with the rights of its owner.', found.relation), HINT = format('GRANT attribution_writer TO %I;', found.owner);
    ELSE
      ingestible := ingestible || found.relation;
    END IF;
  END LOOP;
  RETURN ingestible;
END
$$;
COMMENT ON FUNCTION attribution._ingestible(regclass, text) IS 'The tables that a caller of ingest() asks for, and may ingest into.';

CREATE FUNCTION attribution._begin_pass(as_of timestamptz) RETURNS jsonb
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
  SELECT jsonb_build_object('now', coalesce(as_of, clock_timestamp()))
$$;
COMMENT ON FUNCTION attribution._begin_pass(timestamptz) IS 'The state that a pass begins with.';

CREATE FUNCTION attribution._is_over(target regclass, state jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT state ? 'done' THEN
    RETURN false;
  END IF;
  IF state ? 'taken' THEN
    RAISE NOTICE '%: moved %, duplicates %, rejected %', target, state ->> 'moved', state ->> 'duplicates', state ->> 'rejected';
  END IF;
  RETURN true;
END
$$;
COMMENT ON FUNCTION attribution._is_over(regclass, jsonb) IS 'Whether a pass is over; then it says what it did.';

CREATE FUNCTION attribution._may_repeat(code text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$ SELECT code IN ('40P01', '40001', '42P01') $$;
COMMENT ON FUNCTION attribution._may_repeat(text) IS 'Whether a step lost to others: its transaction was undone, and may be tried again.';

CREATE PROCEDURE attribution.ingest(target regclass DEFAULT NULL, rule text DEFAULT NULL, as_of timestamptz DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
  relation pg_catalog.regclass;
  state pg_catalog.jsonb;
  code text;
  message text;
  detail text;
  hint text;
  failed pg_catalog.text[];
BEGIN
  FOREACH relation IN ARRAY attribution._ingestible(target, rule) LOOP
    state := attribution._begin_pass(as_of);
    FOR tries IN 1 .. 20 LOOP
      code := NULL;
      LOOP
        BEGIN
          state := attribution._ingest_as_owner(relation, state);
        EXCEPTION WHEN OTHERS THEN
          GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
        END;
        COMMIT;
        EXIT WHEN code IS NOT NULL OR attribution._is_over(relation, state);
      END LOOP;
      EXIT WHEN code IS NULL OR NOT attribution._may_repeat(code);
    END LOOP;
    IF code IS NOT NULL THEN
      -- One table in trouble doesn't keep the others waiting.
      message := pg_catalog.format('could not ingest into %s: %s', relation, message);
      RAISE WARNING '%', message USING DETAIL = detail, HINT = hint;
      failed := ARRAY[code, message, detail, hint];
    END IF;
  END LOOP;
  IF failed IS NOT NULL THEN
    PERFORM attribution._raise(failed[1], failed[2], failed[3], failed[4]);
  END IF;
END
$$;
COMMENT ON PROCEDURE attribution.ingest(regclass, text, timestamptz) IS
'Moves what is staged, at the time of the call, into an event table, into those that a rule reads, or into all that the caller may:
each event once by its id, whatever its time; partitions are made as they are needed; rows that are not right go to
<table>_rejected. Batch by batch, each in a transaction of its own: it can be killed and repeated at any time; a second one for
the same table waits between batches. as_of: the time that counts as now. The work is done with the rights of the table''s
owner, whose privileges you must have. A table in trouble gets a WARNING, and its error ends the call once the others are done.
READ COMMITTED, outside of a transaction block.';

CREATE FUNCTION attribution._ingest_agenda() RETURNS TABLE (target regclass, pages bigint, are_touchpoints boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
  stated record;
BEGIN
  FOR stated IN
    SELECT i.target, i.staging, attribution._are_conversions(i.target) AS are_conversions
      FROM attribution.ingestion AS i JOIN pg_class AS c ON c.oid = i.target
     WHERE i.by_worker
     ORDER BY are_conversions, i.target::oid
  LOOP
    BEGIN
      pages := pg_relation_size(stated.staging) / current_setting('block_size')::bigint;
    EXCEPTION WHEN OTHERS THEN
      pages := NULL; -- a step will say what is wrong
    END;
    IF pages IS DISTINCT FROM 0 THEN
      target := stated.target;
      are_touchpoints := NOT stated.are_conversions;
      RETURN NEXT;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION attribution._ingest_agenda() IS
'The tables that the worker ingests into, and that something may be staged for: those of conversions last; pages: of the staging
table.';
