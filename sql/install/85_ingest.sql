-- Ingestion: rows that somebody has loaded into a staging table go on into the event table, each once.
--
-- A staging table has no index and no constraint, so that loading it is as fast as can be and nothing is refused there. One
-- transaction takes some of its rows, inserts those that are new and right into the event table, sets aside those that are
-- not right, and deletes them all: a row is in one place at any time, whatever crashes.
--
-- Staging tables don't grow with what has passed through them. What is deleted is reclaimed when all is moved: whoever
-- ingests keeps loaders out for a moment, moves the few rows that have come meanwhile, and truncates. VACUUM is not needed for
-- that, which an old snapshot would keep from reclaiming anything; it helps where there is always more than can be moved.

CREATE TABLE attribution.ingestion (
  target regclass PRIMARY KEY,
  staging regclass NOT NULL UNIQUE,
  rejected regclass NOT NULL,
  id_column name NOT NULL,
  time_column name NOT NULL,
  max_age interval,
  max_ahead interval,
  batch_rows integer NOT NULL,
  by_worker boolean NOT NULL,
  topic text,
  mapping jsonb NOT NULL,
  CONSTRAINT max_age_is_positive CHECK (max_age > '0'::interval),
  CONSTRAINT max_ahead_is_not_negative CHECK (max_ahead >= '0'::interval),
  CONSTRAINT batch_rows_is_sane CHECK (batch_rows BETWEEN 1 AND 1000000),
  CONSTRAINT mapping_is_an_object CHECK (pg_catalog.jsonb_typeof(mapping) OPERATOR(pg_catalog.=) 'object')
);
COMMENT ON TABLE attribution.ingestion IS
'Event tables that ingest() moves staged rows into; attribution.ingest_from() enters them. A row may be written only with the
privileges of its target''s owner. Delete it, and the staging table is left alone.';
COMMENT ON COLUMN attribution.ingestion.target IS 'The event table.';
COMMENT ON COLUMN attribution.ingestion.staging IS 'Where its rows come from. The columns of the same names are moved.';
COMMENT ON COLUMN attribution.ingestion.rejected IS 'Where rows go that are not right, with the reason.';
COMMENT ON COLUMN attribution.ingestion.id_column IS 'A row whose id is there already, at any time, is the same event, and left out.';
COMMENT ON COLUMN attribution.ingestion.time_column IS 'When the event happened.';
COMMENT ON COLUMN attribution.ingestion.max_age IS
'Older rows are rejected; null: only those before the target''s horizon, or older than its retention (attribution.partitioning).';
COMMENT ON COLUMN attribution.ingestion.max_ahead IS 'Rows that are further in the future are rejected; null: none.';
COMMENT ON COLUMN attribution.ingestion.batch_rows IS 'At most so many rows are moved by a transaction.';
COMMENT ON COLUMN attribution.ingestion.by_worker IS 'Whether the background worker moves rows as soon as they are staged.';
COMMENT ON COLUMN attribution.ingestion.topic IS 'For attribution.bridge_config(): the Kafka topic; null: the name of the target.';
COMMENT ON COLUMN attribution.ingestion.mapping IS
'For attribution.bridge_config(): by column, how kafka-bridge makes it, such as {"event_time": {"path": "at", "time": "epoch_ms"}};
null leaves the column out.';

CREATE TABLE attribution.ingest_progress (
  target regclass PRIMARY KEY REFERENCES attribution.ingestion ON DELETE CASCADE,
  next_page bigint NOT NULL DEFAULT 0,
  moved bigint NOT NULL DEFAULT 0,
  duplicates bigint NOT NULL DEFAULT 0,
  rejected bigint NOT NULL DEFAULT 0,
  batches bigint NOT NULL DEFAULT 0,
  moved_at timestamptz,
  hasten_at timestamptz NOT NULL DEFAULT '-infinity',
  reclaim_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
COMMENT ON TABLE attribution.ingest_progress IS
'What has become of staged rows. Its row is locked by whoever moves rows to a target, so that there is one at a time.';
COMMENT ON COLUMN attribution.ingest_progress.next_page IS 'Where in the staging table reading goes on. Only a hint: every page is looked at.';
COMMENT ON COLUMN attribution.ingest_progress.moved IS 'Rows that went into the target.';
COMMENT ON COLUMN attribution.ingest_progress.duplicates IS 'Rows that were left out since their id had come before.';
COMMENT ON COLUMN attribution.ingest_progress.rejected IS 'Rows that were set aside.';
COMMENT ON COLUMN attribution.ingest_progress.moved_at IS 'When a batch was last moved.';
COMMENT ON COLUMN attribution.ingest_progress.hasten_at IS 'Not before then are open conversions looked for that late rows concern.';
COMMENT ON COLUMN attribution.ingest_progress.reclaim_at IS 'Not before then is the staging table truncated.';

CREATE TABLE attribution.ingest_minute (
  target regclass NOT NULL REFERENCES attribution.ingestion ON DELETE CASCADE,
  minute timestamptz NOT NULL,
  moved bigint NOT NULL,
  duplicates bigint NOT NULL,
  rejected bigint NOT NULL,
  batches bigint NOT NULL,
  PRIMARY KEY (target, minute)
) WITH (fillfactor = 50);
COMMENT ON TABLE attribution.ingest_minute IS 'What was moved in each minute of the last seven days.';

-- Rows of tables that are gone stay out of a dump: they could not be restored.
SELECT pg_catalog.pg_extension_config_dump('attribution.ingestion',
  'WHERE 3 = (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class WHERE pg_class.oid IN (target, staging, rejected))');
SELECT pg_catalog.pg_extension_config_dump('attribution.ingest_progress',
  'WHERE target IN (SELECT i.target FROM attribution.ingestion AS i'
  ' WHERE 3 = (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class WHERE pg_class.oid IN (i.target, i.staging, i.rejected)))');

CREATE FUNCTION attribution._guard_ingestion() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  targets oid[];
  class record;
BEGIN
  IF TG_OP <> 'INSERT' THEN targets := targets || OLD.target::oid; END IF;
  IF TG_OP <> 'DELETE' THEN targets := targets || NEW.target::oid; END IF;
  -- The row of a table that is gone is anybody's to clear away.
  FOR class IN SELECT c.oid::regclass AS relation FROM pg_class AS c WHERE c.oid = ANY (targets) AND NOT pg_has_role(c.relowner, 'USAGE') LOOP
    RAISE EXCEPTION 'must be owner of table %', class.relation USING ERRCODE = 'insufficient_privilege',
      HINT = 'Only the owner of a table may say what is ingested into it.';
  END LOOP;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  -- Rows are moved with the rights of the target's owner: nobody else's tables may be among them.
  IF TG_TABLE_NAME = 'ingestion' THEN
    FOR class IN
      SELECT c.oid::regclass AS relation FROM pg_class AS c JOIN pg_class AS t ON t.oid = NEW.target
       WHERE c.oid IN (NEW.staging, NEW.rejected) AND (c.relowner <> t.relowner OR c.relkind <> 'r' OR c.relpersistence = 't')
    LOOP
      RAISE EXCEPTION '% can not stage rows of %', class.relation, NEW.target USING ERRCODE = 'wrong_object_type',
        DETAIL = 'Staging and rejected rows must be in plain tables of the owner of the event table.';
    END LOOP;
  END IF;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION attribution._guard_ingestion() IS 'Lets only the owner of a table say what is ingested into it, and from his own tables only.';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON attribution.ingestion
  FOR EACH ROW EXECUTE FUNCTION attribution._guard_ingestion();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON attribution.ingest_progress
  FOR EACH ROW EXECUTE FUNCTION attribution._guard_ingestion();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON attribution.ingest_minute
  FOR EACH ROW EXECUTE FUNCTION attribution._guard_ingestion();

CREATE FUNCTION attribution._staged() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM attribution._wake(now());
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION attribution._staged() IS 'Trigger of staging tables: has the worker look, when the transaction commits.';

CREATE FUNCTION attribution._sibling(relation regclass, suffix text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  place name;
  stem text;
BEGIN
  SELECT n.nspname, c.relname INTO place, stem FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = relation;
  IF octet_length(stem) + octet_length(suffix) > 63 THEN
    suffix := '_' || left(md5(stem), 8) || suffix;
  END IF;
  WHILE octet_length(stem) + octet_length(suffix) > 63 LOOP
    stem := left(stem, -1);
  END LOOP;
  RETURN format('%I.%I', place, stem || suffix);
END
$$;
COMMENT ON FUNCTION attribution._sibling(regclass, text) IS 'The name of a table beside another: in the same schema, with a suffix.';

CREATE FUNCTION attribution._collation(collation oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT format(' COLLATE %I.%I', n.nspname, c.collname) FROM pg_collation AS c JOIN pg_namespace AS n ON n.oid = c.collnamespace WHERE c.oid = $1
$$;
COMMENT ON FUNCTION attribution._collation(oid) IS 'A collation, as a column definition says it.';

CREATE FUNCTION attribution._event_columns(relation regclass)
RETURNS TABLE (attname name, type text, not_null boolean, has_default boolean, attnum smallint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT a.attname, format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attcollation <> t.typcollation THEN attribution._collation(a.attcollation) ELSE '' END,
         a.attnotnull, a.atthasdef, a.attnum
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
   -- What makes itself is not brought.
   WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'
$$;
COMMENT ON FUNCTION attribution._event_columns(regclass) IS 'The columns that rows of a table bring along.';

CREATE FUNCTION attribution.make_staging(target regclass) RETURNS regclass
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  place text := attribution._sibling(target, '_staging');
  kafka CONSTANT text[] := '{kafka_partition integer,kafka_offset bigint,kafka_time timestamptz}';
  columns text;
  owner regrole;
BEGIN
  PERFORM attribution._require_event_table(target);
  SELECT c.relowner::regrole INTO STRICT owner FROM pg_class AS c WHERE c.oid = target;
  IF to_regclass(place) IS NOT NULL THEN
    RAISE EXCEPTION 'relation % exists already', place USING ERRCODE = 'duplicate_table',
      HINT = format('If it is to be the staging table: SELECT attribution.ingest_from(%L, %L);', target, place);
  END IF;
  SELECT string_agg(c.definition, ', ' ORDER BY c.at) INTO STRICT columns
    FROM (SELECT format('%I %s', e.attname, e.type)
                 || coalesce(' DEFAULT ' || (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d
                                              WHERE d.adrelid = target AND d.adnum = e.attnum), ''), e.attnum::integer
            FROM attribution._event_columns(target) AS e
           UNION ALL
          SELECT k.definition, 2000 + k.at FROM unnest(kafka) WITH ORDINALITY AS k(definition, at)
           WHERE split_part(k.definition, ' ', 1) NOT IN (SELECT e.attname FROM attribution._event_columns(target) AS e)) AS c(definition, at);
  -- Vacuumed before it has grown by much: what is always in use can't be truncated.
  EXECUTE format('CREATE TABLE %s (%s) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100000, '
                 'autovacuum_vacuum_cost_delay = 0)', place, columns);
  EXECUTE format('COMMENT ON TABLE %s IS %L', place, format('Rows on their way into %s; attribution.ingest() moves them.', target));
  EXECUTE format('CREATE TRIGGER attribution_staged AFTER INSERT ON %s FOR EACH STATEMENT EXECUTE FUNCTION attribution._staged()', place);
  EXECUTE format('ALTER TRIGGER attribution_staged ON %s DEPENDS ON EXTENSION attribution', place);
  EXECUTE format('ALTER TABLE %s OWNER TO %s', place, owner);
  RETURN place::regclass;
END
$$;
COMMENT ON FUNCTION attribution.make_staging(regclass) IS
'Makes the staging table of an event table, beside it: <table>_staging, with its columns, and kafka_partition, kafka_offset and
kafka_time. No index, no constraint. It belongs to the owner of the event table. Then: attribution.ingest_from().';

CREATE FUNCTION attribution._require_event_table(target regclass) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  class record;
BEGIN
  IF target IS NULL THEN
    RAISE EXCEPTION 'target must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  SELECT c.relkind, c.relowner, c.relispartition INTO class FROM pg_class AS c WHERE c.oid = target;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'relation with OID % does not exist', target::oid USING ERRCODE = 'undefined_table';
  END IF;
  IF NOT pg_has_role(class.relowner, 'USAGE') THEN
    RAISE EXCEPTION 'must be owner of table %', target USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF class.relkind NOT IN ('r', 'p') OR class.relispartition THEN
    RAISE EXCEPTION '% is no table that rows can be ingested into', target USING ERRCODE = 'wrong_object_type',
      HINT = 'Name a plain or a partitioned table, not one of its partitions.';
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._require_event_table(regclass) IS 'Raises an error for what nothing can be ingested into, or not by the caller.';

CREATE FUNCTION attribution._id_column_of(target regclass) RETURNS TABLE (id_column name, time_column name)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT u.id_column, u.time_column
    FROM (SELECT v.rule, v.version, v.conversions, v.id_column, v.time_column FROM attribution.rule_version AS v
          UNION ALL
          SELECT t.rule, t.version, t.touchpoints, t.id_column, t.time_column FROM attribution.tier AS t) AS u(rule, version, relation, id_column, time_column)
   WHERE u.relation = target ORDER BY u.version DESC, u.rule LIMIT 1
$$;
COMMENT ON FUNCTION attribution._id_column_of(regclass) IS 'The id and the time of an event table, as rules know them.';

CREATE FUNCTION attribution.ingest_from(target regclass, staging regclass, id_column name DEFAULT NULL, time_column name DEFAULT NULL,
  max_age interval DEFAULT NULL, max_ahead interval DEFAULT '1 day', batch_rows integer DEFAULT 50000, by_worker boolean DEFAULT true,
  topic text DEFAULT NULL, mapping jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  known record;
  found_column record;
  place text;
  columns text;
  owner regrole;
  odd text;
BEGIN
  PERFORM attribution._require_event_table(target);
  IF staging IS NULL THEN
    RAISE EXCEPTION 'staging must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = format('SELECT attribution.make_staging(%L);', target);
  END IF;
  SELECT * INTO known FROM attribution._id_column_of(target);
  id_column := coalesce(id_column, known.id_column);
  time_column := coalesce(time_column, known.time_column);
  IF id_column IS NULL OR time_column IS NULL THEN
    RAISE EXCEPTION 'id_column and time_column of % are not known', target USING ERRCODE = 'invalid_parameter_value',
      DETAIL = 'No rule names it.', HINT = 'Name the columns.';
  END IF;
  FOREACH odd IN ARRAY ARRAY[id_column::text, time_column::text] LOOP
    SELECT t.type AS target_type, s.type AS staging_type INTO found_column
      FROM attribution._event_columns(target) AS t FULL JOIN attribution._event_columns(staging) AS s ON s.attname = t.attname
     WHERE coalesce(t.attname, s.attname) = odd;
    IF NOT FOUND OR found_column.target_type IS NULL OR found_column.target_type IS DISTINCT FROM found_column.staging_type THEN
      RAISE EXCEPTION 'column "%" must be in % and in %, with the same type', odd, target, staging USING ERRCODE = 'undefined_column';
    END IF;
  END LOOP;
  IF (SELECT t.type FROM attribution._event_columns(target) AS t WHERE t.attname = time_column) <> 'timestamp with time zone' THEN
    RAISE EXCEPTION 'column "%" of % is not of type timestamptz', time_column, target USING ERRCODE = 'datatype_mismatch';
  END IF;
  SELECT c.relowner::regrole INTO STRICT owner FROM pg_class AS c WHERE c.oid = target;

  place := attribution._sibling(target, '_rejected');
  IF to_regclass(place) IS NULL THEN
    SELECT string_agg(format('%I %s', c.attname, c.type), ', ' ORDER BY c.attnum) INTO STRICT columns FROM attribution._event_columns(staging) AS c;
    EXECUTE format('CREATE TABLE %s (%s, rejected_at timestamptz NOT NULL DEFAULT now(), rejected_for text NOT NULL, rejected_sqlstate text, '
                   'rejected_message text)', place, columns);
    EXECUTE format('COMMENT ON TABLE %s IS %L', place, format('Rows that could not go from %s into %s. Delete what is of no use any more; '
      'attribution.retry_rejected() stages them again.', staging, target));
    EXECUTE format('COMMENT ON COLUMN %s.rejected_for IS %L', place, 'null_id, null_time, too_old, too_new, refused (by the table: '
      'rejected_sqlstate and rejected_message say why)');
    EXECUTE format('ALTER TABLE %s OWNER TO %s', place, owner);
  ELSIF NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = to_regclass(place) AND a.attname = 'rejected_for') THEN
    RAISE EXCEPTION 'relation % exists already', place USING ERRCODE = 'duplicate_table', DETAIL = 'Rejected rows would be kept there.';
  END IF;
  INSERT INTO attribution.ingestion AS i (target, staging, rejected, id_column, time_column, max_age, max_ahead, batch_rows, by_worker, topic, mapping)
    VALUES (target, staging, place::regclass, id_column, time_column, max_age, max_ahead, batch_rows, by_worker, topic, coalesce(mapping, '{}'))
    ON CONFLICT ON CONSTRAINT ingestion_pkey DO UPDATE
      SET staging = excluded.staging, id_column = excluded.id_column, time_column = excluded.time_column, max_age = excluded.max_age,
          max_ahead = excluded.max_ahead, batch_rows = excluded.batch_rows, by_worker = excluded.by_worker, topic = excluded.topic,
          mapping = excluded.mapping;
  INSERT INTO attribution.ingest_progress (target) VALUES (target) ON CONFLICT DO NOTHING;
  PERFORM attribution._wake(now());
END
$$;
COMMENT ON FUNCTION attribution.ingest_from(regclass, regclass, name, name, interval, interval, integer, boolean, text, jsonb) IS
'Has ingest() move the rows of a staging table into an event table, or changes how. id_column and time_column: by default as a
rule has them. max_age, max_ahead: what is older, or further in the future, is rejected. batch_rows: of one transaction. by_worker:
the background worker moves rows as they come. topic and mapping: for bridge_config(). Makes <table>_rejected, if it is not
there, for rows that are not right. Errors: not the caller''s tables, columns are missing or differ in type.';

CREATE FUNCTION attribution._event_tables(of text) RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT DISTINCT e.relation::regclass
    FROM (SELECT r.rule, coalesce(r.active_version, (SELECT max(v.version) FROM attribution.rule_version AS v WHERE v.rule = r.rule)) AS version
            FROM attribution.rule AS r) AS r
   CROSS JOIN LATERAL (SELECT v.conversions FROM attribution.rule_version AS v WHERE (v.rule, v.version) = (r.rule, r.version)
                       UNION SELECT t.touchpoints FROM attribution.tier AS t WHERE (t.rule, t.version) = (r.rule, r.version)) AS u(reads)
   CROSS JOIN LATERAL attribution._sources(u.reads) AS e(relation)
    JOIN pg_class AS c ON c.oid = e.relation AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
   WHERE r.rule = of OR (n.nspname = of AND NOT EXISTS (SELECT FROM attribution.rule AS o WHERE o.rule = of))
$$;
COMMENT ON FUNCTION attribution._event_tables(text) IS
'The tables that a rule reads, also through views; if there is no such rule, those in a schema that any rule reads.';

CREATE FUNCTION attribution.retry_rejected(target regclass, reason text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  stated attribution.ingestion;
  columns text;
  staged bigint;
BEGIN
  PERFORM attribution._require_event_table(target);
  SELECT * INTO stated FROM attribution.ingestion AS i WHERE i.target = retry_rejected.target;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'nothing is ingested into %', target USING ERRCODE = 'object_not_in_prerequisite_state',
      HINT = 'attribution.ingest_from() enters it.';
  END IF;
  SELECT string_agg(quote_ident(s.attname), ', ' ORDER BY s.attnum) INTO STRICT columns
    FROM attribution._event_columns(stated.staging) AS s JOIN attribution._event_columns(stated.rejected) AS r ON r.attname = s.attname;
  EXECUTE format('WITH gone AS (DELETE FROM %1$s WHERE $1 IS NULL OR rejected_for = $1 RETURNING %3$s) INSERT INTO %2$s (%3$s) SELECT %3$s FROM gone',
                 stated.rejected, stated.staging, columns) USING reason;
  GET DIAGNOSTICS staged = ROW_COUNT;
  RETURN staged;
END
$$;
COMMENT ON FUNCTION attribution.retry_rejected(regclass, text) IS
'Stages the rejected rows of an event table again, or those rejected for one reason. Returns how many.';

CREATE FUNCTION attribution._staging_state(staging regclass) RETURNS TABLE (staged bigint, oldest timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF attribution._can_read(staging) THEN
    RETURN QUERY EXECUTE format('SELECT count(*), %s FROM %s',
      CASE WHEN EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = staging AND a.attname = 'kafka_time' AND a.atttypid = 'timestamptz'::regtype)
           THEN 'min(kafka_time)' ELSE 'NULL::timestamptz' END, staging);
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._staging_state(regclass) IS 'How many rows a staging table has, and Kafka''s time of the oldest; no row if it is not the caller''s to read.';

CREATE VIEW attribution.ingest_status AS
  SELECT i.target, i.staging, s.staged, s.oldest, p.moved, p.duplicates, p.rejected, p.batches, p.moved_at, m.rows_per_s
  FROM attribution.ingestion AS i
  JOIN attribution.ingest_progress AS p ON p.target OPERATOR(pg_catalog.=) i.target
  LEFT JOIN LATERAL attribution._staging_state(i.staging) AS s ON true
  LEFT JOIN LATERAL (
    SELECT pg_catalog.round(m.moved OPERATOR(pg_catalog./) 60.0, 1) AS rows_per_s FROM attribution.ingest_minute AS m
     WHERE m.target OPERATOR(pg_catalog.=) i.target
       AND m.minute OPERATOR(pg_catalog.=) (pg_catalog.date_trunc('minute', pg_catalog.now(), 'UTC') OPERATOR(pg_catalog.-) interval '1 minute')) AS m ON true;
COMMENT ON VIEW attribution.ingest_status IS
'For each ingested table: rows that wait, and Kafka''s time of the oldest (as far as you may read the staging table, which is read
as a whole); what has become of all others; how many rows a second were moved in the last whole minute, null for none.';

CREATE VIEW attribution.ingest_rate AS
  SELECT m.target, m.minute, m.moved, m.duplicates, m.rejected, m.batches, pg_catalog.round(m.moved OPERATOR(pg_catalog./) 60.0, 1) AS rows_per_s
  FROM attribution.ingest_minute AS m;
COMMENT ON VIEW attribution.ingest_rate IS 'What was moved in each minute of the last seven days; the last one is not over.';
