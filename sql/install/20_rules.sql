-- Rules: what is attributed to what. A rule belongs to a role and runs with its rights; its versions hold what it says.

CREATE TABLE attribution.rule (
  rule text PRIMARY KEY CHECK (rule <> ''),
  owner regrole NOT NULL,
  active_version integer,
  enabled boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE attribution.rule IS 'One row a rule. Change it through attribution.create_rule() and its kin.';
COMMENT ON COLUMN attribution.rule.owner IS 'The role that the rule runs as.';
COMMENT ON COLUMN attribution.rule.active_version IS 'The version that reads use; null until the rule is activated.';
COMMENT ON COLUMN attribution.rule.enabled IS 'Whether the worker runs it.';

CREATE TABLE attribution.rule_version (
  rule text NOT NULL REFERENCES attribution.rule ON DELETE CASCADE,
  version integer NOT NULL CHECK (version > 0),
  conversions regclass NOT NULL,
  id_column name NOT NULL,
  time_column name NOT NULL,
  filter text,
  path text NOT NULL,
  model text NOT NULL,
  empty text[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  value_column name,
  carry name[] NOT NULL DEFAULT '{}',
  installation_key text[] NOT NULL DEFAULT '{}',
  reattribution_window interval NOT NULL DEFAULT '90 days',
  allowed_lateness interval NOT NULL DEFAULT '24 hours',
  settlement interval NOT NULL DEFAULT '0',
  channel text,
  path_summary boolean NOT NULL DEFAULT false,
  PRIMARY KEY (rule, version),
  CONSTRAINT path_is_known CHECK (path IN ('first_match', 'all')),
  CONSTRAINT empty_has_no_null CHECK (pg_catalog.array_position(empty, NULL) IS NULL)
);
COMMENT ON TABLE attribution.rule_version IS 'What a rule says, version by version. The newest is the draft until it is activated.';
COMMENT ON COLUMN attribution.rule_version.filter IS 'SQL condition: the rows of the conversion table that are conversions; null for all.';
COMMENT ON COLUMN attribution.rule_version.empty IS 'Values, by their text, that are no key: such as the all-zero advertising id.';
COMMENT ON COLUMN attribution.rule_version.value_column IS 'Column of the conversion table that says what a conversion is worth; null for none.';
COMMENT ON COLUMN attribution.rule_version.carry IS 'Columns of the touch tables that are copied into decisions.';
COMMENT ON COLUMN attribution.rule_version.installation_key IS 'SQL expressions on a conversion that say what is installed where; empty: nothing is told apart as new or reinstall.';
COMMENT ON COLUMN attribution.rule_version.reattribution_window IS 'A conversion of a key is new again when it is more than this after the last new one.';
COMMENT ON COLUMN attribution.rule_version.allowed_lateness IS 'How long after its arrival a conversion is decided again, for touchpoints that come late.';
COMMENT ON COLUMN attribution.rule_version.channel IS 'SQL expression over touch: the channel of a touchpoint, for models that tell channels apart; null: its tier.';
COMMENT ON COLUMN attribution.rule_version.path_summary IS 'Whether decisions keep what the path was: its length, ends and channels.';
COMMENT ON COLUMN attribution.rule_version.settlement IS 'How long after its arrival a conversion waits for its first decision.';

CREATE TABLE attribution.tier (
  rule text NOT NULL,
  version integer NOT NULL,
  tier text NOT NULL CHECK (tier <> ''),
  strength integer NOT NULL,
  touchpoints regclass NOT NULL,
  id_column name NOT NULL,
  time_column name NOT NULL,
  match name[] NOT NULL,
  conversion_match name[] NOT NULL,
  conflict name[] NOT NULL,
  conversion_conflict name[] NOT NULL,
  filter text,
  predicate text,
  lookback interval NOT NULL,
  lookback_column name,
  skew interval NOT NULL,
  strict boolean NOT NULL,
  PRIMARY KEY (rule, version, tier),
  FOREIGN KEY (rule, version) REFERENCES attribution.rule_version ON DELETE CASCADE,
  CONSTRAINT tier_strength_key UNIQUE (rule, version, strength) DEFERRABLE INITIALLY DEFERRED
);
COMMENT ON TABLE attribution.tier IS 'One way to match. A version''s tiers are tried by strength, 1 first.';
COMMENT ON COLUMN attribution.tier.lookback IS 'How long before the conversion a touchpoint still counts; both ends count; a day is 24 hours.';
COMMENT ON COLUMN attribution.tier.skew IS 'How long after the conversion a touchpoint may be, for clocks that differ.';

SELECT pg_catalog.pg_extension_config_dump('attribution.rule', '');
SELECT pg_catalog.pg_extension_config_dump('attribution.rule_version', '');
SELECT pg_catalog.pg_extension_config_dump('attribution.tier', '');

-- A rule runs as its owner, and its filters are SQL: whoever could write another role's rule could act as that role.
CREATE FUNCTION attribution._guard_rule() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  old_rule text;
  new_rule text;
  owners oid[];
BEGIN
  IF TG_OP <> 'INSERT' THEN old_rule := OLD.rule; END IF;
  IF TG_OP <> 'DELETE' THEN new_rule := NEW.rule; END IF;
  IF TG_TABLE_NAME = 'rule' THEN
    IF TG_OP <> 'INSERT' THEN owners := owners || OLD.owner::oid; END IF;
    IF TG_OP <> 'DELETE' THEN owners := owners || NEW.owner::oid; END IF;
  ELSE
    -- Locked until the end of the transaction, so that no other owner takes over what this one is still writing, and an
    -- older snapshot fails instead of seeing an earlier owner. Nothing may be added to a rule that is not there yet:
    -- somebody else could be about to make it.
    owners := ARRAY(SELECT r.owner::oid FROM attribution.rule AS r WHERE r.rule IN (old_rule, new_rule) FOR SHARE);
    IF TG_OP <> 'DELETE' AND NOT EXISTS (SELECT FROM attribution.rule AS r WHERE r.rule = new_rule) THEN
      RAISE EXCEPTION 'rule "%" does not exist', new_rule USING ERRCODE = 'undefined_object';
    END IF;
  END IF;
  IF EXISTS (SELECT FROM unnest(owners) AS owner WHERE NOT pg_has_role(owner, 'USAGE')) THEN
    RAISE EXCEPTION 'must be owner of rule "%"', coalesce(new_rule, old_rule)
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION attribution._guard_rule() IS 'Lets only those write a rule who have the privileges of its owner.';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON attribution.rule
  FOR EACH ROW EXECUTE FUNCTION attribution._guard_rule();
CREATE FUNCTION attribution._rule_altered() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'attribution_rule_altered';
COMMENT ON FUNCTION attribution._rule_altered() IS 'Has all sessions read anew what they know of rules, when this transaction commits.';
CREATE TRIGGER altered AFTER INSERT OR UPDATE OR DELETE ON attribution.rule
  FOR EACH ROW EXECUTE FUNCTION attribution._rule_altered();
ALTER TABLE attribution.rule ENABLE ALWAYS TRIGGER altered;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON attribution.rule_version
  FOR EACH ROW EXECUTE FUNCTION attribution._guard_rule();
CREATE TRIGGER altered AFTER INSERT OR UPDATE OR DELETE ON attribution.rule_version
  FOR EACH ROW EXECUTE FUNCTION attribution._rule_altered();
ALTER TABLE attribution.rule_version ENABLE ALWAYS TRIGGER altered;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON attribution.tier
  FOR EACH ROW EXECUTE FUNCTION attribution._guard_rule();
CREATE TRIGGER altered AFTER INSERT OR UPDATE OR DELETE ON attribution.tier
  FOR EACH ROW EXECUTE FUNCTION attribution._rule_altered();
ALTER TABLE attribution.tier ENABLE ALWAYS TRIGGER altered;

-- What one call works with: a version of a rule with the call's overrides. The engine reads it, and nothing else.
CREATE FUNCTION attribution._micros(duration interval) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT -- without SET, so that it is inlined: its names were looked up when it was made
RETURN (pg_catalog."extract"('epoch', duration) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8;
COMMENT ON FUNCTION attribution._micros(interval) IS 'An absolute duration in microseconds; a day is 86,400 s.';

CREATE FUNCTION attribution._check_duration(setting text, duration interval) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF "extract"('year', duration) <> 0 OR "extract"('month', duration) <> 0 THEN
    RAISE EXCEPTION '% must not be counted in months or years: %', setting, duration
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Windows are absolute: write days or hours, such as ''30 days''.';
  END IF;
  IF duration IS NULL OR NOT isfinite(duration) OR duration < '0' OR duration > '36500 days' THEN
    RAISE EXCEPTION '% must be between 0 and 36500 days: %', setting, coalesce(duration::text, 'null')
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._check_duration(text, interval) IS 'Raises an error for a duration that makes no window.';

CREATE FUNCTION attribution._lock_rule(of_rule text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM FROM attribution.rule AS r WHERE r.rule = of_rule FOR UPDATE;
  PERFORM attribution._require_rule(of_rule);
END
$$;
COMMENT ON FUNCTION attribution._lock_rule(text) IS 'Keeps others from changing a rule; raises an error for one that does not exist.';

CREATE FUNCTION attribution._require_rule(of_rule text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM attribution.rule AS r WHERE r.rule = of_rule) THEN
    RAISE EXCEPTION 'rule "%" does not exist', of_rule
      USING ERRCODE = 'undefined_object', HINT = 'attribution.rules lists the rules there are.';
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._require_rule(text) IS 'Raises an error for a rule that does not exist.';

CREATE FUNCTION attribution._require_owner(of_rule text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM attribution._require_rule(of_rule);
  IF EXISTS (SELECT FROM attribution.rule AS r WHERE r.rule = of_rule AND NOT pg_has_role(r.owner::oid, 'USAGE')) THEN
    RAISE EXCEPTION 'must be owner of rule "%"', of_rule USING ERRCODE = 'insufficient_privilege';
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._require_owner(text) IS 'Raises an error for a rule that is not there, or whose owner''s privileges the caller lacks.';

CREATE FUNCTION attribution._spec(of_rule text, overrides jsonb)
RETURNS TABLE (rule text, version integer, owner oid, conversions oid, id_column text, time_column text, filter text,
  path text, model text, channel text, empty text[], value_column text, carry text[], installation_key text[],
  reattribution_window bigint, allowed_lateness bigint, conversions_horizon timestamptz, decisions oid, credits oid,
  decisions_history oid, credits_history oid, pending oid, installations oid, refiltered boolean, path_summary boolean, tier text, touchpoints oid, touch_id_column text, touch_time_column text,
  match text[], conversion_match text[], conflict text[], conversion_conflict text[], touch_filter text,
  predicate text, lookback_column text, lookback bigint, skew bigint, strict boolean, horizon timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres AS $$
#variable_conflict use_column
DECLARE
  wanted attribution.rule%ROWTYPE;
  chosen attribution.rule_version%ROWTYPE;
  version_number integer;
  wanted_path text;
  wanted_model text;
  wanted_channel text;
  setting text;
  name text;
  value jsonb;
BEGIN
  PERFORM attribution._require_rule($1);
  SELECT * INTO STRICT wanted FROM attribution.rule AS r WHERE r.rule = $1;
  IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = wanted.owner::oid) THEN
    RAISE EXCEPTION 'the owner of rule "%" does not exist', $1 USING ERRCODE = 'undefined_object',
      HINT = 'A superuser can give it another: attribution.set_owner().';
  END IF;
  IF jsonb_typeof(overrides) <> 'object' THEN
    RAISE EXCEPTION 'overrides must be a JSON object' USING ERRCODE = 'invalid_parameter_value',
      HINT = 'For example {"lookback": {"click by device": "1 day"}, "model": "first_touch"}.';
  END IF;
  FOR setting, value IN SELECT * FROM jsonb_each(overrides) LOOP
    IF setting <> ALL (ARRAY['version', 'path', 'model', 'channel', 'lookback', 'without_tiers']) THEN
      RAISE EXCEPTION 'unknown override "%"', setting USING ERRCODE = 'invalid_parameter_value',
        HINT = 'The overrides are version, path, model, channel, lookback and without_tiers.';
    END IF;
    IF jsonb_typeof(value) <> (CASE setting WHEN 'version' THEN 'number' WHEN 'lookback' THEN 'object'
                                            WHEN 'without_tiers' THEN 'array' ELSE 'string' END) THEN
      RAISE EXCEPTION 'override "%" has a value of the wrong type: %', setting, value
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
  END LOOP;

  IF overrides ? 'version' AND (overrides ->> 'version') !~ '^[0-9]{1,9}$' THEN
    RAISE EXCEPTION 'override "version" must be the number of a version: %', overrides -> 'version'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  version_number := coalesce((overrides ->> 'version')::integer, wanted.active_version,
                             (SELECT max(v.version) FROM attribution.rule_version AS v WHERE v.rule = $1));
  SELECT * INTO chosen FROM attribution.rule_version AS v WHERE v.rule = $1 AND v.version = version_number;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'rule "%" has no version %', $1, version_number USING ERRCODE = 'undefined_object';
  END IF;
  wanted_path := coalesce(overrides ->> 'path', chosen.path);
  wanted_model := coalesce(overrides ->> 'model', chosen.model);
  -- A column, not an expression: it runs as the rule's owner.
  FOR setting IN SELECT t.touchpoints FROM attribution.tier AS t WHERE t.rule = $1 AND t.version = version_number AND overrides ->> 'channel' <> ''
      AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = t.touchpoints AND a.attname = overrides ->> 'channel' AND a.attnum > 0) LOOP
    RAISE EXCEPTION 'override "channel": relation % has no column "%"', setting, overrides ->> 'channel' USING ERRCODE = 'undefined_column',
      HINT = 'It is the name of a column of all touchpoints; an expression is the rule''s own to state: alter_rule().';
  END LOOP;
  wanted_channel := CASE WHEN overrides ? 'channel' THEN 'touch.' || quote_ident(nullif(overrides ->> 'channel', '')) ELSE chosen.channel END;
  PERFORM attribution._check_rule(wanted_path, wanted_model);
  -- It runs as the rule's owner.
  IF wanted_model ~ '^\s*weighted' AND wanted_model <> chosen.model THEN
    RAISE EXCEPTION 'override "model" must not name a function' USING ERRCODE = 'insufficient_privilege',
      HINT = 'A rule weighs by the function that its own model names.';
  END IF;

  FOR name, value IN SELECT * FROM jsonb_each(coalesce(overrides -> 'lookback', '{}'))
                     UNION ALL SELECT w #>> '{}', 'null' FROM jsonb_array_elements(coalesce(overrides -> 'without_tiers', '[]')) AS w LOOP
    IF NOT EXISTS (SELECT FROM attribution.tier AS t
                   WHERE t.rule = $1 AND t.version = version_number AND t.tier = name) THEN
      RAISE EXCEPTION 'rule "%" has no tier "%"', $1, name USING ERRCODE = 'undefined_object',
        HINT = 'attribution.tiers lists the tiers there are.';
    END IF;
    IF jsonb_typeof(value) = 'string' THEN
      PERFORM attribution._check_duration(format('lookback of tier "%s"', name), (value #>> '{}')::interval);
    ELSIF jsonb_typeof(value) <> 'null' THEN
      RAISE EXCEPTION 'lookback of tier "%" must be a string such as "7 days"', name
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
  END LOOP;

  RETURN QUERY
    SELECT wanted.rule, chosen.version, wanted.owner::oid, chosen.conversions::oid, chosen.id_column::text,
      chosen.time_column::text, chosen.filter, wanted_path, wanted_model, wanted_channel, chosen.empty, chosen.value_column::text,
      chosen.carry::text[], chosen.installation_key, attribution._micros(chosen.reattribution_window),
      attribution._micros(chosen.allowed_lateness), attribution._horizon(chosen.conversions), s.decisions::oid, s.credits::oid,
      s.decisions_history::oid, s.credits_history::oid, s.pending::oid, s.installations::oid,
      s.refiltered_at IS NOT NULL, chosen.path_summary, t.tier, t.touchpoints::oid,
      t.id_column::text, t.time_column::text, t.match::text[], t.conversion_match::text[], t.conflict::text[],
      t.conversion_conflict::text[], t.filter, t.predicate, t.lookback_column::text,
      attribution._micros(coalesce((overrides -> 'lookback' ->> t.tier)::interval, t.lookback)),
      attribution._micros(t.skew), t.strict, attribution._horizon(t.touchpoints)
    FROM (SELECT) AS the_rule
    LEFT JOIN attribution.storage AS s ON s.rule = $1
    LEFT JOIN attribution.tier AS t ON t.rule = $1 AND t.version = chosen.version
      AND NOT coalesce(overrides -> 'without_tiers' ? t.tier, false)
    ORDER BY t.strength;
END
$$;
COMMENT ON FUNCTION attribution._spec(text, jsonb) IS 'A rule as one call sees it: one row a tier, strongest first; durations in microseconds.';

CREATE FUNCTION attribution._check_model(model text) RETURNS void
LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'attribution_check_model';
COMMENT ON FUNCTION attribution._check_model(text) IS 'Raises an error for a text that is no model.';

CREATE FUNCTION attribution._check_rule(path text, model text, empty text[] DEFAULT '{}') RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF path IS NULL OR path <> ALL (ARRAY['first_match', 'all']) THEN
    RAISE EXCEPTION 'unknown path "%"', path USING ERRCODE = 'invalid_parameter_value',
      HINT = 'A path is first_match (the strongest tier that has any touchpoint) or all.';
  END IF;
  PERFORM attribution._check_model(coalesce(model, ''));
  IF array_position(empty, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'empty must not hold null' USING ERRCODE = 'null_value_not_allowed',
      DETAIL = 'A null is never a key, whatever empty says.';
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._check_rule(text, text, text[]) IS 'Raises an error for settings that make no rule.';
