// Batches into PostgreSQL: rows, dead letters and offsets of a batch in one transaction.
#pragma once

#include "batch.hpp"
#include "config.hpp"
#include "guard.hpp"
#include "mapper.hpp"
#include "metrics.hpp"
#include "postgres.hpp"

#include <string>

namespace bridge {

class Loader {
public:
  Loader(const Config &config, const PipelineConfig &pipeline, const Target &target, const std::string &columns,
         Guard &guard, PipelineMetrics &metrics);

  /// All of it or nothing. Rows that PostgreSQL refuses become dead letters; `batch` says so afterwards. Throws
  /// PgError, Fault.
  void load(Batch &batch);

private:
  void copy_rows(Batch &batch, std::size_t first, std::size_t past);
  void isolate(Batch &batch, std::size_t first, std::size_t past, const PgError &error);
  void try_rows(Batch &batch, std::size_t first, std::size_t past);
  std::string advance(const Batch &batch) const;

  const PipelineConfig &pipeline_;
  const Target &target_;
  Guard &guard_;
  PipelineMetrics &metrics_;
  Postgres postgres_;
  std::string copy_sql_;
};

} // namespace bridge
