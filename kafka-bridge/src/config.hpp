// The configuration: one TOML file. docs/bridge.md lists every key.
#pragma once

#include "decoder.hpp"
#include "time_text.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bridge {

enum class Source { field, rest, key, value, header, topic, partition, offset, timestamp, constant };
enum class OnError { dead_letter, null, default_value };
enum class OnNul { dead_letter, strip };
enum class Tombstones { skip, dead_letter, row };
enum class OutOfRange { fail, earliest, latest };

struct ColumnConfig {
  std::string name;
  Source source = Source::field;
  Path path;
  std::string header;
  std::optional<std::string> default_text;
  bool required = false;
  OnError on_error = OnError::dead_letter;
  OnNul on_nul = OnNul::dead_letter;
  /// How numbers and strings become times; the first that fits.
  bool iso = true;
  std::vector<TimeUnit> epochs;
  Zone zone;
};

/// Where reading begins if the ledger knows nothing of the topic yet.
struct Start {
  enum class Policy { earliest, latest, group, timestamp } policy = Policy::earliest;
  std::int64_t unix_ms = 0;
};

struct PipelineConfig {
  std::string name;
  std::string group;
  std::vector<std::string> topics;
  std::string table;
  std::string format = "json";
  Start start;
  OutOfRange out_of_range = OutOfRange::fail;
  Tombstones tombstones = Tombstones::skip;
  int workers = 1;
  std::int64_t batch_rows = 50'000;
  std::int64_t batch_bytes = 16 << 20;
  std::chrono::milliseconds batch_age{500};
  double most_dead_ratio = 0.05;
  std::int64_t dead_window = 100'000;
  std::int64_t most_dead_in_a_row = 1000;
  std::vector<ColumnConfig> columns;
};

struct Config {
  std::string brokers;
  std::string group = "attribution";
  std::map<std::string, std::string> kafka_properties;

  std::string dsn;
  std::chrono::milliseconds connect_timeout{5000};
  std::chrono::milliseconds statement_timeout{60'000};

  std::string listen;
  std::string log_level = "info";

  bool exit_on_fault = false;
  std::chrono::milliseconds retry_min{200};
  std::chrono::milliseconds retry_max{30'000};
  std::chrono::milliseconds shutdown_timeout{30'000};

  std::vector<PipelineConfig> pipelines;
};

/// Throws ConfigError that says where.
Config read_config(const std::string &path);
Config parse_config(const std::string &text, const std::string &name);

} // namespace bridge
