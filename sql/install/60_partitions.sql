-- Event tables partitioned by time: the partitions made ahead, the default partition drained, old partitions dropped.
--
-- Everything here works on tables of the user: range-partitioned on one timestamptz column, with a default partition or
-- without. Bounds are absolute times (UTC days, by default), whatever the session's TimeZone: that is what
-- "SET timezone" and "SET datestyle" on the functions are for, as both steer how a bound is written and read as text.
--
-- Locks: every function first takes SHARE UPDATE EXCLUSIVE on the partitioned table alone, which two maintainers can't
-- hold at once and which readers and writers don't notice. The second maintainer waits, looks again, and finds nothing to
-- do. Attaching then takes ACCESS EXCLUSIVE on the default partition (PostgreSQL must know that it holds no row of the
-- new one), dropping takes it on the partitioned table; both until the end of the transaction. Set lock_timeout to taste.

CREATE TABLE attribution.partitioning (
  relation regclass PRIMARY KEY,
  granularity interval NOT NULL DEFAULT '1 day',
  ahead integer NOT NULL DEFAULT 7,
  retention interval,
  horizon timestamptz,
  -- Days are absolute (86,400 s); months and years, which are not, are no granularity. Whole minutes make readable names.
  CONSTRAINT granularity_is_absolute CHECK (
    CASE
      WHEN EXTRACT(year FROM granularity) <> 0 OR EXTRACT(month FROM granularity) <> 0 THEN false
      WHEN EXTRACT(epoch FROM granularity) < 60 OR EXTRACT(epoch FROM granularity) % 60 <> 0 THEN false
      WHEN EXTRACT(epoch FROM granularity) <= 86400 THEN 86400 % EXTRACT(epoch FROM granularity) = 0
      ELSE EXTRACT(epoch FROM granularity) % 86400 = 0
    END),
  CONSTRAINT ahead_is_sane CHECK (ahead BETWEEN 0 AND 1000),
  CONSTRAINT retention_is_positive CHECK (retention > '0'::interval),
  CONSTRAINT horizon_is_finite CHECK (pg_catalog.isfinite(horizon))
);
COMMENT ON TABLE attribution.partitioning IS
  'Partitioned tables that maintain_partitions() looks after. A row may be written only with the privileges of its '
  'relation''s owner.';
COMMENT ON COLUMN attribution.partitioning.relation IS
  'table, partitioned by range on one timestamptz column';
COMMENT ON COLUMN attribution.partitioning.granularity IS
  'span of one partition: whole minutes that divide a day, or whole days (of 86,400 s). Days start at 00:00 UTC, '
  'spans of several days are counted from Mondays';
COMMENT ON COLUMN attribution.partitioning.ahead IS
  'how many partitions there are to be after the current one';
COMMENT ON COLUMN attribution.partitioning.retention IS
  'partitions entirely older than this are dropped; NULL: everything is kept';
COMMENT ON COLUMN attribution.partitioning.horizon IS
  'the table may lack rows older than this time: they were dropped. Only moves forward, unless the owner says '
  'otherwise by UPDATE. NULL: nothing was dropped';

-- Rows of tables that are gone stay out of a dump: they could not be restored.
SELECT pg_catalog.pg_extension_config_dump('attribution.partitioning',
  'WHERE EXISTS (SELECT FROM pg_catalog.pg_class WHERE pg_class.oid = relation)');


CREATE FUNCTION attribution._sources(relation regclass) RETURNS SETOF regclass
LANGUAGE plpgsql STABLE -- its plan is kept
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY WITH RECURSIVE source(oid) AS (
    SELECT relation::oid
     UNION
    SELECT found.oid
      FROM source s
     CROSS JOIN LATERAL (
       SELECT d.refobjid AS oid
         FROM pg_rewrite r
         JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
        WHERE r.ev_class = s.oid
        UNION ALL
       SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = s.oid) found
  )
  SELECT s.oid::regclass FROM source s;
END
$$;
COMMENT ON FUNCTION attribution._sources(regclass) IS
  'A relation, the tables and views that it reads if it is a view, and the tables that those are partitions of.';


CREATE FUNCTION attribution._horizon(relation regclass) RETURNS timestamptz
LANGUAGE plpgsql STABLE -- its plan is kept
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT max(p.horizon) FROM attribution.partitioning p WHERE p.horizon IS NOT NULL AND p.relation IN (SELECT attribution._sources($1))); -- the bare name is a column's as well
END
$$;
COMMENT ON FUNCTION attribution._horizon(regclass) IS
  'How far back the data of a relation reaches; of a view, how far that of all it reads does. NULL: nothing was dropped.';


CREATE FUNCTION attribution._partition_column(relation regclass) RETURNS name
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  class pg_class;
  parts pg_partitioned_table;
  key pg_attribute;
BEGIN
  IF relation IS NULL THEN
    RAISE EXCEPTION 'relation must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  SELECT * INTO class FROM pg_class c WHERE c.oid = relation;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'relation with OID % does not exist', relation::oid USING ERRCODE = 'undefined_table';
  END IF;
  -- 'USAGE': the privileges of the owner, without SET ROLE.
  IF NOT pg_has_role(class.relowner, 'USAGE') THEN
    RAISE EXCEPTION 'must be owner of table %', relation
      USING ERRCODE = 'insufficient_privilege', HINT = 'Only the owner of a table may change its partitions.';
  END IF;
  IF class.relkind <> 'p' THEN
    RAISE EXCEPTION '% is not a partitioned table', relation
      USING ERRCODE = 'wrong_object_type',
            HINT = 'Create the table with PARTITION BY RANGE on its timestamptz column.';
  END IF;
  SELECT * INTO STRICT parts FROM pg_partitioned_table p WHERE p.partrelid = relation;
  -- partattrs counts from 0; attribute number 0 stands for an expression.
  SELECT * INTO key FROM pg_attribute a
   WHERE a.attrelid = relation AND a.attnum = parts.partattrs[0] AND a.attnum > 0;
  IF parts.partstrat <> 'r' OR parts.partnatts <> 1 OR key.atttypid IS DISTINCT FROM 'timestamptz'::regtype THEN
    RAISE EXCEPTION '% is not partitioned by range on one timestamptz column', relation
      USING ERRCODE = 'wrong_object_type',
            DETAIL = format('Its partition key is %s.', pg_get_partkeydef(relation)),
            HINT = 'Create the table with PARTITION BY RANGE on its timestamptz column.';
  END IF;
  RETURN key.attname;
END
$$;
COMMENT ON FUNCTION attribution._partition_column(regclass) IS
  'The timestamptz column that a table is range-partitioned on. Errors: no such table, not partitioned that way, '
  'caller lacks the privileges of the owner.';


CREATE FUNCTION attribution._partitioning_guard() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    -- The row of a table that is gone is anybody's to clear away.
    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = OLD.relation AND NOT pg_has_role(c.relowner, 'USAGE')) THEN
      RAISE EXCEPTION 'must be owner of table %', OLD.relation
        USING ERRCODE = 'insufficient_privilege', HINT = 'Only the owner of a table may change how it is partitioned.';
    END IF;
    IF TG_OP = 'DELETE' THEN
      RETURN OLD;
    END IF;
  END IF;
  PERFORM attribution._partition_column(NEW.relation);
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION attribution._partitioning_guard() IS
  'Trigger of attribution.partitioning: refuses rows of tables that are not the caller''s or not partitioned by '
  'range on a timestamptz column.';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON attribution.partitioning
  FOR EACH ROW EXECUTE FUNCTION attribution._partitioning_guard();
CREATE TRIGGER altered AFTER INSERT OR UPDATE OR DELETE ON attribution.partitioning
  FOR EACH ROW EXECUTE FUNCTION attribution._rule_altered();
ALTER TABLE attribution.partitioning ENABLE ALWAYS TRIGGER altered;
COMMENT ON TRIGGER guard ON attribution.partitioning IS
  'Only a role with the privileges of a relation''s owner may write its row.';


CREATE FUNCTION attribution._partition_start(instant timestamptz, granularity interval) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  -- 259,200 s before 1970 was a Monday: weeks start on Mondays, days and their divisors at midnight UTC all the same.
  -- numeric seconds are exact, and whole minutes are exact in to_timestamp's float8. Not date_bin(): before PostgreSQL
  -- 16 it is off by one span for times exactly on a bound before its origin.
  SELECT to_timestamp((floor((extract(epoch FROM instant) + 259200) / extract(epoch FROM granularity))
                       * extract(epoch FROM granularity) - 259200)::float8)
$$;
COMMENT ON FUNCTION attribution._partition_start(timestamptz, interval) IS
  'Where the partition that holds an instant starts, for partitions of a granularity (see attribution.partitioning).';


CREATE FUNCTION attribution._partition_name(relation name, start timestamptz, granularity interval) RETURNS name
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
  -- Years count without a sign, so days before Christ say so. Years past 9999 have more digits: no name meets another.
  suffix text := '_' || to_char(start, 'YYYYMMDD') || CASE WHEN extract(year FROM start) < 0 THEN 'bc' ELSE '' END
    || CASE WHEN granularity < '1 day'::interval THEN to_char(start, '_HH24MI') ELSE '' END;
  stem text := relation;
BEGIN
  -- A name holds 63 bytes; PostgreSQL would cut the end, where the day stands. What is cut elsewhere is told apart by a
  -- hash: two long names may differ in their last letter alone.
  IF octet_length(stem) + octet_length(suffix) > 63 THEN
    suffix := '_' || left(md5(relation::text), 8) || suffix;
  END IF;
  WHILE octet_length(stem) + octet_length(suffix) > 63 LOOP
    stem := left(stem, -1);
  END LOOP;
  RETURN stem || suffix;
END
$$;
COMMENT ON FUNCTION attribution._partition_name(name, timestamptz, interval) IS
  'Name of the partition of a table that starts at a time: clicks_20260103, clicks_20260103_0600 below a day, '
  'clicks_00440315bc before Christ (UTC).';


CREATE FUNCTION attribution._partitions_of(relation regclass)
RETURNS TABLE (partition regclass, is_default boolean, span tstzrange)
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, YMD'
AS $$
  -- A bound is written 'time', MINVALUE or MAXVALUE; the latter two become an open end.
  SELECT c.oid::regclass, bound.low IS NULL,
         CASE WHEN bound.low IS NOT NULL THEN
           tstzrange(nullif(trim(bound.low[1], ''''), 'MINVALUE')::timestamptz,
                     nullif(trim(bound.low[2], ''''), 'MAXVALUE')::timestamptz)
         END
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
   CROSS JOIN LATERAL (SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid),
                                           '^FOR VALUES FROM \((.+)\) TO \((.+)\)$') AS low) bound
   WHERE i.inhparent = relation AND NOT i.inhdetachpending
$$;
COMMENT ON FUNCTION attribution._partitions_of(regclass) IS
  'The partitions of a table range-partitioned on one timestamptz column, with the time each spans (lower end in, '
  'upper end out; NULL for the default partition).';


CREATE FUNCTION attribution._default_partition(relation regclass) RETURNS TABLE (nspname name, relname name)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT n.nspname, c.relname
    FROM attribution._partitions_of(relation) p
    JOIN pg_class c ON c.oid = p.partition
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE p.is_default
$$;
COMMENT ON FUNCTION attribution._default_partition(regclass) IS 'Where the default partition of a table is; no row if it has none.';


CREATE FUNCTION attribution._lock_partitions(relation regclass, mode text) RETURNS void
LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  target record;
BEGIN
  SELECT n.nspname, c.relname INTO STRICT target
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
  IF mode = 'maintain' THEN
    EXECUTE format('LOCK TABLE ONLY %I.%I IN SHARE UPDATE EXCLUSIVE MODE', target.nspname, target.relname);
  ELSE
    EXECUTE format('LOCK TABLE ONLY %I.%I IN ACCESS EXCLUSIVE MODE', target.nspname, target.relname);
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._lock_partitions(regclass, text) IS
  'Locks a table, not its partitions, until the end of the transaction. mode: ''maintain'' keeps other maintainers '
  'away, ''exclusive'' keeps everybody away.';


CREATE FUNCTION attribution._attach_partitions(relation regclass, starts timestamptz[], granularity interval,
  tolerant boolean, OUT made integer, OUT moved bigint)
LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, YMD'
AS $$
DECLARE
  key name := attribution._partition_column(relation);
  parent record;
  pool record;                            -- the default partition
  taken tstzmultirange;
  start timestamptz;
  wanted tstzrange;
  gap tstzmultirange;
  missing timestamptz[] := '{}';
  occupied timestamptz[] := '{}';         -- those of the missing whose rows wait in the default partition
  columns text;
  child name;
  fence text;
  queueing name[];                        -- the triggers that queue its rows for a rule
  trigger_name name;
  count bigint;
BEGIN
  made := 0;
  moved := 0;
  PERFORM attribution._lock_partitions(relation, 'maintain');
  SELECT n.nspname, c.relname, c.relowner, t.spcname, r.rolname AS owner INTO STRICT parent
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_roles r ON r.oid = c.relowner
    LEFT JOIN pg_tablespace t ON t.oid = c.reltablespace
   WHERE c.oid = relation;

  -- Which are missing? A span that other partitions cover, however they are cut, needs none. One that they cover in part
  -- can't have one.
  SELECT range_agg(p.span) INTO taken FROM attribution._partitions_of(relation) p WHERE NOT p.is_default;
  taken := coalesce(taken, '{}');
  FOR start IN SELECT DISTINCT s FROM unnest(starts) s ORDER BY s LOOP
    wanted := tstzrange(start, start + granularity);
    gap := tstzmultirange(wanted) - taken;
    IF gap = tstzmultirange(wanted) THEN
      missing := missing || start;
    ELSIF NOT isempty(gap) AND tolerant THEN
      RAISE WARNING 'cannot make a partition of % for %', relation, wanted
        USING DETAIL = 'Another partition covers a part of it.',
              HINT = 'Its other rows stay in the default partition.';
    ELSIF NOT isempty(gap) THEN
      RAISE EXCEPTION 'cannot make a partition of % for %', relation, wanted
        USING ERRCODE = 'invalid_object_definition',
              DETAIL = (SELECT format('Partition %s covers a part of it: %s.', p.partition, p.span)
                          FROM attribution._partitions_of(relation) p WHERE p.span && wanted ORDER BY p.span LIMIT 1),
              HINT = 'Detach that partition and insert its rows again, or choose a granularity that fits it in '
                     'attribution.partitioning.';
    END IF;
  END LOOP;
  IF cardinality(missing) = 0 THEN
    RETURN;
  END IF;

  queueing := ARRAY(SELECT 'attribution_' || v.rule FROM attribution.rule_version v JOIN attribution.rule r ON r.rule = v.rule AND r.active_version = v.version
                      JOIN pg_trigger t ON t.tgrelid = relation AND t.tgname = 'attribution_' || v.rule WHERE v.conversions = relation);

  -- Whose rows are in the default partition? It is locked first, so that no more come.
  SELECT d.nspname, d.relname INTO pool FROM attribution._default_partition(relation) d;
  IF FOUND THEN
    EXECUTE format('LOCK TABLE %I.%I IN ACCESS EXCLUSIVE MODE', pool.nspname, pool.relname);
    EXECUTE format('SELECT coalesce(array_agg(DISTINCT attribution._partition_start(minute, $1)), ''{}'')
                      FROM (SELECT DISTINCT date_trunc(''minute'', %1$I) AS minute FROM %2$I.%3$I
                             WHERE %1$I >= $2 AND %1$I < $3 AND isfinite(%1$I)) m', key, pool.nspname, pool.relname)
       INTO occupied
      USING granularity, missing[1], missing[cardinality(missing)] + granularity;
    SELECT coalesce(array_agg(o), '{}') INTO occupied FROM unnest(occupied) o WHERE o = ANY (missing);
  END IF;
  IF cardinality(occupied) > 0
     AND EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid = relation) THEN
    -- Deleting the rows, to insert them elsewhere, would violate the foreign key, or delete the rows that refer to them.
    RAISE EXCEPTION 'cannot move rows of % from its default partition', relation
      USING ERRCODE = 'dependent_objects_still_exist',
            DETAIL = (SELECT format('Foreign key %I of %s refers to it.', f.conname, f.conrelid::regclass)
                        FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid = relation
                       ORDER BY f.conrelid, f.conname LIMIT 1),
            HINT = 'Drop the foreign key, make the partitions, and add it again.';
  END IF;

  IF cardinality(occupied) > 0 AND EXISTS (
    SELECT FROM pg_publication_tables t JOIN pg_publication p ON p.pubname = t.pubname AND NOT p.puballtables
     WHERE (t.schemaname, t.tablename) IN ((parent.nspname, parent.relname), (pool.nspname, pool.relname))) THEN
    -- The rows would be published as deleted, but not as inserted: a partition is published once it is attached.
    RAISE EXCEPTION 'cannot move rows of % from its default partition', relation
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'A publication covers it: its subscribers would lose the rows.',
            HINT = 'Make the partitions before their rows come, or take the table out of the publication meanwhile.';
  END IF;
  IF cardinality(occupied) > 0
     AND EXISTS (SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = pool.nspname AND c.relname = pool.relname AND NOT t.tgisinternal AND t.tgenabled <> 'D'
                    AND t.tgname <> ALL (queueing)
                    AND t.tgtype::integer & 9 = 9) THEN -- FOR EACH ROW, and on DELETE
    RAISE EXCEPTION 'cannot move rows of % from its default partition', relation
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'A DELETE trigger would take the rows for deleted.',
            HINT = 'Disable the trigger on the default partition meanwhile.';
  END IF;

  -- Who moves is not gone: the triggers that queue conversions look away meanwhile. Nobody else writes to the partition.
  IF cardinality(occupied) > 0 THEN
    FOREACH trigger_name IN ARRAY queueing LOOP
      EXECUTE format('ALTER TABLE %I.%I DISABLE TRIGGER %I', pool.nspname, pool.relname, trigger_name);
    END LOOP;
  END IF;

  -- Generated columns generate themselves again.
  SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) INTO STRICT columns
    FROM pg_attribute a
   WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';

  -- Made apart, filled, and then attached: that takes weaker locks than CREATE TABLE .. PARTITION OF, fires no INSERT
  -- triggers for rows that are not new, and builds the indexes once.
  FOREACH start IN ARRAY missing LOOP
    child := attribution._partition_name(parent.relname, start, granularity);
    IF to_regclass(format('%I.%I', parent.nspname, child)) IS NOT NULL THEN
      RAISE EXCEPTION 'cannot make partition % of %', format('%I.%I', parent.nspname, child), relation
        USING ERRCODE = 'duplicate_table',
              DETAIL = format('A relation of that name exists, and is no partition of it for %s.',
                              tstzrange(start, start + granularity)),
              HINT = 'Rename or attach that relation.';
    END IF;
    EXECUTE format('CREATE TABLE %I.%I (LIKE %I.%I INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS'
                   ' INCLUDING STORAGE INCLUDING COMPRESSION)', parent.nspname, child, parent.nspname, parent.relname)
      || CASE WHEN parent.spcname IS NOT NULL THEN format(' TABLESPACE %I', parent.spcname) ELSE '' END;
    IF parent.owner <> current_user THEN
      EXECUTE format('ALTER TABLE %I.%I OWNER TO %I', parent.nspname, child, parent.owner);
    END IF;
    IF start = ANY (occupied) THEN
      EXECUTE format('WITH moved AS (DELETE FROM %1$I.%2$I WHERE %3$I >= $1 AND %3$I < $2 RETURNING %4$s)
                      INSERT INTO %5$I.%6$I (%4$s) OVERRIDING SYSTEM VALUE SELECT %4$s FROM moved',
                     pool.nspname, pool.relname, key, columns, parent.nspname, child)
        USING start, start + granularity;
      GET DIAGNOSTICS count = ROW_COUNT;
      moved := moved + count;
    END IF;
  END LOOP;

  IF cardinality(occupied) > 0 THEN
    FOREACH trigger_name IN ARRAY queueing LOOP
      EXECUTE format('ALTER TABLE %I.%I ENABLE ALWAYS TRIGGER %I', pool.nspname, pool.relname, trigger_name);
    END LOOP;
  END IF;

  -- To attach a partition, PostgreSQL reads the default partition, unless a constraint proves that it holds no such row.
  -- For several partitions, checking such a constraint once is cheaper.
  IF pool.relname IS NOT NULL AND cardinality(missing) > 1 THEN
    SELECT string_agg(format('(%1$I < %2$L OR %1$I >= %3$L)', key, lower(r), upper(r)), ' AND ' ORDER BY r) INTO fence
      FROM unnest((SELECT range_agg(tstzrange(m, m + granularity)) FROM unnest(missing) m)) r;
    EXECUTE format('ALTER TABLE %I.%I ADD CONSTRAINT attribution_fence CHECK (%s)', pool.nspname, pool.relname, fence);
  END IF;
  FOREACH start IN ARRAY missing LOOP
    EXECUTE format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
                   parent.nspname, parent.relname, parent.nspname,
                   attribution._partition_name(parent.relname, start, granularity), start, start + granularity);
  END LOOP;
  IF fence IS NOT NULL THEN
    EXECUTE format('ALTER TABLE %I.%I DROP CONSTRAINT attribution_fence', pool.nspname, pool.relname);
  END IF;
  -- What was empty, or moved from a partition that rules know, holds nothing that they have not queued.
  INSERT INTO attribution.reconciled (rule, leaf, filenode, queueing, span)
    SELECT v.rule, n.leaf, pg_relation_filenode(n.leaf), t.oid, tstzrange(n.start, n.start + granularity)
      FROM attribution.rule_version v
      JOIN attribution.rule r ON r.rule = v.rule AND r.active_version = v.version
     CROSS JOIN LATERAL (
       SELECT m AS start, format('%I.%I', parent.nspname, attribution._partition_name(parent.relname, m, granularity))::regclass AS leaf
         FROM unnest(missing) m) n
      JOIN pg_trigger t ON t.tgrelid = n.leaf AND t.tgname = 'attribution_' || v.rule
     WHERE v.conversions = relation
       AND EXISTS (SELECT FROM attribution.reconciled k WHERE k.rule = v.rule
                      AND (n.start <> ALL (occupied)
                           OR k.leaf = to_regclass(quote_ident(pool.nspname) || '.' || quote_ident(pool.relname)) AND k.filenode = pg_relation_filenode(k.leaf::regclass)
                              AND k.queueing = (SELECT q.oid FROM pg_trigger q WHERE q.tgrelid = k.leaf AND q.tgname = t.tgname)))
    ON CONFLICT DO NOTHING;
  made := cardinality(missing);
END
$$;
COMMENT ON FUNCTION attribution._attach_partitions(regclass, timestamptz[], interval, boolean) IS
  'Makes the partitions of a table that start at the given times, unless they are there, and moves their rows out '
  'of the default partition. tolerant: warn of spans that another partition covers in part, instead of an error. '
  'Serves make_partitions() and maintain_partitions().';


CREATE FUNCTION attribution.make_partitions(relation regclass, since timestamptz, until timestamptz) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, YMD'
AS $$
DECLARE
  most CONSTANT integer := 4000;
  step interval;
  first timestamptz;
  count bigint;
BEGIN
  PERFORM attribution._partition_column(relation);
  IF since IS NULL OR until IS NULL THEN
    RAISE EXCEPTION 'since and until must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF NOT isfinite(since) OR NOT isfinite(until) THEN
    RAISE EXCEPTION 'cannot make partitions without end'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('since is %s, until is %s.', since, until);
  END IF;
  IF since > until THEN
    RAISE EXCEPTION 'since must not be later than until'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('since is %s, until is %s.', since, until);
  END IF;
  SELECT p.granularity INTO step FROM attribution.partitioning p WHERE p.relation = make_partitions.relation;
  step := coalesce(step, '1 day');
  first := attribution._partition_start(since, step);
  count := CASE WHEN since < until
                THEN ceil(extract(epoch FROM until - first) / extract(epoch FROM step)) ELSE 0 END;
  IF count > most THEN
    RAISE EXCEPTION 'too many partitions: %', count
      USING ERRCODE = 'program_limit_exceeded', DETAIL = format('At most %s are made in one call.', most),
            HINT = 'Ask for a shorter time, or choose a coarser granularity in attribution.partitioning.';
  END IF;
  RETURN (SELECT a.made
            FROM attribution._attach_partitions(relation,
                   ARRAY(SELECT first + step * i FROM generate_series(0, count - 1) i), step, false) a);
END
$$;
COMMENT ON FUNCTION attribution.make_partitions(regclass, timestamptz, timestamptz) IS
  'Makes the partitions of a table for since <= time < until, where missing (UTC days, or the granularity in '
  'attribution.partitioning), and moves the rows that wait for them in its default partition. Returns how many it '
  'made. Errors: not partitioned by range on a timestamptz column, not the caller''s, infinite times, more than '
  '4,000 partitions, another partition covers a part of one.';


CREATE FUNCTION attribution._needed_since(relation regclass) RETURNS timestamptz
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce(min(attribution._oldest_pending(n.rule) - make_interval(secs => extract(epoch FROM n.lookback)::float8)), 'infinity')
    FROM (SELECT r.rule, max(u.lookback) AS lookback
            FROM attribution.rule r
            JOIN attribution.storage s ON s.rule = r.rule
            JOIN attribution.rule_version v ON v.rule = r.rule AND v.version = r.active_version
           CROSS JOIN LATERAL (
             SELECT interval '0', v.conversions
              UNION ALL
             SELECT t.lookback, t.touchpoints FROM attribution.tier t WHERE t.rule = r.rule AND t.version = r.active_version) AS u(lookback, reads)
           WHERE $1 IN (SELECT attribution._sources(u.reads))
           GROUP BY r.rule) n
$$;
COMMENT ON FUNCTION attribution._needed_since(regclass) IS
  'Since when rows of a table are needed by conversions that are pending or open; infinity if by none.';


CREATE FUNCTION attribution.drop_partitions(relation regclass, before timestamptz) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, YMD'
AS $$
DECLARE
  key name := attribution._partition_column(relation);
  config attribution.partitioning;
  pool record;
  target record;
  dropped integer := 0;
  needed timestamptz;
  reached timestamptz;
  stale boolean := false;
  count bigint;
BEGIN
  IF before IS NULL THEN
    RAISE EXCEPTION 'before must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF NOT isfinite(before) THEN
    RAISE EXCEPTION 'cannot drop partitions before %', before
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the time from which rows are to be kept.';
  END IF;
  PERFORM attribution._lock_partitions(relation, 'maintain');
  SELECT * INTO config FROM attribution.partitioning p WHERE p.relation = drop_partitions.relation;
  IF NOT FOUND THEN
    -- Without a place for the horizon, nobody would know that rows are missing.
    RAISE EXCEPTION '% is not registered in attribution.partitioning', relation
      USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Insert a row for it: how far back its data reaches is recorded there.';
  END IF;

  IF EXISTS (SELECT FROM attribution._partitions_of(relation) p WHERE upper(p.span) <= before) THEN
    PERFORM attribution._lock_partitions(relation, 'exclusive');
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted')
       AND EXISTS (SELECT FROM attribution.storage) THEN
      RAISE EXCEPTION 'partitions are dropped in READ COMMITTED transactions only' USING ERRCODE = 'active_sql_transaction',
        DETAIL = 'An older snapshot does not show which conversions need them.';
    END IF;
    needed := attribution._needed_since(relation);
    IF needed < before THEN
      RAISE NOTICE 'partitions of % from % on are kept: conversions that are pending or open need them', relation, needed
        USING HINT = 'attribution.backlog shows what waits.';
      before := needed;
    END IF;
  END IF;

  -- Partitions don't overlap: once all that end by then are gone, those left start where the last dropped one ended, or
  -- later. So that end is the new horizon, if it isn't older than the one there is.
  SELECT greatest(config.horizon, max(upper(p.span)) FILTER (WHERE isfinite(upper(p.span)))) INTO reached
    FROM attribution._partitions_of(relation) p WHERE upper(p.span) <= before;

  -- Rows from before the horizon can be in the default partition: of days that had no partition, or late ones whose
  -- partition is gone. They go as well: a day of which only those few are left would pass for a day with few events.
  SELECT d.nspname, d.relname INTO pool FROM attribution._default_partition(relation) d;
  IF FOUND THEN
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.%I WHERE %I < $1)', pool.nspname, pool.relname, key)
       INTO stale USING reached;
  END IF;

  IF EXISTS (SELECT FROM attribution._partitions_of(relation) p WHERE upper(p.span) <= before) THEN
    FOR target IN
      SELECT n.nspname, c.relname, c.relkind
        FROM attribution._partitions_of(relation) p
        JOIN pg_class c ON c.oid = p.partition
        JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE upper(p.span) <= before
       ORDER BY p.span
    LOOP
      -- No CASCADE: what depends on a partition is its owner's to decide.
      EXECUTE format('DROP %s %I.%I', CASE WHEN target.relkind = 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END,
                     target.nspname, target.relname);
      dropped := dropped + 1;
    END LOOP;
  END IF;
  IF stale THEN
    EXECUTE format('DELETE FROM %I.%I WHERE %I < $1', pool.nspname, pool.relname, key) USING reached;
    GET DIAGNOSTICS count = ROW_COUNT;
    RAISE NOTICE 'deleted % rows older than % from the default partition of %', count, reached, relation;
  END IF;
  IF reached IS DISTINCT FROM config.horizon THEN
    UPDATE attribution.partitioning p SET horizon = reached WHERE p.relation = drop_partitions.relation;
  END IF;
  RETURN dropped;
END
$$;
COMMENT ON FUNCTION attribution.drop_partitions(regclass, timestamptz) IS
  'Drops the partitions of a table that lie entirely before a time, never the default partition, and moves the '
  'table''s horizon to the end of the last one dropped, never back. Rows older than the horizon are deleted from '
  'the default partition too. Everything else stays. Returns how many it dropped. Errors: not registered in '
  'attribution.partitioning, not partitioned by range on a timestamptz column, not the caller''s, infinite time, '
  'objects that depend on a partition.';


CREATE FUNCTION attribution._maintain_relation(relation regclass, OUT made integer, OUT dropped integer, OUT moved bigint)
LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, YMD'
AS $$
DECLARE
  most CONSTANT integer := 400;           -- days that one run makes for rows of the default partition
  key name := attribution._partition_column(relation);
  config attribution.partitioning;
  pool record;
  today timestamptz;
  days timestamptz[] := '{}';
  remaining record;
BEGIN
  PERFORM attribution._lock_partitions(relation, 'maintain');
  SELECT * INTO config FROM attribution.partitioning p WHERE p.relation = _maintain_relation.relation;
  IF NOT FOUND THEN
    RAISE EXCEPTION '% is not registered in attribution.partitioning', relation
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Insert a row for it.';
  END IF;
  today := attribution._partition_start(now(), config.granularity);

  -- Retention goes first, so that rows too old to be kept are deleted rather than moved.
  dropped := 0;
  IF config.retention IS NOT NULL THEN
    dropped := attribution.drop_partitions(relation, now() - config.retention);
  END IF;

  SELECT d.nspname, d.relname INTO pool FROM attribution._default_partition(relation) d;
  IF FOUND THEN
    -- A device whose clock is wrong sends any day at all, so their number is limited, and the nearest come first. At the
    -- ends of time, where a partition might have no end that can be written, rows stay in the default partition.
    EXECUTE format('SELECT ARRAY(SELECT d.day
                      FROM (SELECT DISTINCT attribution._partition_start(minute, $1) AS day
                              FROM (SELECT DISTINCT date_trunc(''minute'', %I) AS minute FROM %I.%I
                                     WHERE %1$I >= ''4700-01-01 BC'' AND %1$I < ''294000-01-01'') m) d
                     ORDER BY abs(extract(epoch FROM d.day) - extract(epoch FROM $2)), d.day LIMIT $3)',
                   key, pool.nspname, pool.relname)
       INTO days USING config.granularity, today, most;
  END IF;

  SELECT a.made, a.moved INTO made, moved
    FROM attribution._attach_partitions(relation,
           days || ARRAY(SELECT today + config.granularity * i FROM generate_series(0, config.ahead) i),
           config.granularity, true) a;

  -- Days that only the default partition held may be old enough to go, too.
  IF config.retention IS NOT NULL AND made > 0 THEN
    dropped := dropped + attribution.drop_partitions(relation, now() - config.retention);
  END IF;

  IF pool.relname IS NOT NULL THEN
    EXECUTE format('SELECT count(*) AS count, min(%1$I) AS oldest, max(%1$I) AS newest FROM %2$I.%3$I',
                   key, pool.nspname, pool.relname) INTO remaining;
    IF remaining.count > 0 THEN
      RAISE WARNING '% rows stay in the default partition of %', remaining.count, relation
        USING DETAIL = coalesce('Their times lie between ' || remaining.oldest || ' and ' || remaining.newest || '.', 'They have no time.'),
              HINT = format('One run makes at most %s partitions for them, for finite times and where no other '
                            'partition is in the way.', most);
    END IF;
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._maintain_relation(regclass) IS
  'What maintain_partitions() does for one table.';


-- INOUT, as the name of a column in and out can be the same only so.
CREATE FUNCTION attribution.maintain_partitions(INOUT relation regclass DEFAULT NULL,
  OUT made integer, OUT dropped integer, OUT moved bigint) RETURNS SETOF record
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  given CONSTANT regclass := relation;
  superuser boolean;
  target record;
  message text;
  detail text;
  hint text;
BEGIN
  IF given IS NOT NULL THEN
    SELECT m.made, m.dropped, m.moved INTO made, dropped, moved FROM attribution._maintain_relation(given) m;
    RETURN NEXT;
    RETURN;
  END IF;

  SELECT r.rolsuper INTO STRICT superuser FROM pg_roles r WHERE r.rolname = current_user;
  -- In one order for everybody: two maintainers of several tables wait for each other, but never in a circle.
  FOR target IN
    SELECT p.relation AS class, r.rolname AS owner, r.rolsuper AS owned_by_superuser,
           superuser OR c.relowner = current_user::regrole::oid AS mine
      FROM attribution.partitioning p
      LEFT JOIN pg_class c ON c.oid = p.relation
      LEFT JOIN pg_roles r ON r.oid = c.relowner
     ORDER BY p.relation::oid
  LOOP
    IF target.owner IS NULL THEN
      DELETE FROM attribution.partitioning p WHERE p.relation = target.class;
      CONTINUE;
    END IF;
    CONTINUE WHEN NOT target.mine;
    -- Moving and indexing rows runs code of the table's owner (triggers, expressions of indexes): a superuser's routine
    -- job must not run it unasked, or registering a table were a way to a superuser's rights.
    IF superuser AND NOT target.owned_by_superuser THEN
      RAISE WARNING 'skipped %: its owner is no superuser', target.class
        USING HINT = format('Run maintain_partitions() as role %I, or name the table.', target.owner);
      CONTINUE;
    END IF;
    relation := target.class;
    BEGIN
      SELECT m.made, m.dropped, m.moved INTO made, dropped, moved FROM attribution._maintain_relation(target.class) m;
    EXCEPTION WHEN OTHERS THEN
      -- One table in trouble doesn't keep the others from their partitions.
      GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
      RAISE WARNING 'could not maintain %: %', target.class, message
        USING DETAIL = coalesce(nullif(detail, ''), format('SQLSTATE %s.', SQLSTATE)),
              HINT = coalesce(nullif(hint, ''), 'Call maintain_partitions() with this table to see where it fails.');
      made := NULL;
      dropped := NULL;
      moved := NULL;
    END;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION attribution.maintain_partitions(regclass) IS
  'Looks after a table registered in attribution.partitioning, or after all that are the caller''s (a superuser''s: '
  'those of superusers): drops what is older than its retention, makes the partitions of now and ahead, and moves '
  'rows out of the default partition into partitions made for them (at most 400 in a run, the nearest to now first; '
  'warns of what is left). Returns, for each table, partitions made, partitions dropped, rows moved; NULLs and a '
  'warning where it failed. Meant to be run daily or oftener, by pg_cron for example. What it locks stays locked until '
  'the end of the transaction: beside readers that join several of the tables, CALL attribution.maintain(rule).';
