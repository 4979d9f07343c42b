// What goes wrong, sorted by what is to be done about it.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace bridge {

/// How the program ends. The README lists these for operators.
enum ExitCode { kDone = 0, kBroken = 1, kBadConfig = 2, kStoppedByFault = 3, kUnreachable = 4 };

/// The configuration is wrong, also in view of the table that it names: somebody has to change one of them.
struct ConfigError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A pipeline must not go on until somebody has done something: too many dead letters, offsets that are gone.
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Kafka, or the way to it, fails for the moment.
struct KafkaError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Where a message stopped.
enum class Stage { decode, map, load, gap };

inline const char *name_of(Stage stage) {
  switch (stage) {
  case Stage::decode:
    return "decode";
  case Stage::map:
    return "map";
  case Stage::load:
    return "load";
  case Stage::gap:
    return "gap";
  }
  return "";
}

/// One message can't be loaded; the others can. `sqlstate` is the one that PostgreSQL would give.
struct Rejected : std::runtime_error {
  Rejected(Stage stage, const char *sqlstate, const std::string &message, std::string field = {})
      : std::runtime_error(message), stage(stage), sqlstate(sqlstate), field(std::move(field)) {}
  Stage stage;
  std::string sqlstate;
  std::string field;
};

} // namespace bridge
