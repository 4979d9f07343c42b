-- Nothing is PUBLIC but the schema's name. Readers read, writers bring events in, admins make rules and partitions.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA attribution FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA attribution FROM PUBLIC;

GRANT SELECT ON ALL TABLES IN SCHEMA attribution TO attribution_reader;
GRANT EXECUTE ON FUNCTION
  attribution.attribute(text, timestamptz, timestamptz, jsonb),
  attribution.touchpoints(text, timestamptz, timestamptz, jsonb),
  attribution.explain(text, "any", jsonb),
  attribution._attribute(text, timestamptz, timestamptz, jsonb),
  attribution._touchpoints(text, timestamptz, timestamptz, jsonb),
  attribution._explain(text, "any", jsonb),
  attribution._spec(text, jsonb),
  attribution._require_rule(text),
  attribution._micros(interval),
  attribution._check_duration(text, interval),
  attribution._check_rule(text, text, text[])
TO attribution_reader;

GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA attribution TO attribution_admin;
GRANT INSERT, UPDATE, DELETE ON attribution.rule, attribution.rule_version, attribution.tier, attribution.partitioning
TO attribution_admin;
