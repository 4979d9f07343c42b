-- Making and changing rules. Every function runs as its caller; the guards on the tables decide who may.

-- The library checks a version of a rule as its owner: relations, columns, types, expressions, privileges.
CREATE TYPE attribution._shape AS (
  conversion_id text, touch_id text,                -- types
  conversion_id_column text, touch_id_column text,  -- types with their collations, as are the next two
  carried text[],                                   -- of the carried columns; '' where no tier has one
  keys text[],                                      -- of the installation key
  used text[],                                      -- columns of a conversion that decisions depend on
  filter_columns text[],                            -- those that the filter names
  filter_is_immutable boolean,
  header_names text[], header_types text[],         -- what path_summary and enrichment add to headers: names, and types with collations
  credit_names text[], credit_types text[]          -- and to credits
);
COMMENT ON TYPE attribution._shape IS 'What the tables, functions and trigger of a rule need to know of a version.';
CREATE FUNCTION attribution._check(rule text, overrides jsonb) RETURNS SETOF attribution._shape
LANGUAGE c STABLE ROWS 1 AS 'MODULE_PATHNAME', 'attribution_check';
COMMENT ON FUNCTION attribution._check(text, jsonb) IS 'Raises what is wrong with a version of a rule; returns what is made for it by.';

CREATE FUNCTION attribution._draft(of_rule text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  active integer;
  newest integer;
BEGIN
  PERFORM attribution._lock_rule(of_rule);
  SELECT r.active_version INTO STRICT active FROM attribution.rule AS r WHERE r.rule = of_rule;
  SELECT max(v.version) INTO STRICT newest FROM attribution.rule_version AS v WHERE v.rule = of_rule;
  IF newest IS DISTINCT FROM active THEN
    RETURN newest;
  END IF;
  INSERT INTO attribution.rule_version
    SELECT v.rule, newest + 1, v.conversions, v.id_column, v.time_column, v.filter, v.path, v.model, v.empty, now(),
      v.value_column, v.carry, v.installation_key, v.reattribution_window, v.allowed_lateness, v.settlement, v.channel, v.path_summary
    FROM attribution.rule_version AS v WHERE v.rule = of_rule AND v.version = newest;
  INSERT INTO attribution.tier
    SELECT t.rule, newest + 1, t.tier, t.strength, t.touchpoints, t.id_column, t.time_column, t.match, t.conversion_match,
      t.conflict, t.conversion_conflict, t.filter, t.predicate, t.lookback, t.lookback_column, t.skew, t.strict
    FROM attribution.tier AS t WHERE t.rule = of_rule AND t.version = newest;
  INSERT INTO attribution.enrichment
    SELECT e.rule, newest + 1, e.enrichment, e.dimension, e.match, e.conversion_match, e.touch_match, e.columns, e.names,
      e.valid_from, e.valid_to, e.valid_during
    FROM attribution.enrichment AS e WHERE e.rule = of_rule AND e.version = newest;
  RETURN newest + 1;
END
$$;
COMMENT ON FUNCTION attribution._draft(text) IS 'The version of a rule that may be changed: the newest, or a copy of it if that is active. Locks the rule.';

CREATE FUNCTION attribution._functions_of(of_rule text) RETURNS SETOF regprocedure
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.oid::regprocedure
  FROM attribution.rule AS r JOIN pg_proc AS p ON p.proowner = r.owner::oid
    AND p.proname = ANY (ARRAY[r.rule || '_attribute', r.rule || '_touchpoints', r.rule || '_explain',
                               r.rule || '_decisions_as_of', r.rule || '_enqueue']::name[])
  JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'x'
  JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid AND e.extname = 'attribution'
  WHERE r.rule = of_rule
$$;
COMMENT ON FUNCTION attribution._functions_of(text) IS 'The functions that were made for a rule, wherever they are now.';

CREATE FUNCTION attribution._settle(of_rule text, draft integer) RETURNS attribution._shape
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  shape attribution._shape;
BEGIN
  PERFORM attribution._check_enrichment(e) FROM attribution.enrichment AS e WHERE e.rule = of_rule AND e.version = draft;
  SELECT * INTO STRICT shape FROM attribution._check(of_rule, jsonb_build_object('version', draft));
  PERFORM attribution._make_functions(of_rule, draft, shape);
  PERFORM attribution._make_storage(of_rule, draft, shape);
  RETURN shape;
END
$$;
COMMENT ON FUNCTION attribution._settle(text, integer) IS 'Checks a draft and makes what goes with it: typed functions, and tables for its decisions.';

CREATE FUNCTION attribution._make_functions(of_rule text, draft integer, types attribution._shape) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  place name;
  rule_owner regrole;
  made text;
  signature text;
  definition text;
  result text;
  kept regprocedure[];
  old regprocedure;
BEGIN
  SELECT n.nspname, r.owner INTO STRICT place, rule_owner
    FROM attribution.rule AS r JOIN attribution.rule_version AS v ON v.rule = r.rule AND v.version = draft
    JOIN pg_class AS c ON c.oid = v.conversions JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE r.rule = of_rule;
  IF NOT has_schema_privilege(rule_owner::oid, place, 'CREATE') THEN
    RAISE EXCEPTION 'permission denied for schema %', quote_ident(place) USING ERRCODE = 'insufficient_privilege',
      DETAIL = format('The functions of rule "%s" are made beside its conversion table.', of_rule),
      HINT = format('GRANT CREATE ON SCHEMA %I TO %s;', place, rule_owner);
  END IF;
  FOREACH made IN ARRAY ARRAY['attribute', 'touchpoints', 'explain'] LOOP
    signature := format('%I.%I(%s)', place, of_rule || '_' || made,
      CASE made WHEN 'explain' THEN types.conversion_id || ', jsonb' ELSE 'timestamptz, timestamptz, jsonb' END);
    IF to_regprocedure(signature) IS NOT NULL
       AND to_regprocedure(signature)::regprocedure NOT IN (SELECT attribution._functions_of(of_rule)) THEN
      RAISE EXCEPTION 'function % exists already, and was not made for rule "%"', signature, of_rule
        USING ERRCODE = 'duplicate_function', HINT = 'Drop or rename the function, or give the rule another name.';
    END IF;
    result := CASE made
      WHEN 'attribute' THEN format('conversion_id %s, conversion_time timestamptz, outcome text, kind text, tier text, touch_id %s, '
        'touch_time timestamptz, credit_position integer, credit float8', types.conversion_id, types.touch_id)
      WHEN 'touchpoints' THEN format('conversion_id %s, conversion_time timestamptz, tier text, touch_position integer, '
        'path_length integer, touch_id %s, touch_time timestamptz, credit float8', types.conversion_id, types.touch_id)
      ELSE format('tier text, touch_id %s, touch_time timestamptz, reason text, verdict text, credit float8, found_by text',
        types.touch_id) END;
    -- No SET search_path, so that the function is inlined and its rows are not copied once more; all names are qualified.
    definition := format('CREATE OR REPLACE FUNCTION %I.%I(%s) RETURNS TABLE (%s) LANGUAGE sql STABLE AS %L',
      place, of_rule || '_' || made,
      CASE made WHEN 'explain' THEN format('conversion_id %s, overrides pg_catalog.jsonb DEFAULT ''{}''', types.conversion_id)
        ELSE 'since pg_catalog.timestamptz DEFAULT ''-infinity'', until pg_catalog.timestamptz DEFAULT ''infinity'', '
          'overrides pg_catalog.jsonb DEFAULT ''{}''' END,
      result,
      format('SELECT * FROM attribution.%I(%L, %s) AS made(%s)', '_' || made, of_rule,
        CASE made WHEN 'explain' THEN '$1, $2' ELSE '$1, $2, $3' END, result));
    BEGIN
      EXECUTE definition;
    EXCEPTION WHEN invalid_function_definition THEN
      -- A touch id of another type: the old function must go first. What depends on it stops that, rightly.
      EXECUTE 'DROP FUNCTION ' || signature;
      EXECUTE definition;
    END;
    EXECUTE format('COMMENT ON FUNCTION %s IS %L', signature,
      format('attribution.%s() for rule "%s", with ids of their own types.', made, of_rule));
    -- The function goes with the extension that it calls, without keeping anybody from dropping it.
    EXECUTE format('ALTER FUNCTION %s DEPENDS ON EXTENSION attribution', signature);
    IF rule_owner <> current_user::regrole THEN
      EXECUTE format('ALTER FUNCTION %s OWNER TO %s', signature, rule_owner);
    END IF;
    kept := kept || signature::regprocedure;
  END LOOP;
  -- Those of an earlier conversion id's type, or of an earlier schema of the table.
  FOR old IN
    SELECT f FROM attribution._functions_of(of_rule) AS f JOIN pg_proc AS p ON p.oid = f
     WHERE f <> ALL (kept) AND p.proname NOT IN (of_rule || '_decisions_as_of', of_rule || '_enqueue')
  LOOP
    EXECUTE format('DROP FUNCTION %s', old);
  END LOOP;
END
$$;
COMMENT ON FUNCTION attribution._make_functions(text, integer, attribution._shape) IS 'Makes the typed functions of a rule.';

CREATE FUNCTION attribution._is_served(relation regclass, match name[]) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.relkind NOT IN ('r', 'p', 'm') OR EXISTS (
    SELECT FROM pg_index AS i
    -- A touch index may leave out rows without a key: the only condition that gathering takes.
    WHERE i.indrelid = relation AND i.indisvalid AND (i.indpred IS NULL
        OR (SELECT amname FROM pg_class AS x JOIN pg_am ON pg_am.oid = x.relam WHERE x.oid = i.indexrelid) = 'touch')
      AND (SELECT array_agg(a.attname ORDER BY a.attname)
           FROM generate_series(0, cardinality(match) - 1) AS k
           JOIN pg_attribute AS a ON a.attrelid = relation AND a.attnum = i.indkey[k])
        = (SELECT array_agg(DISTINCT m ORDER BY m) FROM unnest(match) AS m))
  FROM pg_class AS c WHERE c.oid = relation
$$;
COMMENT ON FUNCTION attribution._is_served(regclass, name[]) IS 'Whether an index of a table begins with some columns, or it can have none.';

CREATE FUNCTION attribution._warn_without_index(t attribution.tier) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT attribution._is_served(t.touchpoints, t.match) THEN
    RAISE WARNING 'no index serves tier "%"', t.tier
      USING DETAIL = format('Finding its touchpoints would read all of %s.', t.touchpoints),
        HINT = format('CREATE INDEX ON %s USING touch (%s, %I);', t.touchpoints,
          (SELECT string_agg(quote_ident(m), ', ' ORDER BY k) FROM unnest(t.match) WITH ORDINALITY AS u(m, k)),
          t.time_column);
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._warn_without_index(attribution.tier) IS 'Warns if no index begins with the match columns of a tier.';

CREATE FUNCTION attribution.create_rule(rule text, conversions regclass, id_column name, time_column name,
  filter text DEFAULT NULL, path text DEFAULT 'first_match', model text DEFAULT 'last_touch',
  empty text[] DEFAULT '{"",00000000-0000-0000-0000-000000000000}', value_column name DEFAULT NULL,
  carry name[] DEFAULT '{}', installation_key text[] DEFAULT '{}', reattribution_window interval DEFAULT '90 days',
  allowed_lateness interval DEFAULT '24 hours', settlement interval DEFAULT '0', decisions text DEFAULT NULL,
  credits text DEFAULT NULL, channel text DEFAULT NULL, path_summary boolean DEFAULT false)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF rule IS NULL OR rule = '' OR octet_length(rule) > 37 THEN
    RAISE EXCEPTION 'a rule needs a name of 1 to 37 bytes' USING ERRCODE = 'invalid_name',
      DETAIL = 'It begins the names of the functions and tables that are made for the rule.';
  END IF;
  IF conversions IS NULL OR id_column IS NULL OR time_column IS NULL THEN
    RAISE EXCEPTION 'conversions, id_column and time_column must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  PERFORM attribution._check_rule(path, model, empty);
  PERFORM attribution._check_storing(carry, installation_key, reattribution_window, allowed_lateness, settlement);
  INSERT INTO attribution.rule VALUES (rule, current_user::regrole, NULL) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'rule "%" already exists', rule USING ERRCODE = 'duplicate_object',
      HINT = 'Change it by attribution.alter_rule(), or drop it by attribution.drop_rule().';
  END IF;
  INSERT INTO attribution.rule_version
    VALUES (rule, 1, conversions, id_column, time_column, nullif(filter, ''), path, model, coalesce(empty, '{}'), now(),
      nullif(value_column, ''), coalesce(carry, '{}'), coalesce(installation_key, '{}'), reattribution_window,
      allowed_lateness, settlement, nullif(channel, ''), coalesce(path_summary, false));
  PERFORM attribution._name_storage(rule, conversions, decisions, credits);
  PERFORM attribution._settle(rule, 1);
  RETURN 1;
END
$$;
COMMENT ON FUNCTION attribution.create_rule(text, regclass, name, name, text, text, text, text[], name, name[], text[], interval, interval, interval, text, text, text, boolean) IS
'Makes a rule over a table of conversions; add tiers to it next. It belongs to you and runs with your rights.
filter: SQL condition on the table''s columns; path: first_match or all; model: first_touch,
last_touch, last_non_direct, linear, linear_distinct, position_based(0.4, 0.4), time_decay(7 days), w_shaped(channel, 0.3, 0.3,
0.3), or weighted(function), of (integer, integer, interval): the place of a touchpoint, their number, its age. channel: SQL
expression on touch.column, by default the name of the tier;
empty: values, by their text, that are no key. value_column: what a conversion is worth. carry: columns of the touch
tables that decisions keep, such as network. installation_key: SQL expressions on a conversion; of those with one key the
first is new, and so is one more than reattribution_window after the last new one; the others are reinstalls.
allowed_lateness: how long after its arrival a conversion is decided again; settlement: how long it waits for its first
decision. decisions, credits: names for the tables that keep decisions, by default <rule>_decisions and <rule>_credits
beside the conversion table. path_summary: decisions keep the length of the path, its first and last touchpoint and its
channels, which takes reading all of it where the model needs one touchpoint. Returns the version, 1. Makes <rule>_attribute(), <rule>_touchpoints() and <rule>_explain()
in the table''s schema.';

CREATE FUNCTION attribution._put_tier(t attribution.tier) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM attribution._check_duration(format('lookback of tier "%s"', t.tier), t.lookback);
  PERFORM attribution._check_duration(format('skew of tier "%s"', t.tier), t.skew);
  IF t."strict" AND t.skew > '0' THEN
    RAISE EXCEPTION 'tier "%" can not be strict and tolerate skew', t.tier USING ERRCODE = 'invalid_parameter_value',
      DETAIL = 'strict wants a touchpoint before the conversion; skew lets it be after.';
  END IF;
  IF cardinality(t.match) = 0 OR array_position(t.match || t.conversion_match, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'match of tier "%" must name at least one column, and no null', t.tier
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF cardinality(t.match) <> cardinality(t.conversion_match) THEN
    RAISE EXCEPTION 'match and conversion_match of tier "%" must name as many columns', t.tier
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They name %s and %s.', cardinality(t.match),
        cardinality(t.conversion_match));
  END IF;
  IF cardinality(t.conflict) <> cardinality(t.conversion_conflict)
     OR array_position(t.conflict || t.conversion_conflict, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'conflict and conversion_conflict of tier "%" must name as many columns, and no null', t.tier
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  DELETE FROM attribution.tier AS old WHERE old.rule = t.rule AND old.version = t.version AND old.tier = t.tier;
  INSERT INTO attribution.tier VALUES (t.*);
  PERFORM attribution._settle(t.rule, t.version);
  PERFORM attribution._warn_without_index(t);
END
$$;
COMMENT ON FUNCTION attribution._put_tier(attribution.tier) IS 'Checks a tier of a draft and puts it there, in place of one of its name.';

CREATE FUNCTION attribution._place(of_rule text, of_version integer, of_tier text, before text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  place integer;
BEGIN
  IF before IS NULL THEN
    RETURN (SELECT coalesce(max(t.strength), 0) + 1 FROM attribution.tier AS t
            WHERE t.rule = of_rule AND t.version = of_version);
  END IF;
  SELECT t.strength INTO place FROM attribution.tier AS t
    WHERE t.rule = of_rule AND t.version = of_version AND t.tier = before AND t.tier <> of_tier;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'rule "%" has no tier "%" to go before', of_rule, before USING ERRCODE = 'undefined_object',
      HINT = 'attribution.tiers lists the tiers there are.';
  END IF;
  UPDATE attribution.tier AS t SET strength = t.strength + 1
    WHERE t.rule = of_rule AND t.version = of_version AND t.strength >= place;
  RETURN place;
END
$$;
COMMENT ON FUNCTION attribution._place(text, integer, text, text) IS 'Makes room for a tier before another, or at the end; returns its strength.';

CREATE FUNCTION attribution.add_tier(rule text, tier text, touchpoints regclass, match name[], lookback interval,
  conversion_match name[] DEFAULT NULL, conflict name[] DEFAULT NULL, conversion_conflict name[] DEFAULT NULL,
  id_column name DEFAULT NULL, time_column name DEFAULT NULL, filter text DEFAULT NULL, predicate text DEFAULT NULL,
  lookback_column name DEFAULT NULL, skew interval DEFAULT '0', strict boolean DEFAULT false, before text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  draft integer := attribution._draft(rule);
  made attribution.tier;
BEGIN
  IF tier IS NULL OR tier = '' THEN
    RAISE EXCEPTION 'a tier needs a name' USING ERRCODE = 'invalid_name';
  END IF;
  IF touchpoints IS NULL OR match IS NULL THEN
    RAISE EXCEPTION 'touchpoints and match must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF EXISTS (SELECT FROM attribution.tier AS t WHERE t.rule = add_tier.rule AND t.version = draft AND t.tier = add_tier.tier) THEN
    RAISE EXCEPTION 'rule "%" already has a tier "%"', rule, tier USING ERRCODE = 'duplicate_object',
      HINT = 'Change it by attribution.alter_tier(), or drop it by attribution.drop_tier().';
  END IF;
  SELECT v.rule, v.version, add_tier.tier, attribution._place(v.rule, v.version, add_tier.tier, before), touchpoints,
      coalesce(add_tier.id_column, v.id_column), coalesce(add_tier.time_column, v.time_column),
      match, coalesce(conversion_match, match), coalesce(conflict, '{}'), coalesce(conversion_conflict, conflict, '{}'),
      nullif(add_tier.filter, ''), nullif(predicate, ''), lookback, nullif(lookback_column, ''), coalesce(skew, '0'),
      coalesce("strict", false)
    INTO STRICT made
    FROM attribution.rule_version AS v WHERE v.rule = add_tier.rule AND v.version = draft;
  PERFORM attribution._put_tier(made);
END
$$;
COMMENT ON FUNCTION attribution.add_tier(text, text, regclass, name[], interval, name[], name[], name[], name, name, text, text, name, interval, boolean, text) IS
'Adds a way to match to a rule: touchpoints whose match columns equal the conversion''s (conversion_match: their names
there), at most lookback before it. conflict: columns that must not differ while both are non-empty. id_column and
time_column default to the rule''s. filter: SQL condition on the touchpoint''s columns; predicate: one on touch.column and
conversion.column. lookback_column: an interval of the touchpoint''s own, capped by lookback. skew: how long after the
conversion it may be. strict: it must be before it. before: the tier it goes before; by default it comes last.';

CREATE FUNCTION attribution.alter_rule(rule text, filter text DEFAULT NULL, path text DEFAULT NULL,
  model text DEFAULT NULL, empty text[] DEFAULT NULL, value_column name DEFAULT NULL, carry name[] DEFAULT NULL,
  installation_key text[] DEFAULT NULL, reattribution_window interval DEFAULT NULL,
  allowed_lateness interval DEFAULT NULL, settlement interval DEFAULT NULL, channel text DEFAULT NULL,
  path_summary boolean DEFAULT NULL)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  draft integer := attribution._draft(rule);
BEGIN
  PERFORM attribution._check_rule(coalesce(path, 'all'), coalesce(model, 'last_touch'), empty);
  PERFORM attribution._check_storing(carry, installation_key, coalesce(reattribution_window, '0'),
                                     coalesce(allowed_lateness, '0'), coalesce(settlement, '0'));
  UPDATE attribution.rule_version AS v SET
    filter = nullif(coalesce(alter_rule.filter, v.filter), ''),
    path = coalesce(alter_rule.path, v.path),
    model = coalesce(alter_rule.model, v.model),
    empty = coalesce(alter_rule.empty, v.empty),
    value_column = nullif(coalesce(alter_rule.value_column, v.value_column), ''),
    carry = coalesce(alter_rule.carry, v.carry),
    installation_key = coalesce(alter_rule.installation_key, v.installation_key),
    reattribution_window = coalesce(alter_rule.reattribution_window, v.reattribution_window),
    allowed_lateness = coalesce(alter_rule.allowed_lateness, v.allowed_lateness),
    settlement = coalesce(alter_rule.settlement, v.settlement),
    channel = nullif(coalesce(alter_rule.channel, v.channel), ''),
    path_summary = coalesce(alter_rule.path_summary, v.path_summary)
  WHERE v.rule = alter_rule.rule AND v.version = draft;
  PERFORM attribution._settle(rule, draft);
  RETURN draft;
END
$$;
COMMENT ON FUNCTION attribution.alter_rule(text, text, text, text, text[], name, name[], text[], interval, interval, interval, text, boolean) IS
'Changes settings of a rule in its draft; null keeps a setting, '''' or ''{}'' clears it. Returns the draft''s version;
activate() puts it in force, and reattribute() applies it to what is decided.';

CREATE FUNCTION attribution.alter_tier(rule text, tier text, match name[] DEFAULT NULL, lookback interval DEFAULT NULL,
  conversion_match name[] DEFAULT NULL, conflict name[] DEFAULT NULL, conversion_conflict name[] DEFAULT NULL,
  id_column name DEFAULT NULL, time_column name DEFAULT NULL, filter text DEFAULT NULL, predicate text DEFAULT NULL,
  lookback_column name DEFAULT NULL, skew interval DEFAULT NULL, strict boolean DEFAULT NULL, before text DEFAULT NULL)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  draft integer := attribution._draft(rule);
  changed attribution.tier;
BEGIN
  SELECT t.rule, t.version, t.tier,
      CASE WHEN before IS NULL THEN t.strength ELSE attribution._place(t.rule, t.version, t.tier, before) END,
      t.touchpoints, coalesce(alter_tier.id_column, t.id_column), coalesce(alter_tier.time_column, t.time_column),
      coalesce(alter_tier.match, t.match), coalesce(alter_tier.conversion_match, alter_tier.match, t.conversion_match),
      coalesce(alter_tier.conflict, t.conflict),
      coalesce(alter_tier.conversion_conflict, alter_tier.conflict, t.conversion_conflict),
      nullif(coalesce(alter_tier.filter, t.filter), ''), nullif(coalesce(alter_tier.predicate, t.predicate), ''),
      coalesce(alter_tier.lookback, t.lookback), nullif(coalesce(alter_tier.lookback_column, t.lookback_column), ''),
      coalesce(alter_tier.skew, t.skew), coalesce(alter_tier."strict", t."strict")
    INTO changed
    FROM attribution.tier AS t WHERE t.rule = alter_tier.rule AND t.version = draft AND t.tier = alter_tier.tier;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'rule "%" has no tier "%"', rule, tier USING ERRCODE = 'undefined_object',
      HINT = 'attribution.tiers lists the tiers there are.';
  END IF;
  PERFORM attribution._put_tier(changed);
  RETURN draft;
END
$$;
COMMENT ON FUNCTION attribution.alter_tier(text, text, name[], interval, name[], name[], name[], name, name, text, text, name, interval, boolean, text) IS
'Changes settings of a tier in the rule''s draft; null keeps a setting, '''' clears a text. Returns the draft''s version.';

CREATE FUNCTION attribution.drop_tier(rule text, tier text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  draft integer := attribution._draft(rule);
BEGIN
  DELETE FROM attribution.tier AS t WHERE t.rule = drop_tier.rule AND t.version = draft AND t.tier = drop_tier.tier;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'rule "%" has no tier "%"', rule, tier USING ERRCODE = 'undefined_object',
      HINT = 'attribution.tiers lists the tiers there are.';
  END IF;
  PERFORM attribution._settle(rule, draft);
  RETURN draft;
END
$$;
COMMENT ON FUNCTION attribution.drop_tier(text, text) IS 'Drops a tier from the rule''s draft. Returns the draft''s version.';

CREATE FUNCTION attribution.activate(rule text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  newest integer;
  shape attribution._shape;
BEGIN
  PERFORM attribution._lock_rule(rule);
  SELECT max(v.version) INTO STRICT newest FROM attribution.rule_version AS v WHERE v.rule = activate.rule;
  IF NOT EXISTS (SELECT FROM attribution.tier AS t WHERE t.rule = activate.rule AND t.version = newest) THEN
    RAISE EXCEPTION 'rule "%" has no tiers', rule USING ERRCODE = 'object_not_in_prerequisite_state',
      HINT = 'Add one by attribution.add_tier().';
  END IF;
  shape := attribution._settle(rule, newest);
  PERFORM attribution._start_storing(rule, newest, shape);
  UPDATE attribution.rule AS r SET active_version = newest
    WHERE r.rule = activate.rule AND r.active_version IS DISTINCT FROM newest;
  RETURN newest;
END
$$;
COMMENT ON FUNCTION attribution.activate(text) IS
'Puts the newest version of a rule in force, and queues conversions from now on: a trigger on their table does, which only
the table''s owner can make; it waits for writers. The next attribution.run() queues those that are there already. What is
decided stays as it is until attribution.reattribute(). Returns the version.';

CREATE FUNCTION attribution.set_owner(rule text, owner regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  made regprocedure[];
  signature regprocedure;
  kept regclass;
BEGIN
  PERFORM attribution._lock_rule(rule);
  made := ARRAY(SELECT attribution._functions_of(rule));
  UPDATE attribution.rule AS r SET owner = set_owner.owner WHERE r.rule = set_owner.rule;
  FOREACH signature IN ARRAY made LOOP
    EXECUTE format('ALTER FUNCTION %s OWNER TO %s', signature, owner);
  END LOOP;
  FOR kept IN SELECT attribution._tables_of(rule) LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO %s', kept, owner);
  END LOOP;
  PERFORM attribution._settle(rule, (SELECT max(v.version) FROM attribution.rule_version AS v WHERE v.rule = set_owner.rule));
END
$$;
COMMENT ON FUNCTION attribution.set_owner(text, regrole) IS
'Makes a rule run as another role, whose privileges you must have, and whose privileges the rule''s relations must allow.
Its functions and the tables of its decisions go along. REASSIGN OWNED knows nothing of rules: call this before it.';

CREATE FUNCTION attribution.drop_rule(rule text, keep_decisions boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  made regprocedure[];
  signature regprocedure;
BEGIN
  PERFORM attribution._lock_rule(rule);
  PERFORM attribution._require_owner(rule);
  made := ARRAY(SELECT attribution._functions_of(rule));
  PERFORM attribution._stop_storing(rule, keep_decisions);
  PERFORM attribution._unschedule(rule);
  -- Bottom up: a guard looks up the owner of what goes.
  DELETE FROM attribution.enrichment AS e WHERE e.rule = drop_rule.rule;
  DELETE FROM attribution.tier AS t WHERE t.rule = drop_rule.rule;
  DELETE FROM attribution.rule_version AS v WHERE v.rule = drop_rule.rule;
  DELETE FROM attribution.rule AS r WHERE r.rule = drop_rule.rule;
  FOREACH signature IN ARRAY made LOOP
    EXECUTE format('DROP FUNCTION %s', signature);
  END LOOP;
END
$$;
COMMENT ON FUNCTION attribution.drop_rule(text, boolean) IS
'Drops a rule: its versions, functions, trigger and queue, and what you have scheduled for it. The tables it reads stay, and
so do its decisions, if there are any and unless keep_decisions is false.';

CREATE VIEW attribution.rules AS
  SELECT r.rule, r.owner, v.version,
    CASE WHEN v.version = r.active_version THEN 'active'
         WHEN v.version > coalesce(r.active_version, 0) THEN 'draft' ELSE 'past' END AS state,
    v.conversions, v.id_column, v.time_column, v.filter, v.path, v.model, v.empty, v.created_at, v.value_column,
    v.carry, v.installation_key, v.reattribution_window, v.allowed_lateness, v.settlement, r.enabled, v.channel, v.path_summary
  FROM attribution.rule AS r JOIN attribution.rule_version AS v USING (rule);
COMMENT ON VIEW attribution.rules IS 'Rules and their versions: active, draft or past.';

CREATE VIEW attribution.tiers AS
  SELECT t.rule, t.version, r.state, t.strength, t.tier, t.touchpoints, t.match, t.conversion_match, t.lookback,
    t.conflict, t.conversion_conflict, t.filter, t.predicate, t.lookback_column, t.skew, t.strict, t.id_column, t.time_column
  FROM attribution.tier AS t JOIN attribution.rules AS r USING (rule, version);
COMMENT ON VIEW attribution.tiers IS 'The tiers of every version of every rule; strength 1 is the strongest.';
