// Values for a statement, as arrays that it unnests: one round trip for a batch.
#pragma once

#include "engine/batch.hpp"

namespace attribution::engine {

/// How to plan for so many rows: a plan for any number takes them for ten.
constexpr pg::Planning planning_for(std::size_t rows) noexcept {
  return rows <= 50 ? pg::Planning::once : pg::Planning::each_time;
}

/// Rows of values: each column becomes an array parameter.
class Given {
public:
  /// The rows are what the columns' functions make of these numbers.
  explicit Given(std::vector<std::uint32_t> which) : which_(std::move(which)) {}

  /// Adds a column; `value` gives a pg::Param for each row.
  template <class F> Given &add(const std::string &name, const pg::Type &type, F value) {
    return add(name, type.array_oid(), array_of(type, which_, value));
  }
  Given &add_int4(const std::string &name, const std::function<std::int32_t(std::uint32_t)> &value);
  Given &add_time(const std::string &name, const std::function<core::Micros(std::uint32_t)> &value);

  /// "ROWS FROM (unnest($1), ..) AS given(name, ..)"
  std::string rows() const { return "ROWS FROM (" + arrays_ + ") AS given(" + names_ + ")"; }
  /// The columns, with commas between them.
  const std::string &names() const noexcept { return names_; }

  /// A parameter of its own; returns its name, "$7".
  std::string also(Oid type, pg::Param value);

  /// The parameters, and their types.
  const std::vector<pg::Param> &params() const noexcept { return params_; }
  const std::vector<Oid> &types() const noexcept { return types_; }

  /// Runs a statement that writes.
  pg::Rows execute(const std::string &sql) const { return kept(sql).execute(params_); }
  /// Runs a query, whose columns must have these types, in the active snapshot.
  void run(const std::string &sql, const std::vector<Oid> &columns, pg::RowReceiver &receiver) const;

private:
  pg::Plan kept(const std::string &sql) const { return pg::Plan::kept(sql, types_, planning_for(which_.size())); }
  Given &add(const std::string &name, Oid type, pg::Param array);

  std::vector<std::uint32_t> which_;
  std::string arrays_, names_;
  std::vector<Oid> types_;
  std::vector<pg::Param> params_;
};

pg::Type type_of(Oid oid);
inline pg::Param at_time(core::Micros time) { return {TimestampTzGetDatum(time), false}; }
/// 0, 1, .. count - 1.
std::vector<std::uint32_t> all_of(std::size_t count);

} // namespace attribution::engine
