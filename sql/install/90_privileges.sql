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
  attribution.paths(text, timestamptz, timestamptz, text[], jsonb, name),
  attribution._with_channel(jsonb, name),
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
  attribution._divides(text),
  attribution.diff(text, jsonb, timestamptz, timestamptz, name[]),
  attribution._outlook(text, timestamptz, timestamptz, jsonb),
  attribution._stored(text, timestamptz, timestamptz, name[]),
  attribution._backlog(text),
  attribution._outcomes(text),
  attribution._dead_letters(text),
  attribution._workers(),
  attribution._can_read(regclass),
  attribution._staging_state(regclass),
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
  attribution.shapley_conversion_rate(text[], float8, float8, float8),
  attribution.path_assists(text[], float8),
  attribution.length_counts(text[], float8, float8),
  attribution.lag_counts(interval, float8, float8, interval)
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
  attribution._work_on(text, timestamptz, timestamptz),
  attribution._attachment(oid),
  attribution._reconciliation(text, boolean),
  attribution._partitions_of(regclass),
  attribution._since(text, interval)
TO attribution_writer;

-- Rows are ingested with the rights of the event table's owner, who must be a writer for that, and whoever asks for it must have
-- the owner's privileges. Who loads rows into a staging table needs INSERT on it, and nothing here.
GRANT EXECUTE ON PROCEDURE attribution.ingest(regclass, text, timestamptz) TO attribution_writer;
GRANT EXECUTE ON FUNCTION
  attribution.make_staging(regclass),
  attribution.ingest_from(regclass, regclass, name, name, interval, interval, integer, boolean, text, jsonb),
  attribution.retry_rejected(regclass, text),
  attribution.bridge_config(text, text, text, jsonb),
  attribution._toml_key(text),
  attribution._toml(jsonb),
  attribution._bridge_columns(attribution.ingestion, jsonb),
  attribution._ingest_by_default(regclass),
  attribution._has_rows(regclass),
  attribution._sibling(regclass, text),
  attribution._collation(oid),
  attribution._event_columns(regclass),
  attribution._require_event_table(regclass),
  attribution._id_column_of(regclass),
  attribution._event_tables(text),
  attribution._known(regclass, name, name, anyarray),
  attribution._is_among(tid, tid[]),
  attribution._ingest_as_owner(regclass, jsonb),
  attribution._ingest_step(regclass, jsonb),
  attribution._ingest_batch(attribution.ingestion, bigint, bigint, integer, timestamptz, timestamptz[]),
  attribution._ingest_rows(attribution.ingestion, text, tid[]),
  attribution._is_refused(attribution.ingestion, tid, text),
  attribution._reject(attribution.ingestion, tid[], text[], text[], text[]),
  attribution._hasten(attribution.ingestion, tid[], timestamptz),
  attribution._missing_partitions(attribution.ingestion, tid[], timestamptz, timestamptz, timestamptz, timestamptz[]),
  attribution._lock_staging(regclass),
  attribution._are_conversions(regclass),
  attribution._ingestible(regclass, text),
  attribution._begin_pass(timestamptz),
  attribution._is_over(regclass, jsonb),
  attribution._may_repeat(text),
  attribution._partition_column(regclass),
  attribution._partition_start(timestamptz, interval),
  attribution._partition_name(name, timestamptz, interval),
  attribution._default_partition(regclass),
  attribution._lock_partitions(regclass, text),
  attribution._attach_partitions(regclass, timestamptz[], interval, boolean)
TO attribution_writer;
GRANT INSERT, UPDATE, DELETE ON attribution.ingestion, attribution.ingest_progress, attribution.ingest_minute TO attribution_writer;
GRANT INSERT, UPDATE, DELETE ON attribution.run_log TO attribution_writer;
GRANT INSERT, UPDATE, DELETE ON attribution.reconciled TO attribution_writer;
GRANT UPDATE (refiltered_at) ON attribution.storage TO attribution_writer;

GRANT EXECUTE ON ALL ROUTINES IN SCHEMA attribution TO attribution_admin;
GRANT INSERT, UPDATE, DELETE ON attribution.rule, attribution.rule_version, attribution.tier, attribution.enrichment, attribution.partitioning,
  attribution.storage
TO attribution_admin;
