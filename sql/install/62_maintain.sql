-- The partitions of a rule: maintain() looks after all its tables, one transaction each.

CREATE FUNCTION attribution._maintained(of_rule text) RETURNS regclass[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  target record;
  maintained regclass[] := '{}';
BEGIN
  PERFORM attribution._require_own_transactions('attribution.maintain()');
  IF of_rule IS NULL THEN
    RAISE EXCEPTION 'rule must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  PERFORM attribution._require_owner(of_rule);
  -- In one order for everybody, as in maintain_partitions().
  FOR target IN
    WITH chosen AS (
      SELECT r.rule, coalesce(r.active_version, (SELECT max(v.version) FROM attribution.rule_version AS v WHERE v.rule = r.rule)) AS version
        FROM attribution.rule AS r WHERE r.rule = of_rule)
    SELECT p.relation, pg_get_userbyid(c.relowner) AS owner, pg_has_role(c.relowner, 'USAGE') AS allowed
      FROM attribution.partitioning AS p JOIN pg_class AS c ON c.oid = p.relation
     WHERE p.relation IN (
       SELECT attribution._sources(u.reads)
         FROM (SELECT v.conversions FROM attribution.rule_version AS v JOIN chosen USING (rule, version)
               UNION SELECT t.touchpoints FROM attribution.tier AS t JOIN chosen USING (rule, version)
               UNION SELECT attribution._tables_of(of_rule)) AS u(reads))
     ORDER BY p.relation::oid
  LOOP
    IF target.allowed THEN
      maintained := maintained || target.relation;
    ELSE
      RAISE NOTICE 'passed over %: it belongs to role "%"', target.relation, target.owner
        USING HINT = format('Its owner can look after it: SELECT * FROM attribution.maintain_partitions(%L);', target.relation);
    END IF;
  END LOOP;
  RETURN maintained;
END
$$;
COMMENT ON FUNCTION attribution._maintained(text) IS
'The registered tables of a rule that the caller may maintain: those it reads, also through views, and those of its decisions.';

CREATE FUNCTION attribution._maintain_as_owner(relation regclass, OUT made integer, OUT dropped integer, OUT moved bigint)
RETURNS SETOF record LANGUAGE c STRICT ROWS 1 AS 'MODULE_PATHNAME', 'attribution_maintain_as_owner';
COMMENT ON FUNCTION attribution._maintain_as_owner(regclass) IS 'What maintain_partitions() does for one table, with the rights of its owner.';

CREATE FUNCTION attribution._maintain(relation regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  owner oid;
  done record;
BEGIN
  SELECT c.relowner INTO owner FROM pg_class AS c WHERE c.oid = relation;
  IF NOT FOUND THEN
    RETURN; -- dropped meanwhile
  END IF;
  IF NOT has_function_privilege(owner, 'attribution._maintain_relation(regclass)', 'EXECUTE') THEN
    RAISE EXCEPTION 'role "%" may not maintain partitions', pg_get_userbyid(owner) USING ERRCODE = 'insufficient_privilege',
      DETAIL = format('%s is maintained with the rights of its owner.', relation),
      HINT = format('GRANT attribution_admin TO %I;', pg_get_userbyid(owner));
  END IF;
  SELECT * INTO STRICT done FROM attribution._maintain_as_owner(relation);
  IF done.made > 0 OR done.dropped > 0 OR done.moved > 0 THEN
    RAISE NOTICE '%: partitions made %, dropped %, rows moved %', relation, done.made, done.dropped, done.moved;
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._maintain(regclass) IS 'Maintains a table and says what was done.';

CREATE PROCEDURE attribution.maintain(rule text)
LANGUAGE plpgsql AS $$
DECLARE
  relation pg_catalog.regclass;
  code text;
  message text;
  detail text;
  hint text;
BEGIN
  FOREACH relation IN ARRAY attribution._maintained(rule) LOOP
    BEGIN
      PERFORM attribution._maintain(relation);
    EXCEPTION WHEN OTHERS THEN
      -- One table in trouble doesn't keep the others from their partitions.
      GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
      message := pg_catalog.format('could not maintain %s: %s', relation, message);
      RAISE WARNING '%', message USING DETAIL = detail, HINT = hint;
    END;
    COMMIT;
  END LOOP;
  IF code IS NOT NULL THEN
    PERFORM attribution._raise(code, message, detail, hint);
  END IF;
END
$$;
COMMENT ON PROCEDURE attribution.maintain(text) IS
'Does what maintain_partitions() does for the tables of a rule that are registered in attribution.partitioning: its
conversions, its touchpoints, also through views, and its decisions. Commits after each, so that no table stays locked while
another is looked after: for use beside readers that join them, by hand or by attribution.schedule(). Each is maintained with
the rights of its owner, whose privileges you must have; others are passed over with a NOTICE. A table in trouble gets a
WARNING, and its error ends the call once the others are done. READ COMMITTED, outside of a transaction block.';
