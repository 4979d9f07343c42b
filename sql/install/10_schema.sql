\echo Use "CREATE EXTENSION attribution" to load this file. \quit

-- The schema is made here and fails if it exists: so nobody else owns it or has put anything into it.
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE SCHEMA attribution;
COMMENT ON SCHEMA attribution IS 'Finds the click or impression behind every conversion.';

-- Roles belong to the cluster, not to the extension: several databases share them, and DROP EXTENSION leaves them.
DO $$
DECLARE
  role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['attribution_reader', 'attribution_writer', 'attribution_admin'] LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) role_name::pg_catalog.name) THEN
      EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role_name);
    END IF;
  END LOOP;
  IF NOT pg_catalog.pg_has_role('attribution_writer', 'attribution_reader', 'MEMBER') THEN
    GRANT attribution_reader TO attribution_writer;
  END IF;
  IF NOT pg_catalog.pg_has_role('attribution_admin', 'attribution_writer', 'MEMBER') THEN
    GRANT attribution_writer TO attribution_admin;
  END IF;
END
$$;
GRANT USAGE ON SCHEMA attribution TO PUBLIC;
