-- Where decisions are kept, and how conversions get into the queue. All tables here are the rule owner's, made for one
-- rule, with ids of their own types; DROP EXTENSION leaves them.
--
--   <rule>_pending              the queue: a conversion waits here from the transaction that brings it until it is closed
--   <rule>_decisions, _credits  what is decided now: a header for each conversion, and its credits
--   .._history of both          what was decided before
--   <rule>_attribution          a view: one flat row for each conversion
--   <rule>_one_big_table        a view, if asked for: the conversion's row and all that is known of its decision
--   <rule>_installations        who was new, for rules with an installation key; outlives the events

CREATE TABLE attribution.storage (
  rule text PRIMARY KEY REFERENCES attribution.rule ON DELETE CASCADE,
  place name NOT NULL,
  decisions_name name NOT NULL,
  credits_name name NOT NULL,
  decisions regclass,
  credits regclass,
  decisions_history regclass,
  credits_history regclass,
  pending regclass,
  installations regclass,
  flat regclass,
  one_big_table regclass,
  refiltered_at timestamptz
);
COMMENT ON TABLE attribution.storage IS 'The tables that a rule keeps its decisions in. They may be renamed; activate() then makes what calls them by name anew.';
COMMENT ON COLUMN attribution.storage.refiltered_at IS 'When the rule got another filter. Until all is decided by it, decisions may stand on rows that are conversions no more.';
COMMENT ON COLUMN attribution.storage.place IS 'The schema of the tables.';
SELECT pg_catalog.pg_extension_config_dump('attribution.storage', '');
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON attribution.storage
  FOR EACH ROW EXECUTE FUNCTION attribution._guard_rule();
CREATE TRIGGER altered AFTER INSERT OR UPDATE OR DELETE ON attribution.storage
  FOR EACH ROW EXECUTE FUNCTION attribution._rule_altered();
ALTER TABLE attribution.storage ENABLE ALWAYS TRIGGER altered;

-- The functions drop, alter and hand over what is named there, for whoever calls them: it must not be somebody else's.
CREATE FUNCTION attribution._guard_storage() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  foreign_table regclass;
BEGIN
  SELECT c.oid::regclass INTO foreign_table
    FROM unnest(ARRAY[NEW.decisions, NEW.credits, NEW.decisions_history, NEW.credits_history, NEW.pending, NEW.installations, NEW.flat, NEW.one_big_table]) AS t
    JOIN pg_class AS c ON c.oid = t JOIN attribution.rule AS r ON r.rule = NEW.rule
    WHERE c.relowner <> r.owner::oid AND c.relowner <> current_user::regrole::oid LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '% does not belong to the owner of rule "%"', foreign_table, NEW.rule USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION attribution._guard_storage() IS 'Lets a rule keep its decisions only in tables of its owner.';
CREATE TRIGGER guard_tables BEFORE INSERT OR UPDATE ON attribution.storage
  FOR EACH ROW EXECUTE FUNCTION attribution._guard_storage();

CREATE FUNCTION attribution._kept(of_rule text) RETURNS attribution.storage
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kept attribution.storage;
BEGIN
  PERFORM attribution._require_rule(of_rule);
  SELECT * INTO kept FROM attribution.storage AS s WHERE s.rule = of_rule;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'rule "%" stores no decisions', of_rule USING ERRCODE = 'object_not_in_prerequisite_state',
      HINT = 'Its conversions are not a table, so that nothing can queue them: read them by attribution.attribute().';
  END IF;
  -- Whoever reads them must not run a view of the rule's owner instead.
  IF EXISTS (SELECT FROM unnest(ARRAY[kept.decisions, kept.credits, kept.decisions_history, kept.credits_history, kept.pending]) AS t
             WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = t AND c.relkind IN ('r', 'p'))) THEN
    RAISE EXCEPTION 'a table of the decisions of rule "%" is missing', of_rule USING ERRCODE = 'undefined_table',
      HINT = format('Drop the rule and make it again: attribution.drop_rule(%L).', of_rule);
  END IF;
  RETURN kept;
END
$$;
COMMENT ON FUNCTION attribution._kept(text) IS 'The tables of a rule''s decisions; raises an error for a rule that has none.';

CREATE FUNCTION attribution._check_storing(carry name[], installation_key text[], reattribution_window interval,
  allowed_lateness interval, settlement interval) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  reserved CONSTANT name[] := '{conversion_id,conversion_time,credit_position,decided_at,tier,touch_id,touch_time,credit,'
    'outcome,kind,lookback,value,rule_version,run,path_length,path_first,path_first_time,path_last,path_last_time,path_channels}';
BEGIN
  PERFORM attribution._check_duration('reattribution_window', reattribution_window);
  PERFORM attribution._check_duration('allowed_lateness', allowed_lateness);
  PERFORM attribution._check_duration('settlement', settlement);
  IF array_position(carry, NULL) IS NOT NULL OR array_position(installation_key, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'carry and installation_key must not hold null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF carry && reserved OR cardinality(carry) > (SELECT count(DISTINCT c) FROM unnest(carry) AS c) THEN
    RAISE EXCEPTION 'carry must name each column once, and none that decisions have already' USING ERRCODE = 'duplicate_column',
      DETAIL = format('Decisions have the columns %s.', array_to_string(reserved, ', ')),
      HINT = 'Name a view as the touch table, in which the column has another name.';
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._check_storing(name[], text[], interval, interval, interval) IS 'Raises an error for settings that decisions can''t be kept by.';

CREATE FUNCTION attribution._name_storage(of_rule text, conversions regclass, decisions text, credits text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  names text[] := parse_ident(coalesce(decisions, quote_ident(of_rule || '_decisions')));
  credit_names text[] := parse_ident(coalesce(credits, quote_ident(of_rule || '_credits')));
  home record;
BEGIN
  SELECT n.nspname AS place, c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
      AND (c.relkind = 'p' OR NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = c.oid)) AS is_table
    INTO STRICT home
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = conversions;
  -- Nothing can queue what a view shows, or what inheritance children hold.
  IF NOT home.is_table THEN
    IF decisions IS NOT NULL OR credits IS NOT NULL THEN
      RAISE EXCEPTION 'decisions on % can not be kept', conversions USING ERRCODE = 'wrong_object_type',
        DETAIL = 'It is no plain or partitioned table, so that nothing could queue its conversions.';
    END IF;
    RETURN;
  END IF;
  IF cardinality(names) > 2 OR cardinality(credit_names) > 2
     OR (cardinality(credit_names) = 2 AND credit_names[1] <> (CASE cardinality(names) WHEN 2 THEN names[1] ELSE home.place::text END))
     OR octet_length(names[cardinality(names)]) > 47 OR octet_length(credit_names[cardinality(credit_names)]) > 47 THEN
    RAISE EXCEPTION 'decisions and credits must be names of tables, in one schema, of at most 47 bytes'
      USING ERRCODE = 'invalid_name';
  END IF;
  INSERT INTO attribution.storage (rule, place, decisions_name, credits_name)
    VALUES (of_rule, CASE cardinality(names) WHEN 2 THEN names[1] ELSE home.place END, names[cardinality(names)],
            credit_names[cardinality(credit_names)]);
END
$$;
COMMENT ON FUNCTION attribution._name_storage(text, regclass, text, text) IS 'Notes where a rule is to keep its decisions, if its conversions are a table.';

CREATE FUNCTION attribution._column_type(relation regclass, attribute name) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT format_type(a.atttypid, -1) || coalesce(' COLLATE ' || quote_ident(n.nspname) || '.' || quote_ident(c.collname), '')
  FROM pg_attribute AS a LEFT JOIN pg_collation AS c ON c.oid = a.attcollation LEFT JOIN pg_namespace AS n ON n.oid = c.collnamespace
  WHERE a.attrelid = relation AND a.attname = attribute AND a.attnum > 0 AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION attribution._column_type(regclass, name) IS 'A column''s type with its collation, as a column definition says it; null if there is no such column.';

CREATE FUNCTION attribution._tables_of(of_rule text) RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.oid::regclass
  FROM attribution.storage AS s
  CROSS JOIN unnest(ARRAY[s.decisions, s.credits, s.decisions_history, s.credits_history, s.pending, s.installations, s.flat, s.one_big_table]) AS kept
  CROSS JOIN LATERAL (SELECT kept::oid AS relid UNION SELECT p.relid::oid FROM pg_partition_tree(kept) AS p) AS t
  JOIN pg_class AS c ON c.oid = t.relid
  WHERE s.rule = of_rule
$$;
COMMENT ON FUNCTION attribution._tables_of(text) IS 'What was made to keep a rule''s decisions, with partitions, as far as it is still there.';

CREATE FUNCTION attribution._has_rows(relation regclass) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  result boolean := false;
BEGIN
  IF EXISTS (SELECT FROM pg_class AS c WHERE c.oid = relation AND c.relkind IN ('r', 'p')) THEN
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', relation) INTO STRICT result;
  END IF;
  RETURN result;
END
$$;
COMMENT ON FUNCTION attribution._has_rows(regclass) IS 'Whether a table is there and has rows.';

CREATE FUNCTION attribution._drop_storage(of_rule text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  made record;
BEGIN
  DELETE FROM attribution.partitioning AS p USING attribution.storage AS s
    WHERE s.rule = of_rule AND p.relation IN (s.decisions, s.credits, s.decisions_history, s.credits_history);
  FOR made IN
    SELECT c.oid::regclass AS relation, c.relkind FROM attribution._tables_of(of_rule) AS t JOIN pg_class AS c ON c.oid = t
     WHERE NOT c.relispartition ORDER BY c.relkind DESC -- the view first
  LOOP
    EXECUTE format('DROP %s %s', CASE made.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, made.relation);
  END LOOP;
  UPDATE attribution.storage AS s SET decisions = NULL, credits = NULL, decisions_history = NULL, credits_history = NULL,
    pending = NULL, installations = NULL, flat = NULL, one_big_table = NULL WHERE s.rule = of_rule;
END
$$;
COMMENT ON FUNCTION attribution._drop_storage(text) IS 'Drops the tables of a rule''s decisions.';

CREATE FUNCTION attribution._make_kept(place name, relname name, columns text, key text, what text) RETURNS regclass
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  made regclass;
BEGIN
  EXECUTE format('CREATE TABLE %I.%I (%s, PRIMARY KEY (%s)) PARTITION BY RANGE (conversion_time)', place, relname, columns, key);
  made := format('%I.%I', place, relname)::regclass;
  EXECUTE format('COMMENT ON TABLE %s IS %L', made, what);
  EXECUTE format('CREATE TABLE %I.%I PARTITION OF %s DEFAULT', place, relname || '_default', made);
  INSERT INTO attribution.partitioning (relation, granularity, ahead) VALUES (made, '7 days', 1);
  PERFORM attribution.maintain_partitions(made);
  RETURN made;
END
$$;
COMMENT ON FUNCTION attribution._make_kept(name, name, text, text, text) IS 'Makes a table for decisions, partitioned by week of the conversion.';

CREATE FUNCTION attribution._make_storage(of_rule text, draft integer, shape attribution._shape) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kept attribution.storage;
  stated record;
  ids text := format('conversion_id %s NOT NULL, conversion_time timestamptz NOT NULL', shape.conversion_id_column);
  header text := ids || ', outcome text NOT NULL, kind text, tier text, lookback interval NOT NULL, value numeric, '
    'rule_version integer NOT NULL, decided_at timestamptz NOT NULL, run bigint NOT NULL';
  credit text := ids || format(', credit_position integer NOT NULL, decided_at timestamptz NOT NULL, tier text, touch_id %s, '
    'touch_time timestamptz, credit float8 NOT NULL', shape.touch_id_column);
  decisions_made regclass;
  credits_made regclass;
  decisions_history_made regclass;
  credits_history_made regclass;
  pending_made regclass;
  carried record;
  relation regclass;
  taken text;
BEGIN
  -- Schemas may have been renamed, and tables moved.
  UPDATE attribution.storage AS s SET place = n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE s.rule = of_rule AND c.oid = s.decisions AND s.place <> n.nspname;
  SELECT * INTO kept FROM attribution.storage AS s WHERE s.rule = of_rule;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT r.owner, v.carry, EXISTS (SELECT FROM attribution.tier AS t WHERE t.rule = of_rule AND t.version = draft) AS has_tiers
    INTO STRICT stated
    FROM attribution.rule AS r JOIN attribution.rule_version AS v ON v.rule = r.rule AND v.version = draft WHERE r.rule = of_rule;

  IF kept.decisions IS NOT NULL AND (
       attribution._column_type(kept.decisions, 'conversion_id') IS DISTINCT FROM shape.conversion_id_column
    OR (stated.has_tiers AND attribution._column_type(kept.credits, 'touch_id') IS DISTINCT FROM shape.touch_id_column)
    OR EXISTS (SELECT FROM unnest(stated.carry, shape.carried) AS c(name, type)
               WHERE c.type <> '' AND c.type <> attribution._column_type(kept.credits, c.name))
    OR EXISTS (SELECT FROM unnest(shape.header_names, shape.header_types) AS c(name, type) WHERE c.type <> attribution._column_type(kept.decisions, c.name))
    OR EXISTS (SELECT FROM unnest(shape.credit_names, shape.credit_types) AS c(name, type) WHERE c.type <> attribution._column_type(kept.credits, c.name))) THEN
    -- Ids of another type make other tables, as long as there is nothing in them.
    IF EXISTS (SELECT FROM unnest(ARRAY[kept.decisions, kept.credits, kept.decisions_history, kept.credits_history, kept.pending]) AS t
               WHERE attribution._has_rows(t)) THEN
      RAISE EXCEPTION 'decisions of rule "%" are kept with other types', of_rule USING ERRCODE = 'datatype_mismatch',
        DETAIL = format('%s has ids of type %s and %s; they would be %s and %s now, or a carried or enriched column has another type.', kept.credits,
                        attribution._column_type(kept.credits, 'conversion_id'), attribution._column_type(kept.credits, 'touch_id'),
                        shape.conversion_id_column, shape.touch_id_column),
        HINT = 'Make another rule, or drop this one by attribution.drop_rule() and make it again; a column of an enrichment '
          'may be kept by another name.';
    END IF;
    PERFORM attribution._drop_storage(of_rule);
    SELECT * INTO STRICT kept FROM attribution.storage AS s WHERE s.rule = of_rule;
  END IF;

  IF kept.decisions IS NULL THEN
    SELECT format('%I.%I', kept.place, n) INTO taken
      FROM unnest(ARRAY[kept.decisions_name, kept.credits_name, kept.decisions_name || '_history', kept.credits_name || '_history',
                        of_rule || '_pending', of_rule || '_attribution', of_rule || '_installations']) AS n
      WHERE to_regclass(format('%I.%I', kept.place, n)) IS NOT NULL LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'relation % exists already', taken USING ERRCODE = 'duplicate_table',
        DETAIL = format('Rule "%s" would keep its decisions in a table of this name.', of_rule),
        HINT = 'Drop or rename it, name other tables by decisions and credits, or give the rule another name.';
    END IF;
    decisions_made := attribution._make_kept(kept.place, kept.decisions_name, header, 'conversion_id, conversion_time',
      format('What rule "%s" has decided: one row a conversion. Its credits are in %I.', of_rule, kept.credits_name));
    credits_made := attribution._make_kept(kept.place, kept.credits_name, credit, 'conversion_id, conversion_time, credit_position',
      format('Who gets the credit for the conversions of rule "%s", with what is kept of the touchpoint.', of_rule));
    decisions_history_made := attribution._make_kept(kept.place, kept.decisions_name || '_history',
      header || ', superseded_at timestamptz NOT NULL, superseded_by bigint NOT NULL', 'conversion_id, conversion_time, decided_at',
      format('What rule "%s" had decided before, and when and by which run that was superseded.', of_rule));
    credits_history_made := attribution._make_kept(kept.place, kept.credits_name || '_history', credit,
      'conversion_id, conversion_time, decided_at, credit_position', format('The credits of %I.', kept.decisions_name || '_history'));
    EXECUTE format('CREATE TABLE %I.%I (conversion_id %s PRIMARY KEY, conversion_time timestamptz NOT NULL CHECK (isfinite(conversion_time)), '
      'elsewhere boolean NOT NULL DEFAULT false, queued_at timestamptz NOT NULL, arrived_at timestamptz, due timestamptz NOT NULL, '
      'failed_at timestamptz, sqlstate text, message text) '
      'WITH (autovacuum_vacuum_scale_factor = 0.05)', kept.place, of_rule || '_pending', shape.conversion_id_column);
    pending_made := format('%I.%I', kept.place, of_rule || '_pending')::regclass;
    EXECUTE format('CREATE INDEX ON %s (due)', pending_made);
    EXECUTE format('COMMENT ON TABLE %s IS %L', pending_made,
      format('Conversions that wait for a decision of rule "%s" (arrived_at is null), or are open to another. Written by trigger and attribution.run().', of_rule));
    EXECUTE format('COMMENT ON COLUMN %s.conversion_time IS %L', pending_made, 'a time at which a row or a decision of the id is, or was');
    EXECUTE format('COMMENT ON COLUMN %s.elsewhere IS %L', pending_made, 'the decision may be at another time than that, and than those of the rows there are');
    EXECUTE format('COMMENT ON COLUMN %s.due IS %L', pending_made, 'when to decide (again); infinity: a dead letter, which could not be decided');
    EXECUTE format('COMMENT ON COLUMN %s.message IS %L', pending_made, 'why it could not be decided');
    UPDATE attribution.storage AS s SET decisions = decisions_made, credits = credits_made, decisions_history = decisions_history_made,
      credits_history = credits_history_made, pending = pending_made WHERE s.rule = of_rule;
    SELECT * INTO STRICT kept FROM attribution.storage AS s WHERE s.rule = of_rule;
    IF to_regprocedure(format('%I.%I(timestamptz)', kept.place, of_rule || '_decisions_as_of')) IS NOT NULL THEN
      EXECUTE format('DROP FUNCTION %I.%I(timestamptz)', kept.place, of_rule || '_decisions_as_of');
    END IF;
  END IF;

  FOR carried IN
    SELECT c.name, c.type FROM unnest(stated.carry, shape.carried) AS c(name, type)
     WHERE c.type <> '' AND attribution._column_type(kept.credits, c.name) IS NULL
  LOOP
    EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', kept.credits, carried.name, carried.type);
    EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', kept.credits_history, carried.name, carried.type);
  END LOOP;
  FOR carried IN
    SELECT t.relation, c.name, c.type
      FROM (SELECT kept.decisions, kept.decisions_history, name, type FROM unnest(shape.header_names, shape.header_types) AS h(name, type)
            UNION ALL
            SELECT kept.credits, kept.credits_history, name, type FROM unnest(shape.credit_names, shape.credit_types) AS h(name, type)) AS c(current, past, name, type)
      CROSS JOIN LATERAL (VALUES (c.current), (c.past)) AS t(relation)
     WHERE attribution._column_type(t.relation, c.name) IS NULL
  LOOP
    EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', carried.relation, carried.name, carried.type);
  END LOOP;
  PERFORM attribution._show_storage(of_rule, shape);
  FOR relation IN SELECT t FROM attribution._tables_of(of_rule) AS t JOIN pg_class AS c ON c.oid = t WHERE c.relowner <> stated.owner::oid LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO %s', relation, stated.owner);
  END LOOP;
END
$$;
COMMENT ON FUNCTION attribution._make_storage(text, integer, attribution._shape) IS 'Makes the tables that keep a rule''s decisions, or adds to them what a draft carries.';

CREATE FUNCTION attribution._divides(of_rule text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM attribution.rule_version AS v WHERE v.rule = of_rule AND v.model NOT IN ('last_touch', 'first_touch'))
$$;
COMMENT ON FUNCTION attribution._divides(text) IS 'Whether some version of a rule may give a conversion several credits.';

CREATE FUNCTION attribution._top_credit(of_rule text, credits regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  -- Where no version divides the credit there is one row to join.
  SELECT format(CASE WHEN attribution._divides(of_rule)
    THEN 'CROSS JOIN LATERAL (SELECT * FROM %s AS c WHERE c.conversion_id = d.conversion_id AND c.conversion_time = d.conversion_time '
         'ORDER BY c.credit DESC, c.credit_position DESC LIMIT 1) AS c'
    ELSE 'JOIN %s AS c ON c.conversion_id = d.conversion_id AND c.conversion_time = d.conversion_time AND c.credit_position = 1' END, credits)
$$;
COMMENT ON FUNCTION attribution._top_credit(text, regclass) IS 'The join of a header, d, with the credit, c, that stands for all in a flat view: the most, of equal ones the newest.';

CREATE FUNCTION attribution._show_storage(of_rule text, shape attribution._shape) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kept attribution.storage;
  signature text;
  owner regrole;
BEGIN
  SELECT * INTO STRICT kept FROM attribution.storage AS s WHERE s.rule = of_rule;
  SELECT r.owner INTO STRICT owner FROM attribution.rule AS r WHERE r.rule = of_rule;
  EXECUTE format('CREATE OR REPLACE VIEW %s AS SELECT d.conversion_id, d.conversion_time, d.outcome, d.kind, d.tier, c.touch_id, '
      'c.touch_time, c.credit, d.lookback, d.value, d.rule_version, d.decided_at, d.run%s FROM %s AS d %s',
    coalesce(kept.flat::text, format('%I.%I', kept.place, of_rule || '_attribution')),
    -- A view may get columns at its end only.
    (SELECT string_agg(format(', %s.%I', k.of, k.attname), '' ORDER BY v.attnum NULLS LAST, k.of, k.attnum)
       FROM (SELECT 'c' AS of, a.attname, a.attnum FROM pg_attribute AS a
              WHERE a.attrelid = kept.credits AND a.attnum > 0 AND NOT a.attisdropped
                AND a.attname NOT IN ('conversion_id', 'conversion_time', 'credit_position', 'decided_at', 'tier', 'touch_id', 'touch_time', 'credit')
             UNION ALL
             SELECT 'd', a.attname, a.attnum FROM pg_attribute AS a
              WHERE a.attrelid = kept.decisions AND a.attnum > 0 AND NOT a.attisdropped
                AND a.attname NOT IN ('conversion_id', 'conversion_time', 'outcome', 'kind', 'tier', 'lookback', 'value', 'rule_version', 'decided_at', 'run')
                AND attribution._column_type(kept.credits, a.attname) IS NULL) AS k
       LEFT JOIN pg_attribute AS v ON v.attrelid = kept.flat AND v.attname = k.attname AND NOT v.attisdropped),
    kept.decisions, attribution._top_credit(of_rule, kept.credits));
  IF kept.flat IS NULL THEN
    UPDATE attribution.storage AS s SET flat = format('%I.%I', kept.place, of_rule || '_attribution')::regclass WHERE s.rule = of_rule;
    EXECUTE format('COMMENT ON VIEW %I.%I IS %L', kept.place, of_rule || '_attribution',
      format('What rule "%s" has decided: one row a conversion, with the touchpoint of the most credit, of equal ones the newest.', of_rule));
  END IF;
  PERFORM attribution._show_one_big_table(of_rule) FROM pg_class AS c WHERE c.oid = kept.one_big_table;
  signature := format('%I.%I(timestamptz)', kept.place, of_rule || '_decisions_as_of');
  EXECUTE format('CREATE OR REPLACE FUNCTION %I.%I(at timestamptz) RETURNS TABLE (conversion_id %s, conversion_time timestamptz, '
      'outcome text, kind text, tier text, credit_position integer, touch_id %s, touch_time timestamptz, credit float8, value numeric, '
      'rule_version integer, decided_at timestamptz) LANGUAGE sql STABLE AS %L',
    kept.place, of_rule || '_decisions_as_of', shape.conversion_id, shape.touch_id,
    attribution._decisions_as_of_sql(kept));
  EXECUTE format('COMMENT ON FUNCTION %s IS %L', signature, format('What rule "%s" had decided at a time.', of_rule));
  EXECUTE format('ALTER FUNCTION %s DEPENDS ON EXTENSION attribution', signature);
  IF owner <> current_user::regrole THEN
    EXECUTE format('ALTER FUNCTION %s OWNER TO %s', signature, owner);
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._show_storage(text, attribution._shape) IS 'Makes the view and the function that show what a rule has decided.';

CREATE FUNCTION attribution._decisions_as_of_sql(kept attribution.storage) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT string_agg(format(
    'SELECT d.conversion_id, d.conversion_time, d.outcome, d.kind, c.tier, c.credit_position, c.touch_id, c.touch_time, c.credit, d.value, '
    'd.rule_version, d.decided_at FROM %s AS d JOIN %s AS c ON c.conversion_id = d.conversion_id AND c.conversion_time = d.conversion_time '
    'AND c.decided_at = d.decided_at WHERE d.decided_at <= $1%s', t.headers, t.credits, t.condition), ' UNION ALL ')
  FROM (VALUES (kept.decisions, kept.credits, ''), (kept.decisions_history, kept.credits_history, ' AND d.superseded_at > $1')) AS t(headers, credits, condition)
$$;
COMMENT ON FUNCTION attribution._decisions_as_of_sql(attribution.storage) IS 'The query for what a rule had decided at a time.';

CREATE FUNCTION attribution._index_by_time(relation regclass, key name[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  -- Where a statement can go by a touch index as well.
  can_touch boolean := NOT EXISTS (
    SELECT FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attname = ANY (key) AND NOT EXISTS (
      SELECT FROM pg_amop AS o JOIN pg_opfamily AS f ON f.oid = o.amopfamily JOIN pg_am AS m ON m.oid = f.opfmethod
       WHERE m.amname = 'touch' AND f.opfname = 'touch_ops' AND o.amoplefttype = CASE a.atttypid WHEN 'varchar'::regtype THEN 'text'::regtype ELSE a.atttypid END
         AND o.amoprighttype = o.amoplefttype));
  columns text := (SELECT string_agg(quote_ident(k), ', ' ORDER BY n) FROM unnest(key || 'conversion_time'::name) WITH ORDINALITY AS u(k, n));
BEGIN
  -- Buckets of one page: most keys have one entry, which is looked for as often as one is added.
  EXECUTE format('CREATE INDEX ON %s USING %s', relation, CASE WHEN can_touch THEN format('touch (%s) WITH (bucket_pages = 1)', columns) ELSE format('btree (%s)', columns) END);
  IF can_touch THEN
    -- DROP EXTENSION takes the index, and leaves the table.
    EXECUTE format('ALTER INDEX %s DEPENDS ON EXTENSION attribution', (
      SELECT i.indexrelid::regclass FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
       WHERE i.indrelid = relation AND a.attname = key[1]));
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._index_by_time(regclass, name[]) IS 'Makes an index on some columns and conversion_time: a touch index, if the columns are of types that PostgreSQL itself can hash.';

CREATE FUNCTION attribution._start_storing(of_rule text, version integer, shape attribution._shape) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kept attribution.storage;
  stated record;
  span record;
  missing name;
  trigger_name name := 'attribution_' || of_rule;
  signature text;
  columns text;
BEGIN
  SELECT * INTO kept FROM attribution.storage AS s WHERE s.rule = of_rule;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT r.owner, r.active_version, v.conversions, v.time_column, v.carry, v.installation_key, v.filter, c.relowner,
      past.installation_key AS past_key, past.filter AS past_filter INTO STRICT stated
    FROM attribution.rule AS r JOIN attribution.rule_version AS v ON v.rule = r.rule AND v.version = _start_storing.version
    JOIN pg_class AS c ON c.oid = v.conversions
    LEFT JOIN attribution.rule_version AS past ON past.rule = r.rule AND past.version = r.active_version
    WHERE r.rule = of_rule;
  SELECT c.name INTO missing FROM unnest(stated.carry, shape.carried) AS c(name, type) WHERE c.type = '' LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'no touch table of rule "%" has column "%", which decisions are to keep', of_rule, missing
      USING ERRCODE = 'undefined_column', HINT = 'Change carry by attribution.alter_rule().';
  END IF;

  IF stated.active_version IS NOT NULL AND stated.filter IS DISTINCT FROM stated.past_filter THEN
    UPDATE attribution.storage AS s SET refiltered_at = clock_timestamp() WHERE s.rule = of_rule;
  END IF;
  -- Who was new by another key says nothing of this one.
  IF kept.installations IS NOT NULL AND stated.past_key IS DISTINCT FROM stated.installation_key THEN
    EXECUTE format('DROP TABLE %s', kept.installations);
    UPDATE attribution.storage AS s SET installations = NULL WHERE s.rule = of_rule;
    SELECT * INTO STRICT kept FROM attribution.storage AS s WHERE s.rule = of_rule;
  END IF;
  IF kept.installations IS NULL AND cardinality(shape.keys) > 0 THEN
    IF stated.active_version IS NOT NULL THEN
      RAISE NOTICE 'rule "%" has a new installation key: who was new by it is known once all is decided again', of_rule
        USING HINT = format('CALL attribution.reattribute(%L);', of_rule);
    END IF;
    SELECT string_agg(format('key%s %s NOT NULL, ', k, type), '' ORDER BY k) INTO columns FROM unnest(shape.keys) WITH ORDINALITY AS u(type, k);
    -- No primary key: entering rows at random places of large B-trees was a sixth of a run over 40 M of them.
    EXECUTE format('CREATE TABLE %I.%I (%s conversion_time timestamptz NOT NULL, conversion_id %s NOT NULL)',
      kept.place, of_rule || '_installations', columns, shape.conversion_id_column);
    EXECUTE format('ALTER TABLE %I.%I REPLICA IDENTITY FULL', kept.place, of_rule || '_installations');
    UPDATE attribution.storage AS s SET installations = format('%I.%I', kept.place, of_rule || '_installations')::regclass WHERE s.rule = of_rule;
    PERFORM attribution._index_by_time(s.installations, '{conversion_id}'),
        attribution._index_by_time(s.installations, ARRAY(SELECT 'key' || k FROM generate_series(1, cardinality(shape.keys)) AS k ORDER BY k))
      FROM attribution.storage AS s WHERE s.rule = of_rule;
    EXECUTE format('COMMENT ON TABLE %I.%I IS %L', kept.place, of_rule || '_installations',
      format('Which conversions of rule "%s" were new, by installation key. Outlives the events.', of_rule));
    IF stated.owner <> current_user::regrole THEN
      EXECUTE format('ALTER TABLE %I.%I OWNER TO %s', kept.place, of_rule || '_installations', stated.owner);
    END IF;
  END IF;

  IF NOT pg_has_role(stated.relowner, 'USAGE') THEN
    RAISE WARNING 'rule "%" does not queue conversions: % is not yours', of_rule, stated.conversions
      USING HINT = 'It can be read. For decisions that are stored, let the table''s owner call attribution.activate().';
    RETURN;
  END IF;
  -- The trigger runs in the sessions of all who write conversions.
  IF NOT has_table_privilege(stated.owner::oid, stated.conversions, 'TRIGGER') THEN
    RAISE EXCEPTION 'the owner of rule "%" may not have triggers on %', of_rule, stated.conversions USING ERRCODE = 'insufficient_privilege',
      HINT = format('GRANT TRIGGER ON %s TO %s;', stated.conversions, stated.owner);
  END IF;
  signature := format('%I.%I()', kept.place, of_rule || '_enqueue');
  IF to_regprocedure(signature) IS NOT NULL
     AND to_regprocedure(signature)::regprocedure NOT IN (SELECT attribution._functions_of(of_rule)) THEN
    RAISE EXCEPTION 'function % exists already, and was not made for rule "%"', signature, of_rule
      USING ERRCODE = 'duplicate_function', HINT = 'Drop or rename the function, or give the rule another name.';
  END IF;
  EXECUTE attribution._enqueue_definition(of_rule, version, shape);
  EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
  EXECUTE format('ALTER FUNCTION %s DEPENDS ON EXTENSION attribution', signature);
  IF stated.owner <> current_user::regrole THEN
    EXECUTE format('ALTER FUNCTION %s OWNER TO %s', signature, stated.owner);
  END IF;
  IF NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = stated.conversions AND t.tgname = trigger_name) THEN
    EXECUTE format('CREATE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION %s',
      trigger_name, stated.conversions, signature);
    -- Also for rows that replication applies.
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', stated.conversions, trigger_name);
    EXECUTE format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION attribution', trigger_name, stated.conversions);
    EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L', trigger_name, stated.conversions, format('Queues conversions for rule "%s".', of_rule));
  END IF;

  -- Partitions for what is there already; what lies beyond ten years is left to the default partitions.
  IF stated.active_version IS NULL AND stated.owner = current_user::regrole THEN
    EXECUTE format('SELECT min(%1$I) AS since, max(%1$I) AS until FROM %2$s WHERE %1$I > now() - interval ''3650 days'' AND %1$I < now()',
      stated.time_column, stated.conversions) INTO STRICT span;
    IF span.since IS NOT NULL THEN
      PERFORM attribution.make_partitions(r, span.since, span.until + interval '1 microsecond') FROM unnest(ARRAY[kept.decisions, kept.credits]) AS r;
    END IF;
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._start_storing(text, integer, attribution._shape) IS 'Makes the trigger that queues the conversions of a rule.';

CREATE FUNCTION attribution._enqueue_definition(of_rule text, version integer, shape attribution._shape) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kept attribution.storage;
  stated record;
  id text;
  time text;
  passes text;
  past_passes text;
  variables text;
  upsert text;
BEGIN
  SELECT * INTO STRICT kept FROM attribution.storage AS s WHERE s.rule = of_rule;
  SELECT v.conversions, quote_ident(v.id_column) AS id, quote_ident(v.time_column) AS time, v.id_column, v.filter, v.settlement
    INTO STRICT stated FROM attribution.rule_version AS v WHERE v.rule = of_rule AND v.version = _enqueue_definition.version;
  id := 'conversion.' || stated.id;
  time := 'conversion.' || stated.time;
  -- Two decisions at one time are found at that time; else the decision is looked for everywhere.
  upsert := format('INSERT INTO %s AS pending (conversion_id, conversion_time, queued_at, due) '
    'VALUES (%s, %s, queueing.came, queueing.due) '
    'ON CONFLICT (conversion_id) DO UPDATE SET '
    'conversion_time = LEAST(pending.conversion_time, excluded.conversion_time), '
    'elsewhere = pending.elsewhere OR pending.conversion_time <> excluded.conversion_time, '
    'queued_at = CASE WHEN pending.arrived_at IS NULL THEN pending.queued_at ELSE excluded.queued_at END, '
    'arrived_at = NULL, due = LEAST(pending.due, excluded.due); PERFORM attribution._wake(queueing.due);', kept.pending, id, time);
  -- Columns that the filter names without saying of what become variables: so it is evaluated without a query.
  variables := (SELECT string_agg(format('%I %s.%I%%TYPE := conversion.%1$I; ', c, stated.conversions, c), '') FROM unnest(shape.filter_columns) AS c);
  passes := coalesce('(' || stated.filter || E'\n)', 'true');
  -- A row may have its decision from when the filter was another: then every row that goes may.
  past_passes := CASE WHEN kept.refiltered_at IS NULL THEN passes ELSE 'true' END;
  RETURN format('CREATE OR REPLACE FUNCTION %I.%I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp%s AS %L',
    kept.place, of_rule || '_enqueue',
    -- What steers how values are read and printed, where the filter may depend on it.
    CASE WHEN shape.filter_is_immutable THEN '' ELSE ' SET timezone = ''UTC'' SET datestyle = ''ISO, YMD'' SET intervalstyle = postgres '
      'SET extra_float_digits = 1 SET bytea_output = hex SET xmloption = content SET xmlbinary = base64 SET array_nulls = on '
      'SET default_text_search_config = ''pg_catalog.simple'' SET lc_monetary = ''C'' SET lc_numeric = ''C'' SET lc_time = ''C'' '
      'SET standard_conforming_strings = on SET transform_null_equals = off' END,
    format($body$
-- Made by attribution.activate(). It runs as the rule's owner, so that whoever brings conversions needs no right to queue.
#variable_conflict use_column
<<queueing>>
DECLARE
  conversion record;
  came CONSTANT timestamptz := clock_timestamp();
  due CONSTANT timestamptz := came + interval %11$L;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF ROW(%1$s)::record *= ROW(%2$s)::record THEN
      RETURN NULL;
    END IF;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    conversion := OLD;
    DECLARE
      %3$s
    BEGIN
      IF isfinite(%5$s) AND %4$s IS NOT NULL AND %10$s THEN
        %7$s
      END IF;
    END;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    conversion := NEW;
    DECLARE
      %3$s
    BEGIN
      IF %5$s IS NOT NULL AND %6$s THEN
        IF %4$s IS NULL THEN
          RAISE EXCEPTION 'conversion without an id' USING ERRCODE = 'not_null_violation', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA,
            COLUMN = %8$L, DETAIL = %9$L, HINT = 'Leave such rows out by the rule''s filter.';
        ELSIF NOT isfinite(%5$s) THEN
          RAISE EXCEPTION 'time of conversion %% is infinite', %4$s USING ERRCODE = 'datetime_field_overflow', TABLE = TG_TABLE_NAME,
            SCHEMA = TG_TABLE_SCHEMA, DETAIL = %9$L, HINT = 'Leave such rows out by the rule''s filter.';
        END IF;
        %7$s
      END IF;
    END;
  END IF;
  RETURN NULL;
END
$body$,
      (SELECT string_agg(format('OLD.%I', c), ', ') FROM unnest(shape.used) AS c),
      (SELECT string_agg(format('NEW.%I', c), ', ') FROM unnest(shape.used) AS c),
      variables, id, time, passes, upsert, stated.id_column,
      format('The conversions of %s are attributed by rule "%s".', stated.conversions, of_rule), past_passes, stated.settlement));
END
$$;
COMMENT ON FUNCTION attribution._enqueue_definition(text, integer, attribution._shape) IS 'The trigger function that queues the conversions of a rule, as SQL.';

CREATE FUNCTION attribution._stop_storing(of_rule text, keep_decisions boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kept attribution.storage;
  conversions regclass;
BEGIN
  SELECT * INTO kept FROM attribution.storage AS s WHERE s.rule = of_rule;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT t.tgrelid::regclass INTO conversions FROM pg_trigger AS t
   WHERE t.tgname = 'attribution_' || of_rule AND t.tgparentid = 0
     AND t.tgrelid IN (SELECT v.conversions FROM attribution.rule_version AS v WHERE v.rule = of_rule);
  IF FOUND THEN
    EXECUTE format('DROP TRIGGER %I ON %s', 'attribution_' || of_rule, conversions);
  END IF;
  DELETE FROM attribution.reconciled AS r WHERE r.rule = of_rule;
  IF keep_decisions AND EXISTS (SELECT FROM unnest(ARRAY[kept.decisions, kept.decisions_history]) AS t WHERE attribution._has_rows(t)) THEN
    IF EXISTS (SELECT FROM pg_class AS c WHERE c.oid = kept.pending) THEN
      EXECUTE format('DROP TABLE %s', kept.pending);
    END IF;
  ELSE
    PERFORM attribution._drop_storage(of_rule);
  END IF;
  DELETE FROM attribution.storage AS s WHERE s.rule = of_rule;
END
$$;
COMMENT ON FUNCTION attribution._stop_storing(text, boolean) IS 'Drops the trigger and the queue of a rule; its decisions as well, if there are none or they are not to be kept.';
