-- The index access method "touch": finds the touchpoints of many keys at once. docs/touch-index.md says how.

CREATE FUNCTION attribution.touch_handler(internal) RETURNS index_am_handler
LANGUAGE c AS 'MODULE_PATHNAME', 'attribution_touch_handler';
COMMENT ON FUNCTION attribution.touch_handler(internal) IS 'The functions of the access method "touch".';

CREATE ACCESS METHOD touch TYPE INDEX HANDLER attribution.touch_handler;
COMMENT ON ACCESS METHOD touch IS
'Touchpoints by key, newest first: CREATE INDEX ON clicks USING touch (app, device, clicked_at). The last column is the time,
timestamptz; the others are the key, of any types that can be hashed.';

-- One class serves every type: the hash function is that of the column's type. The operators are those that PostgreSQL's own
-- hash indexes know, so that values of two types that are equal have the same hash.
CREATE OPERATOR FAMILY attribution.touch_ops USING touch;
COMMENT ON OPERATOR FAMILY attribution.touch_ops USING touch IS
'What WHERE may say for a touch index to serve: = on all key columns, and comparisons of the time. For the types of another
extension: ALTER OPERATOR FAMILY attribution.touch_ops USING touch ADD OPERATOR 1 =(citext, citext), with the = of its hash class.';
CREATE OPERATOR CLASS attribution.touch_ops DEFAULT FOR TYPE anyelement USING touch FAMILY attribution.touch_ops AS
  OPERATOR 2 pg_catalog.<(timestamptz, timestamptz),
  OPERATOR 3 pg_catalog.<=(timestamptz, timestamptz),
  OPERATOR 4 pg_catalog.>=(timestamptz, timestamptz),
  OPERATOR 5 pg_catalog.>(timestamptz, timestamptz);
COMMENT ON OPERATOR CLASS attribution.touch_ops USING touch IS 'Keys of any type with a hash function, and times.';
DO $$
DECLARE
  equality record;
BEGIN
  FOR equality IN
    SELECT o.amopopr::regoperator AS operator, o.amoplefttype::regtype AS left_type, o.amoprighttype::regtype AS right_type
      FROM pg_catalog.pg_amop AS o JOIN pg_catalog.pg_am AS a ON a.oid OPERATOR(pg_catalog.=) o.amopmethod
     WHERE a.amname OPERATOR(pg_catalog.=) 'hash' AND o.oid OPERATOR(pg_catalog.<) 16384
       AND EXISTS (SELECT FROM pg_catalog.pg_opclass AS c WHERE c.opcfamily OPERATOR(pg_catalog.=) o.amopfamily AND c.opcdefault)
     ORDER BY o.oid
  LOOP
    EXECUTE pg_catalog.format('ALTER OPERATOR FAMILY attribution.touch_ops USING touch ADD OPERATOR 1 pg_catalog.=(%s, %s)',
                              equality.left_type, equality.right_type);
  END LOOP;
END
$$;

CREATE FUNCTION attribution.touch_index_check(index regclass) RETURNS TABLE (problem text)
LANGUAGE c STRICT ROWS 1 AS 'MODULE_PATHNAME', 'attribution_touch_index_check';
COMMENT ON FUNCTION attribution.touch_index_check(regclass) IS
'What is wrong with a touch index; no rows: it is sound. Every page is looked at, and whether every row of the table that is seen
has its entry. Locks nothing that writers need. Errors: not a touch index (of a partitioned one, name those of the partitions).';
REVOKE EXECUTE ON FUNCTION attribution.touch_index_check(regclass) FROM PUBLIC;

CREATE FUNCTION attribution._touch_index_report(index regclass, OUT pages bigint, OUT directory_pages bigint, OUT bucket_pages bigint,
  OUT free_pages bigint, OUT buckets bigint, OUT entries bigint, OUT null_entries bigint, OUT longest_chain bigint,
  OUT heavy_buckets bigint, OUT longest_heavy_chain bigint)
RETURNS SETOF record LANGUAGE c STRICT ROWS 1 AS 'MODULE_PATHNAME', 'attribution_touch_index_report';
COMMENT ON FUNCTION attribution._touch_index_report(regclass) IS 'The parts of a touch index, counted: reads all of it.';

CREATE VIEW attribution.touch_indexes AS
  SELECT c.oid::regclass AS index, i.indrelid::regclass AS relation, i.indisvalid AS valid, r.pages, r.directory_pages,
    r.bucket_pages, r.free_pages, r.buckets, r.entries, r.null_entries, r.longest_chain, r.heavy_buckets, r.longest_heavy_chain
  FROM pg_catalog.pg_index AS i
  JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid AND c.relkind OPERATOR(pg_catalog.=) 'i'
  JOIN pg_catalog.pg_am AS a ON a.oid OPERATOR(pg_catalog.=) c.relam AND a.amname OPERATOR(pg_catalog.=) 'touch'
  CROSS JOIN LATERAL attribution._touch_index_report(c.oid) AS r
  WHERE NOT pg_catalog.pg_is_other_temp_schema(c.relnamespace);
COMMENT ON VIEW attribution.touch_indexes IS
'The touch indexes of this database, and how large their parts are, in pages and in entries. longest_chain: of a bucket that
several keys share; null_entries: of keys with a NULL, and heavy_buckets: of single keys with more entries than a bucket should
hold: each has a chain of its own. Reads the indexes as a whole: ask for one by name.';
