-- One big table: a view that has, for each conversion, its own row, the decision, the touchpoints that are credited, what the
-- path was, what the rule looks up in dimensions, and the value. A BI tool, or dbt, reads it as it is.
--
-- It calls no function of the extension and depends on none of it: DROP EXTENSION leaves it, as it leaves the decisions.

CREATE FUNCTION attribution._one_big_table_columns(of_rule text, kept attribution.storage)
RETURNS TABLE (expression text, name text, place bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  stated record;
  item record;
  taken text[] := '{}';
BEGIN
  SELECT v.conversions, v.id_column, v.time_column INTO STRICT stated
    FROM attribution.rule_version AS v WHERE v.rule = of_rule ORDER BY v.version DESC LIMIT 1;
  place := 0;
  FOR item IN
    SELECT u.expression, u.name, u.ours
      FROM (
        SELECT 1 AS part, 0 AS attnum, format('d.%I', n) AS expression, n AS name, true AS ours
          FROM unnest('{conversion_id,conversion_time,outcome,kind,tier,value}'::text[]) AS n
        UNION ALL
        SELECT 1, 1, format('c.%I', n), n, true FROM unnest('{touch_id,touch_time,credit}'::text[]) AS n
        UNION ALL
        -- What the rule carries and looks up, of the first touchpoint that is credited.
        SELECT 2, a.attnum, format('c.%I', a.attname), a.attname, true FROM pg_attribute AS a
         WHERE a.attrelid = kept.credits AND a.attnum > 0 AND NOT a.attisdropped
           AND a.attname NOT IN ('conversion_id', 'conversion_time', 'credit_position', 'decided_at', 'tier', 'touch_id', 'touch_time', 'credit')
        UNION ALL
        SELECT 3, a.attnum, format('d.%I', a.attname), a.attname, true FROM pg_attribute AS a
         WHERE a.attrelid = kept.decisions AND a.attnum > 0 AND NOT a.attisdropped
           AND a.attname NOT IN ('conversion_id', 'conversion_time', 'outcome', 'kind', 'tier', 'lookback', 'value', 'rule_version', 'decided_at', 'run')
           AND attribution._column_type(kept.credits, a.attname) IS NULL
        UNION ALL
        SELECT 4, 0, format('(SELECT pg_catalog.count(t.touch_id)::integer FROM %s AS t WHERE t.conversion_id = d.conversion_id '
            'AND t.conversion_time = d.conversion_time)', kept.credits), 'credited', true
        UNION ALL
        SELECT 4, 1, format('(SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t) - ''{conversion_id,conversion_time,decided_at}''::text[] ORDER BY t.credit_position) '
            'FROM %s AS t WHERE t.conversion_id = d.conversion_id AND t.conversion_time = d.conversion_time AND t.touch_id IS NOT NULL)', kept.credits),
            'credited_touchpoints', true
        UNION ALL
        SELECT 5, 0, format('d.%I', n), n, true FROM unnest('{lookback,rule_version,decided_at,run}'::text[]) AS n
        UNION ALL
        SELECT 6, a.attnum, format('o.%I', a.attname), a.attname, false FROM pg_attribute AS a
         WHERE a.attrelid = stated.conversions AND a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT IN (stated.id_column, stated.time_column)
      ) AS u(part, attnum, expression, name, ours)
     ORDER BY u.part, u.attnum
  LOOP
    expression := item.expression;
    name := item.name;
    -- A column of the conversion that is called as one of the decision.
    WHILE name = ANY (taken) LOOP
      name := left('conversion_' || name, 63);
    END LOOP;
    taken := taken || name;
    place := place + 1;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION attribution._one_big_table_columns(text, attribution.storage) IS 'The columns of a rule''s one big table, in the order of a new one.';

CREATE FUNCTION attribution._show_one_big_table(of_rule text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kept attribution.storage;
  stated record;
  shifted name;
  columns text;
  conversion text;
BEGIN
  SELECT * INTO STRICT kept FROM attribution.storage AS s WHERE s.rule = of_rule;
  SELECT v.conversions, v.id_column, v.time_column, v.filter INTO STRICT stated
    FROM attribution.rule_version AS v WHERE v.rule = of_rule ORDER BY v.version DESC LIMIT 1;
  SELECT a.attname INTO shifted
    FROM attribution._one_big_table_columns(of_rule, kept) AS c
    JOIN pg_attribute AS a ON a.attrelid = kept.one_big_table AND c.name = 'conversion_' || a.attname
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS b WHERE b.attrelid = kept.one_big_table AND b.attname = c.name) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'column "%" of view % would mean something else', shifted, kept.one_big_table USING ERRCODE = 'duplicate_column',
      DETAIL = format('The conversion has a column of this name, and so has the decision now; the former would be "conversion_%s".', shifted),
      HINT = format('DROP VIEW %s; and then SELECT attribution.create_one_big_table(%L);', kept.one_big_table, of_rule);
  END IF;
  -- A view may get columns at its end only.
  SELECT string_agg(format('%s AS %I', c.expression, c.name), ', ' ORDER BY a.attnum NULLS LAST, c.place) INTO STRICT columns
    FROM attribution._one_big_table_columns(of_rule, kept) AS c
    LEFT JOIN pg_attribute AS a ON a.attrelid = kept.one_big_table AND a.attname = c.name;
  -- Rows of one id and time are one conversion; without a unique index there may be several.
  conversion := CASE WHEN EXISTS (
      SELECT FROM pg_index AS i WHERE i.indrelid = stated.conversions AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
         AND NOT EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) AS k WHERE NOT EXISTS (
               SELECT FROM pg_attribute AS a WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[k] AND a.attname IN (stated.id_column, stated.time_column))))
    THEN format('LEFT JOIN %1$s AS o ON o.%2$I = d.conversion_id AND o.%3$I = d.conversion_time', stated.conversions, stated.id_column, stated.time_column)
    ELSE format('LEFT JOIN LATERAL (SELECT conversion.* FROM %1$s AS conversion WHERE conversion.%2$I = d.conversion_id AND conversion.%3$I = d.conversion_time%4$s '
           'ORDER BY conversion::text COLLATE pg_catalog."C" LIMIT 1) AS o ON true',
         stated.conversions, stated.id_column, stated.time_column, coalesce(' AND (' || stated.filter || E'\n)', '')) END;
  EXECUTE format('CREATE OR REPLACE VIEW %s AS SELECT %s FROM %s AS d %s %s',
    coalesce(kept.one_big_table::text, format('%I.%I', kept.place, of_rule || '_one_big_table')), columns, kept.decisions,
    attribution._top_credit(of_rule, kept.credits), conversion);
END
$$;
COMMENT ON FUNCTION attribution._show_one_big_table(text) IS 'Makes the one big table of a rule, or adds to it what it lacks.';

CREATE FUNCTION attribution.create_one_big_table(rule text) RETURNS regclass
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kept attribution.storage;
  stated record;
  view text;
BEGIN
  PERFORM attribution._lock_rule(rule);
  PERFORM attribution._require_owner(rule);
  kept := attribution._kept(rule);
  IF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = kept.one_big_table) THEN
    view := format('%I.%I', kept.place, rule || '_one_big_table');
    IF to_regclass(view) IS NOT NULL THEN
      RAISE EXCEPTION 'relation % exists already', view USING ERRCODE = 'duplicate_table', HINT = 'Drop or rename it.';
    END IF;
    UPDATE attribution.storage AS s SET one_big_table = NULL WHERE s.rule = create_one_big_table.rule;
  END IF;
  PERFORM attribution._show_one_big_table(rule);
  IF view IS NOT NULL THEN
    UPDATE attribution.storage AS s SET one_big_table = view::regclass WHERE s.rule = create_one_big_table.rule;
    EXECUTE format('COMMENT ON VIEW %s IS %L', view, format('One big table of rule "%s": a row for each conversion, with all that is known of it.', rule));
    SELECT r.owner INTO STRICT stated FROM attribution.rule AS r WHERE r.rule = create_one_big_table.rule;
    IF stated.owner <> current_user::regrole THEN
      EXECUTE format('ALTER VIEW %s OWNER TO %s', view, stated.owner);
    END IF;
  END IF;
  RETURN (attribution._kept(rule)).one_big_table;
END
$$;
COMMENT ON FUNCTION attribution.create_one_big_table(text) IS
'Makes the view <rule>_one_big_table beside the rule''s decisions: one row for each conversion with its own columns, outcome, value,
the first credited touchpoint with what is carried and looked up, all credited ones (credited_touchpoints), the path''s summary where
the rule keeps it, and what dimensions say. It belongs to the rule''s owner. Called again, or when the rule is changed, it gets the
columns that have come since. Returns the view.';
