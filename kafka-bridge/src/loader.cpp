#include "loader.hpp"

#include "catalog.hpp"
#include "quote.hpp"
#include "time_text.hpp"

#include <chrono>
#include <optional>
#include <regex>

namespace bridge {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point time) { return std::chrono::duration<double>(Clock::now() - time).count(); }

/// Which row of a COPY an error is about, from 0; nothing where the server speaks another language.
std::optional<std::size_t> row_of(const PgError &error) {
  static const std::regex kLine("COPY .*, line ([0-9]{1,9})");
  std::smatch match;
  if (!std::regex_search(error.context, match, kLine))
    return std::nullopt;
  return std::stoul(match[1]) - 1;
}

} // namespace

Loader::Loader(const Config &config, const PipelineConfig &pipeline, const Target &target, const std::string &columns,
               Guard &guard, PipelineMetrics &metrics)
    : pipeline_(pipeline), target_(target), guard_(guard), metrics_(metrics),
      postgres_(config, "kafka-bridge " + pipeline.name),
      copy_sql_("COPY " + target.name + " (" + columns + ") FROM STDIN (FORMAT binary)") {}

void Loader::load(Batch &batch) {
  const auto began = Clock::now();
  const std::size_t dead_before = batch.dead.size();
  postgres_.run(batch.ends.empty() ? "BEGIN" : "BEGIN; SAVEPOINT rows");
  if (!batch.ends.empty()) {
    try {
      copy_rows(batch, 0, batch.ends.size());
    } catch (const PgError &error) {
      if (!error.is_of_row())
        throw;
      postgres_.run("ROLLBACK TO rows");
      isolate(batch, 0, batch.ends.size(), error);
    }
  }
  guard_.check(batch.messages, static_cast<std::int64_t>(batch.dead.size()));
  if (!batch.dead.empty()) {
    Buffer letters;
    for (const DeadLetter &letter : batch.dead)
      append_dead_letter(pipeline_.name, batch, letter, letters);
    postgres_.copy(std::string("COPY attribution.bridge_dead_letter (") + kDeadLetterColumns +
                       ") FROM STDIN (FORMAT binary)",
                   letters.view(0, letters.size()));
  }
  metrics_.copy_seconds->Observe(seconds_since(began));
  const auto copied = Clock::now();
  // Sent at once: whoever stops between the two would hold the ledger's rows meanwhile.
  postgres_.run(require_shape(target_) + "; " + advance(batch) + "; COMMIT");
  metrics_.commit_seconds->Observe(seconds_since(copied));
  guard_.committed(batch.messages, static_cast<std::int64_t>(batch.dead.size()));
  metrics_.dead_load->Increment(static_cast<double>(batch.dead.size() - dead_before));
}

void Loader::copy_rows(Batch &batch, std::size_t first, std::size_t past) {
  postgres_.copy(copy_sql_, batch.row(first, past));
}

void Loader::try_rows(Batch &batch, std::size_t first, std::size_t past) {
  if (first == past)
    return;
  postgres_.run("SAVEPOINT rows");
  try {
    copy_rows(batch, first, past);
    postgres_.run("RELEASE rows");
  } catch (const PgError &error) {
    if (!error.is_of_row())
      throw;
    postgres_.run("ROLLBACK TO rows; RELEASE rows");
    isolate(batch, first, past, error);
  }
}

/// Rows from `first` on failed together. A row that fails alone is a dead letter; the server usually says which it is.
void Loader::isolate(Batch &batch, std::size_t first, std::size_t past, const PgError &error) {
  if (past - first == 1) {
    Kept &message = batch.kept[first];
    Progress &progress = batch.progress[message.progress];
    --progress.rows;
    ++progress.dead;
    batch.dead.push_back({message, Stage::load, error.column, error.sqlstate, error.what()});
    metrics_.errors(error.sqlstate).Increment();
    guard_.check(batch.messages, static_cast<std::int64_t>(batch.dead.size()));
    return;
  }
  const std::optional<std::size_t> hint = row_of(error);
  if (hint && *hint < past - first) {
    const std::size_t suspect = first + *hint;
    try_rows(batch, first, suspect);
    try_rows(batch, suspect, suspect + 1);
    try_rows(batch, suspect + 1, past);
    return;
  }
  const std::size_t middle = first + (past - first) / 2;
  try_rows(batch, first, middle);
  try_rows(batch, middle, past);
}

std::string Loader::advance(const Batch &batch) const {
  PgArray topics;
  PgArray partitions;
  PgArray epochs;
  PgArray since;
  PgArray until;
  PgArray rows;
  PgArray dead;
  PgArray ends;
  PgArray times;
  for (const Progress &progress : batch.progress) {
    topics.add(progress.claim.topic);
    partitions.add(std::int64_t{progress.claim.partition});
    epochs.add(progress.claim.epoch);
    since.add(progress.since);
    until.add(progress.until);
    rows.add(progress.rows);
    dead.add(progress.dead);
    if (progress.log_end < 0)
      ends.add_null();
    else
      ends.add(progress.log_end);
    times.add(std::int64_t{progress.last_unix_ms});
  }
  std::string sql = "SELECT attribution._bridge_advance(" + quote_literal(pipeline_.name);
  for (const PgArray *array : {&topics, &partitions, &epochs, &since, &until, &rows, &dead, &ends})
    sql += ", " + quote_literal(array->text());
  sql += ", (SELECT pg_catalog.array_agg(CASE WHEN t >= 0 THEN pg_catalog.to_timestamp(t / 1000.0) END ORDER BY n) "
         "FROM pg_catalog.unnest(" +
         quote_literal(times.text()) + "::bigint[]) WITH ORDINALITY AS u(t, n)), " + std::to_string(batch.bytes) + ")";
  return sql;
}

} // namespace bridge
