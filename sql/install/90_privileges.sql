-- Nothing is PUBLIC but the schema's name, and waking the worker. Readers read, writers bring events in, admins make rules and partitions.
REVOKE ALL ON ALL ROUTINES IN SCHEMA attribution FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA attribution FROM PUBLIC;
-- The triggers on conversions call it as the rule's owner, who need have no role of the extension. It has the worker look.
GRANT EXECUTE ON FUNCTION attribution._wake(timestamptz) TO PUBLIC;

GRANT SELECT ON ALL TABLES IN SCHEMA attribution TO attribution_reader;
GRANT EXECUTE ON FUNCTION
  attribution.attribute(text, timestamptz, timestamptz, jsonb),
  attribution.touchpoints(text, timestamptz, timestamptz, jsonb),
  attribution.explain(text, "any", jsonb),
  attribution.conversion_paths(text, timestamptz, timestamptz, jsonb),
  attribution.null_paths(text, timestamptz, timestamptz, jsonb),
  attribution.paths(text, timestamptz, timestamptz, text[], jsonb),
  attribution.compare_models(text, timestamptz, timestamptz, text[], jsonb),
  attribution.markov_of(text, timestamptz, timestamptz, integer, text[], jsonb),
  attribution.shapley_of(text, timestamptz, timestamptz, text[], jsonb),
  attribution.shapley_ordered_of(text, timestamptz, timestamptz, text[], jsonb),
  attribution.contributors(text, timestamptz, timestamptz, integer, jsonb),
  attribution.assists(text, timestamptz, timestamptz, jsonb),
  attribution.path_lengths(text, timestamptz, timestamptz, jsonb),
  attribution.time_lags(text, timestamptz, timestamptz, interval, jsonb),
  attribution._attribute(text, timestamptz, timestamptz, jsonb),
  attribution._touchpoints(text, timestamptz, timestamptz, jsonb),
  attribution._explain(text, "any", jsonb),
  attribution._spec(text, jsonb),
  attribution._require_rule(text),
  attribution._micros(interval),
  attribution._check_duration(text, interval),
  attribution._check_rule(text, text, text[]),
  attribution._check_model(text),
  attribution.decisions_as_of(text, timestamptz),
  attribution._kept(text),
  attribution.diff(text, jsonb, timestamptz, timestamptz, name[]),
  attribution._outlook(text, timestamptz, timestamptz, jsonb),
  attribution._stored(text, timestamptz, timestamptz, name[]),
  attribution._backlog(text),
  attribution._outcomes(text),
  attribution._dead_letters(text),
  attribution._workers(),
  attribution._can_read(regclass),
  attribution._sources(regclass),
  attribution._horizon(regclass),
  attribution._cron_schema(),
  attribution._can_use_cron(),
  attribution._schedules()
TO attribution_reader;
-- Models of anybody's paths read nothing but their arguments.
GRANT EXECUTE ON FUNCTION
  attribution.transform_path(text[], text[]),
  attribution.path_places(text[], text[]),
  attribution.share(numeric, float8[]),
  attribution.heuristics(text[], float8, float8, text[]),
  attribution.markov(text[], float8),
  attribution.markov(text[], float8, float8, float8),
  attribution.markov(text[], float8, float8, float8, integer),
  attribution.transitions(text[], float8, float8, integer),
  attribution.shapley(text[], float8),
  attribution.shapley(text[], float8, float8),
  attribution.shapley_ordered(text[], float8),
  attribution.shapley_ordered(text[], float8, float8),
  attribution.shapley_conversion_rate(text[], float8, float8, float8)
TO attribution_reader;

-- A rule is run by whoever has its owner's privileges; the functions and the guards see to that.
GRANT EXECUTE ON PROCEDURE
  attribution.run(text, timestamptz),
  attribution.reattribute(text, timestamptz, timestamptz, timestamptz),
  attribution.reconcile(text),
  attribution._work(bigint)
TO attribution_writer;
GRANT EXECUTE ON FUNCTION
  attribution._require_own_transactions(text),
  attribution._require_owner(text),
  attribution._start_run(text, text, timestamptz, timestamptz, timestamptz),
  attribution._step(bigint, timestamptz),
  attribution._finish_run(bigint),
  attribution._recover(bigint, integer, text),
  attribution._raise(text, text, text, text),
  attribution._fail_run(bigint, text, text),
  attribution._queue(text, regclass, boolean, boolean, boolean, boolean, bigint, bigint, timestamptz, timestamptz, timestamptz),
  attribution._run_batch(text, bigint, timestamptz, timestamptz, integer, boolean),
  attribution._is_of_the_data(text),
  attribution.retry_dead_letters(text, text),
  attribution._is_reconciled(text, oid[]),
  attribution._chunk(jsonb),
  attribution._with_last_look(jsonb),
  attribution._look_through(bigint, jsonb),
  attribution._leaves(regclass, name, name),
  attribution._work_on(text, boolean, timestamptz, timestamptz),
  attribution._reconciliation(text),
  attribution._partitions_of(regclass),
  attribution._since(text, interval)
TO attribution_writer;
GRANT INSERT, UPDATE, DELETE ON attribution.run_log TO attribution_writer;
GRANT INSERT, UPDATE, DELETE ON attribution.reconciled TO attribution_writer;
GRANT UPDATE (refiltered_at) ON attribution.storage TO attribution_writer;

GRANT EXECUTE ON ALL ROUTINES IN SCHEMA attribution TO attribution_admin;
GRANT INSERT, UPDATE, DELETE ON attribution.rule, attribution.rule_version, attribution.tier, attribution.enrichment, attribution.partitioning,
  attribution.storage
TO attribution_admin;
