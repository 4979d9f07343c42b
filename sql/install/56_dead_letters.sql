-- Conversions that could not be decided: a number that is none, a path beyond attribution.work_mem. They stay in the queue,
-- due at infinity, until they are changed or retried; the others go on.

CREATE FUNCTION attribution._dead_letters(rule text)
RETURNS TABLE (conversion_id text, conversion_time timestamptz, failed_at timestamptz, sqlstate text, message text)
LANGUAGE c STABLE ROWS 10 COST 10000 AS 'MODULE_PATHNAME', 'attribution_dead_letters';
COMMENT ON FUNCTION attribution._dead_letters(text) IS 'What in a rule''s queue could not be decided.';

CREATE VIEW attribution.dead_letters AS
  SELECT s.rule, d.conversion_id, d.conversion_time, d.failed_at, d.sqlstate, d.message
  FROM attribution.storage AS s CROSS JOIN LATERAL attribution._dead_letters(s.rule) AS d WHERE attribution._can_read(s.pending);
COMMENT ON VIEW attribution.dead_letters IS
'Conversions that could not be decided, and why, for each rule whose queue you may read. An earlier decision stands meanwhile. A
change of the conversion queues it again; for other cures there is attribution.retry_dead_letters().';

CREATE FUNCTION attribution.retry_dead_letters(rule text, conversion_id text DEFAULT NULL) RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'attribution_retry_dead_letters';
COMMENT ON FUNCTION attribution.retry_dead_letters(text, text) IS
'Queues the dead letters of a rule again, or one of them. Returns how many. You must have the privileges of the rule''s owner.';
