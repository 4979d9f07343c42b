-- From the event tables of a rule to a configuration of kafka-bridge that fills them.

CREATE FUNCTION attribution._toml_key(key text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN key ~ '^[A-Za-z0-9_-]+$' THEN key ELSE to_json(key)::text END
$$;
COMMENT ON FUNCTION attribution._toml_key(text) IS 'A key, as TOML writes it.';

CREATE FUNCTION attribution._toml(value jsonb) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
  -- Strings, numbers and booleans are written in TOML as in JSON.
  SELECT CASE jsonb_typeof(value)
    WHEN 'object' THEN (SELECT coalesce('{ ' || string_agg(attribution._toml_key(e.key) || ' = ' || attribution._toml(e.value), ', ' ORDER BY e.key) || ' }', '{}')
                          FROM jsonb_each(value) AS e)
    WHEN 'array' THEN (SELECT '[' || coalesce(string_agg(attribution._toml(a.value), ', ' ORDER BY a.at), '') || ']'
                         FROM jsonb_array_elements(value) WITH ORDINALITY AS a(value, at))
    ELSE value::text END
$$;
COMMENT ON FUNCTION attribution._toml(jsonb) IS 'A value, as TOML writes it in one line.';

CREATE FUNCTION attribution._bridge_columns(stated attribution.ingestion, mapping jsonb)
RETURNS TABLE (attname name, source jsonb, attnum integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT s.attname, coalesce(mapping -> s.attname::text,
           CASE WHEN s.attname = 'kafka_partition' THEN '{"meta": "partition"}'::jsonb
                WHEN s.attname = 'kafka_offset' THEN '{"meta": "offset"}'
                WHEN s.attname = 'kafka_time' THEN '{"meta": "timestamp"}'
                WHEN s.attname = 'others' AND s.type = 'jsonb' THEN '{"rest": true}'
                WHEN s.attname IN (stated.id_column, stated.time_column) OR t.not_null AND NOT t.has_default THEN '{"required": true}'
                ELSE '{}' END), s.attnum::integer
    FROM attribution._event_columns(stated.staging) AS s
    LEFT JOIN attribution._event_columns(stated.target) AS t ON t.attname = s.attname
   -- A default of the table is for what events don't say, unless somebody says that they do.
   WHERE CASE WHEN mapping ? s.attname::text THEN jsonb_typeof(mapping -> s.attname::text) <> 'null'
              ELSE NOT coalesce(t.has_default AND s.attname NOT IN (stated.id_column, stated.time_column), false) END
$$;
COMMENT ON FUNCTION attribution._bridge_columns(attribution.ingestion, jsonb) IS 'The columns that kafka-bridge fills, and what it makes them from.';

CREATE FUNCTION attribution._ingest_by_default(target regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  staging regclass;
  stated attribution.ingestion;
BEGIN
  IF EXISTS (SELECT FROM attribution.ingestion AS i WHERE i.target = _ingest_by_default.target) THEN
    RETURN;
  END IF;
  staging := to_regclass(attribution._sibling(target, '_staging'));
  PERFORM attribution.ingest_from(target, coalesce(staging, attribution.make_staging(target)));
  SELECT * INTO STRICT stated FROM attribution.ingestion AS i WHERE i.target = _ingest_by_default.target;
  IF EXISTS (SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS m ON m.oid = c.relam
             WHERE i.indrelid = target AND m.amname = 'touch' AND i.indnatts = 2
               AND i.indkey[0] = (SELECT a.attnum FROM pg_attribute AS a WHERE a.attrelid = target AND a.attname = stated.id_column)) THEN
    RETURN;
  END IF;
  IF attribution._has_rows(target) THEN
    RAISE NOTICE '% has no touch index on its id', target
      USING HINT = format('Ids that have come before are found fastest by one: CREATE INDEX ON %s USING touch (%I, %I);', target, stated.id_column, stated.time_column);
  ELSE
    EXECUTE format('CREATE INDEX ON %s USING touch (%I, %I)', target, stated.id_column, stated.time_column);
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._ingest_by_default(regclass) IS
'Has rows be ingested into a table, if they are not yet: makes its staging table, and, while it is empty, a touch index on its id.';

CREATE FUNCTION attribution.bridge_config(of text, brokers text DEFAULT 'localhost:9092', dsn text DEFAULT NULL, mapping jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  stated attribution.ingestion;
  own jsonb;
  place record;
  event_table regclass;
  odd text;
  toml text := E'[kafka]\nbrokers = ' || attribution._toml(to_jsonb(brokers)) || E'\n';
  any_table boolean := false;
BEGIN
  IF of IS NULL OR brokers IS NULL THEN
    RAISE EXCEPTION 'of and brokers must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF dsn IS NOT NULL THEN
    toml := toml || E'\n[postgres]\ndsn = ' || attribution._toml(to_jsonb(dsn)) || E'\n';
  END IF;
  FOR event_table IN
    SELECT e FROM attribution._event_tables(of) AS e JOIN pg_class AS c ON c.oid = e ORDER BY c.relname, c.oid
  LOOP
    any_table := true;
    PERFORM attribution._ingest_by_default(event_table);
    SELECT * INTO STRICT stated FROM attribution.ingestion AS i WHERE i.target = event_table;
    SELECT t.relname AS name, format('%I.%I', n.nspname, s.relname) AS staging INTO STRICT place
      FROM pg_class AS t, pg_class AS s JOIN pg_namespace AS n ON n.oid = s.relnamespace WHERE t.oid = stated.target AND s.oid = stated.staging;
    own := coalesce(mapping -> place.name::text, '{}');
    own := jsonb_build_object('topic', coalesce(own ->> 'topic', stated.topic, place.name), 'columns', stated.mapping || coalesce(own -> 'columns', '{}'));
    SELECT k INTO odd FROM jsonb_object_keys(own -> 'columns') AS k
      WHERE k NOT IN (SELECT e.attname FROM attribution._event_columns(stated.staging) AS e) LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'column "%" of the mapping does not exist in %', odd, place.staging USING ERRCODE = 'undefined_column';
    END IF;
    toml := toml || format(E'\n[[pipeline]]\nname = %s\ntopics = [%s]\ntable = %s\n\n[pipeline.columns]\n', attribution._toml(to_jsonb(place.name::text)),
        attribution._toml(own -> 'topic'), attribution._toml(to_jsonb(place.staging)))
      || (SELECT string_agg(attribution._toml_key(c.attname) || ' = ' || attribution._toml(c.source) || E'\n', '' ORDER BY c.attnum)
            FROM attribution._bridge_columns(stated, own -> 'columns') AS c);
  END LOOP;
  IF NOT any_table THEN
    RAISE EXCEPTION 'there is no rule "%", and no rule reads tables of a schema of that name', of USING ERRCODE = 'undefined_object',
      HINT = 'attribution.rules lists the rules.';
  END IF;
  SELECT k INTO odd FROM jsonb_object_keys(mapping) AS k
    WHERE k NOT IN (SELECT c.relname FROM attribution._event_tables(of) AS e JOIN pg_class AS c ON c.oid = e) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '"%" of the mapping is none of the tables that "%" reads', odd, of USING ERRCODE = 'undefined_table';
  END IF;
  RETURN toml;
END
$$;
COMMENT ON FUNCTION attribution.bridge_config(text, text, text, jsonb) IS
'A configuration of kafka-bridge for the event tables of a rule, or of those in a schema that rules read: a topic for each, of the
table''s name, whose JSON has fields of its columns'' names. Tables into which nothing is ingested yet get a staging table, which the
bridge loads and ingest() empties. mapping says otherwise, beside what attribution.ingestion has: {"clicks": {"topic": "c",
"columns": {"event_time": {"path": "at", "time": "epoch_ms", "required": true}, "network": null}}}; null leaves a column out.
brokers, dsn: as kafka-bridge takes them. The tables must be yours.';
