-- What decisions keep of dimension tables: the user's name, the product's category, the campaign's owner. Looked up when a
-- conversion is decided and kept with the decision, as columns carried from a touchpoint are: so it stays readable what was
-- said when, and a correction of the dimension restates the decision where it is decided again, with history.

CREATE TABLE attribution.enrichment (
  rule text NOT NULL,
  version integer NOT NULL,
  enrichment text NOT NULL CHECK (enrichment <> ''),
  dimension regclass NOT NULL,
  match name[] NOT NULL,
  conversion_match name[],
  touch_match name[],
  columns name[] NOT NULL,
  names name[] NOT NULL,
  valid_from name,
  valid_to name,
  valid_during name,
  PRIMARY KEY (rule, version, enrichment),
  FOREIGN KEY (rule, version) REFERENCES attribution.rule_version ON DELETE CASCADE,
  CONSTRAINT one_side CHECK ((conversion_match IS NULL) <> (touch_match IS NULL)),
  CONSTRAINT match_pairs CHECK (cardinality(match) = cardinality(coalesce(conversion_match, touch_match))),
  CONSTRAINT names_pair CHECK (cardinality(columns) = cardinality(names)),
  CONSTRAINT one_validity CHECK (valid_during IS NULL OR valid_from IS NULL AND valid_to IS NULL)
);
COMMENT ON TABLE attribution.enrichment IS 'Columns of dimension tables that decisions keep, by version of the rule.';
COMMENT ON COLUMN attribution.enrichment.match IS 'Columns of the dimension that must equal those of the conversion, or those that the rule carries from the touchpoint.';
COMMENT ON COLUMN attribution.enrichment.names IS 'What decisions call the columns.';
COMMENT ON COLUMN attribution.enrichment.valid_from IS 'Column of the dimension: since when a row holds; null there: ever since.';
COMMENT ON COLUMN attribution.enrichment.valid_to IS 'Column of the dimension: from when on a row holds no more; null there: it still does.';
COMMENT ON COLUMN attribution.enrichment.valid_during IS 'Column of the dimension: the range of times in which a row holds.';
SELECT pg_catalog.pg_extension_config_dump('attribution.enrichment', '');
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON attribution.enrichment
  FOR EACH ROW EXECUTE FUNCTION attribution._guard_rule();
CREATE TRIGGER altered AFTER INSERT OR UPDATE OR DELETE ON attribution.enrichment
  FOR EACH ROW EXECUTE FUNCTION attribution._rule_altered();
ALTER TABLE attribution.enrichment ENABLE ALWAYS TRIGGER altered;

CREATE FUNCTION attribution._check_enrichment(e attribution.enrichment) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  reserved CONSTANT name[] := '{conversion_id,conversion_time,credit_position,decided_at,tier,touch_id,touch_time,credit,'
    'outcome,kind,lookback,value,rule_version,run,superseded_at,superseded_by,'
    'path_length,path_first,path_first_time,path_last,path_last_time,path_channels}';
  taken name;
BEGIN
  IF cardinality(e.match) = 0 OR cardinality(e.match) <> cardinality(coalesce(e.conversion_match, e.touch_match)) THEN
    RAISE EXCEPTION 'match of enrichment "%" and the columns that it is to equal must be as many, and at least one', e.enrichment
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s and %s.', cardinality(e.match),
        cardinality(coalesce(e.conversion_match, e.touch_match)));
  END IF;
  IF cardinality(e.columns) = 0 OR cardinality(e.columns) <> cardinality(e.names) THEN
    RAISE EXCEPTION 'columns and names of enrichment "%" must be as many, and at least one', e.enrichment
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s and %s.', cardinality(e.columns), cardinality(e.names));
  END IF;
  IF array_position(e.match || e.columns || e.names || coalesce(e.conversion_match, e.touch_match), NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'enrichment "%" must not name null', e.enrichment USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF e.valid_during IS NOT NULL AND coalesce(e.valid_from, e.valid_to) IS NOT NULL THEN
    RAISE EXCEPTION 'enrichment "%" names both a range and its ends', e.enrichment USING ERRCODE = 'invalid_parameter_value',
      HINT = 'Give valid_during, or valid_from and valid_to.';
  END IF;
  SELECT n.name INTO taken
    FROM (SELECT unnest(e.names) AS name
          UNION ALL
          SELECT unnest(o.names) FROM attribution.enrichment AS o WHERE o.rule = e.rule AND o.version = e.version AND o.enrichment <> e.enrichment
          UNION ALL
          SELECT unnest(v.carry) FROM attribution.rule_version AS v WHERE v.rule = e.rule AND v.version = e.version
          UNION ALL
          SELECT unnest(reserved)) AS n
    GROUP BY n.name HAVING count(*) > 1 AND n.name = ANY (e.names) ORDER BY n.name LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'decisions of rule "%" have a column "%" already', e.rule, taken USING ERRCODE = 'duplicate_column',
      HINT = 'Let enrichment call it otherwise: names => ''{...}'', one for each of columns.';
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._check_enrichment(attribution.enrichment) IS 'Raises an error for what makes no enrichment.';

CREATE FUNCTION attribution.set_enrichment(rule text, enrichment text, dimension regclass, match name[], columns name[],
  conversion_match name[] DEFAULT NULL, touch_match name[] DEFAULT NULL, names name[] DEFAULT NULL,
  valid_from name DEFAULT NULL, valid_to name DEFAULT NULL, valid_during name DEFAULT NULL)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  draft integer := attribution._draft(rule);
  made attribution.enrichment;
BEGIN
  IF enrichment IS NULL OR enrichment = '' THEN
    RAISE EXCEPTION 'an enrichment needs a name' USING ERRCODE = 'invalid_name';
  END IF;
  IF dimension IS NULL OR match IS NULL OR columns IS NULL THEN
    RAISE EXCEPTION 'dimension, match and columns must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF conversion_match IS NOT NULL AND touch_match IS NOT NULL THEN
    RAISE EXCEPTION 'enrichment "%" must match on the conversion or on the touchpoint', enrichment USING ERRCODE = 'invalid_parameter_value',
      HINT = 'Give conversion_match or touch_match; by default the conversion has columns of the dimension''s names.';
  END IF;
  made := ROW(rule, draft, enrichment, dimension, match, CASE WHEN touch_match IS NULL THEN coalesce(conversion_match, match) END,
    touch_match, columns, coalesce(names, columns), nullif(valid_from, ''), nullif(valid_to, ''), nullif(valid_during, ''));
  PERFORM attribution._check_enrichment(made);
  DELETE FROM attribution.enrichment AS old
    WHERE old.rule = set_enrichment.rule AND old.version = draft AND old.enrichment = set_enrichment.enrichment;
  INSERT INTO attribution.enrichment VALUES (made.*);
  PERFORM attribution._settle(rule, draft);
  IF NOT attribution._is_served(dimension, match) THEN
    RAISE WARNING 'no index serves enrichment "%"', enrichment
      USING DETAIL = format('Every batch of conversions would read all of %s.', dimension),
        HINT = format('CREATE INDEX ON %s (%s);', dimension,
          (SELECT string_agg(quote_ident(m), ', ' ORDER BY k) FROM unnest(match || valid_from) WITH ORDINALITY AS u(m, k) WHERE m <> ''));
  END IF;
  RETURN draft;
END
$$;
COMMENT ON FUNCTION attribution.set_enrichment(text, text, regclass, name[], name[], name[], name[], name[], name, name, name) IS
'Has decisions of a rule keep columns of a dimension table, called names: those of the row whose match columns equal the
conversion''s conversion_match (by default of the same names), or what the rule carries from the touchpoint, touch_match.
valid_from, valid_to or valid_during: columns that say when a row holds, from included, to excluded; then it is the row that held
at the conversion''s time, else the one that is there when it is decided. No row: NULL. Of several the one that began last, then
the one that ends first, then the least by its text. Goes into the draft, in the place of one of that name; activate() puts it in
force, and reattribute() looks up again what is decided. Returns the draft''s version.';

CREATE FUNCTION attribution.drop_enrichment(rule text, enrichment text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  draft integer := attribution._draft(rule);
BEGIN
  DELETE FROM attribution.enrichment AS e
    WHERE e.rule = drop_enrichment.rule AND e.version = draft AND e.enrichment = drop_enrichment.enrichment;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'rule "%" has no enrichment "%"', rule, enrichment USING ERRCODE = 'undefined_object',
      HINT = 'attribution.enrichments lists those there are.';
  END IF;
  PERFORM attribution._settle(rule, draft);
  RETURN draft;
END
$$;
COMMENT ON FUNCTION attribution.drop_enrichment(text, text) IS
'Drops an enrichment from the rule''s draft; what decisions have of it, they keep. Returns the draft''s version.';

CREATE VIEW attribution.enrichments AS
  SELECT e.rule, e.version, r.state, e.enrichment, e.dimension, e.match, e.conversion_match, e.touch_match, e.columns, e.names,
    e.valid_from, e.valid_to, e.valid_during
  FROM attribution.enrichment AS e JOIN attribution.rules AS r USING (rule, version);
COMMENT ON VIEW attribution.enrichments IS 'The enrichments of every version of every rule.';
