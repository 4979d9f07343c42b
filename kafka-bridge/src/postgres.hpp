// A connection to PostgreSQL.
#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <libpq-fe.h>

namespace bridge {

struct Config;

/// What PostgreSQL or the way to it complained of. Without a SQLSTATE the connection is at fault.
struct PgError : std::runtime_error {
  PgError(const std::string &message, std::string sqlstate, std::string context = {}, std::string column = {})
      : std::runtime_error(message), sqlstate(std::move(sqlstate)), context(std::move(context)),
        column(std::move(column)) {}

  /// The row's own fault: its data, or a constraint that it violates.
  bool is_of_row() const { return sqlstate.starts_with("22") || sqlstate.starts_with("23"); }
  /// It may go away by itself: the connection, a restart, a lock, resources.
  bool is_passing() const {
    return sqlstate.empty() || sqlstate.starts_with("08") || sqlstate.starts_with("57") || sqlstate.starts_with("40") ||
           sqlstate.starts_with("55") || sqlstate == "25P03" || sqlstate == "25006";
  }
  bool is_fenced() const { return sqlstate == "AT002"; }

  std::string sqlstate;
  std::string context;
  std::string column;
};

struct ClearResult {
  void operator()(PGresult *result) const { PQclear(result); }
};
using PgResult = std::unique_ptr<PGresult, ClearResult>;

class Postgres {
public:
  /// Throws PgError.
  Postgres(const Config &config, const std::string &application);

  /// One statement, or several without parameters. Throws PgError.
  PgResult run(const std::string &sql);
  PgResult run(const std::string &sql, const std::vector<std::optional<std::string>> &parameters);

  /// COPY .. FROM STDIN (FORMAT binary): rows without header and trailer. Throws PgError.
  void copy(const std::string &sql, std::string_view rows);

  PGconn *raw() const noexcept { return connection_.get(); }

private:
  struct Finish {
    void operator()(PGconn *connection) const { PQfinish(connection); }
  };
  PgResult checked(PGresult *result);
  [[noreturn]] void fail(const PGresult *result);

  std::unique_ptr<PGconn, Finish> connection_;
};

inline std::string text_at(const PgResult &result, int row, int column) {
  return PQgetvalue(result.get(), row, column);
}

/// A PostgreSQL array literal.
class PgArray {
public:
  void add(std::string_view value);
  void add(std::int64_t value) { add_plain(std::to_string(value)); }
  void add_null() { add_plain("NULL"); }
  std::string text() const { return "{" + text_ + "}"; }

private:
  void add_plain(std::string_view value);
  std::string text_;
};

} // namespace bridge
