#include "postgres.hpp"

#include "config.hpp"

#include <algorithm>

namespace bridge {

namespace {

std::string field_of(const PGresult *result, int code) {
  const char *text = result == nullptr ? nullptr : PQresultErrorField(result, code);
  return text == nullptr ? "" : text;
}

std::string without_newline(std::string text) {
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

} // namespace

Postgres::Postgres(const Config &config, const std::string &application) {
  const std::string timeout = std::to_string(std::max<long long>(2, config.connect_timeout.count() / 1000));
  // The file may say otherwise; a peer that is gone without a word must be noticed.
  const char *const names[] = {"connect_timeout",
                               "keepalives_idle",
                               "keepalives_interval",
                               "keepalives_count",
                               "tcp_user_timeout",
                               "fallback_application_name",
                               "dbname",
                               nullptr};
  const char *const values[] = {timeout.c_str(),    "10",   "5", "3", "30000", application.c_str(),
                                config.dsn.c_str(), nullptr};
  connection_.reset(PQconnectdbParams(names, values, 1));
  if (!connection_)
    throw std::bad_alloc();
  if (PQstatus(connection_.get()) != CONNECTION_OK)
    throw PgError(without_newline(PQerrorMessage(connection_.get())), "");
  PQsetNoticeProcessor(
      connection_.get(), [](void *, const char *) {}, nullptr);
  run("SET standard_conforming_strings = on; SET client_encoding = 'UTF8'; SET datestyle = 'ISO'; SET timezone = "
      "'UTC'; "
      "SET statement_timeout = " +
      std::to_string(config.statement_timeout.count()) +
      "; SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '10s'");
}

void Postgres::fail(const PGresult *result) {
  const std::string sqlstate = field_of(result, PG_DIAG_SQLSTATE);
  std::string message = field_of(result, PG_DIAG_MESSAGE_PRIMARY);
  if (message.empty())
    message = PQerrorMessage(connection_.get());
  for (const int code : {int{PG_DIAG_MESSAGE_DETAIL}, int{PG_DIAG_MESSAGE_HINT}})
    if (const std::string more = field_of(result, code); !more.empty())
      message += " (" + more + ")";
  throw PgError(without_newline(message), sqlstate, field_of(result, PG_DIAG_CONTEXT),
                field_of(result, PG_DIAG_COLUMN_NAME));
}

PgResult Postgres::checked(PGresult *raw) {
  PgResult result(raw);
  const ExecStatusType status = PQresultStatus(raw);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_COPY_IN)
    fail(raw);
  return result;
}

PgResult Postgres::run(const std::string &sql) { return checked(PQexec(connection_.get(), sql.c_str())); }

PgResult Postgres::run(const std::string &sql, const std::vector<std::optional<std::string>> &parameters) {
  std::vector<const char *> values;
  values.reserve(parameters.size());
  for (const auto &parameter : parameters)
    values.push_back(parameter ? parameter->c_str() : nullptr);
  return checked(PQexecParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                              nullptr, nullptr, 0));
}

void Postgres::copy(const std::string &sql, std::string_view rows) {
  static constexpr std::string_view kHead("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
  static constexpr std::string_view kTail("\377\377", 2);
  constexpr std::size_t kChunk = 65536;
  run(sql);
  PGconn *connection = connection_.get();
  bool sent = PQputCopyData(connection, kHead.data(), static_cast<int>(kHead.size())) == 1;
  for (std::size_t at = 0; sent && at < rows.size(); at += kChunk) {
    const std::string_view chunk = rows.substr(at, kChunk);
    sent = PQputCopyData(connection, chunk.data(), static_cast<int>(chunk.size())) == 1;
  }
  sent = sent && PQputCopyData(connection, kTail.data(), static_cast<int>(kTail.size())) == 1 &&
         PQputCopyEnd(connection, nullptr) == 1;
  // What the server says is the better reason, also if it says so in the middle.
  PgResult first;
  while (PGresult *raw = PQgetResult(connection)) {
    PgResult result(raw);
    if (PQresultStatus(raw) == PGRES_COPY_IN) {
      PQputCopyEnd(connection, "sending failed");
      continue;
    }
    if (!first || PQresultStatus(first.get()) == PGRES_COMMAND_OK)
      first = std::move(result);
  }
  if (!first || PQresultStatus(first.get()) != PGRES_COMMAND_OK)
    fail(first.get());
  if (!sent)
    fail(nullptr);
}

void PgArray::add(std::string_view value) {
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\')
      quoted += '\\';
    quoted += c;
  }
  add_plain(quoted + '"');
}

void PgArray::add_plain(std::string_view value) {
  if (!text_.empty())
    text_ += ',';
  text_ += value;
}

} // namespace bridge
