// Rows for a statement: one round trip for a batch.
#pragma once

#include "engine/batch.hpp"
#include "pg/ephemeral_table.hpp"

namespace attribution::engine {

/// How to plan for so many rows: a plan for any number takes them for ten. For many it is to see how large the tables
/// are now: one that was made when they were empty went through all of them for each row, and a run took seven times as
/// long.
constexpr pg::Planning planning_for(std::size_t rows) noexcept {
  return rows <= 50 ? pg::Planning::once : pg::Planning::each_time;
}

/// Rows of values, which a statement reads as a table "given".
class Given {
public:
  /// The rows are what the columns' functions make of these numbers.
  explicit Given(std::vector<std::uint32_t> which) : which_(std::move(which)) {}

  /// Adds a column; `value` gives a pg::Param for each row.
  template <class F> Given &add(const std::string &name, const pg::Type &type, F value) {
    Values &values = add_column(name, type);
    for (const std::uint32_t i : which_)
      values.push_back(value(i));
    return *this;
  }
  Given &add_int4(const std::string &name, const std::function<std::int32_t(std::uint32_t)> &value);
  Given &add_time(const std::string &name, const std::function<core::Micros(std::uint32_t)> &value);

  /// What comes after FROM. The columns' types are part of the text that a kept statement is found by.
  std::string rows() const;
  /// The columns, with commas between them.
  const std::string &names() const noexcept { return names_; }

  /// A parameter of its own; returns its name, "$7".
  std::string also(Oid type, pg::Param value);

  /// A statement that is only prepared.
  pg::Plan prepared(const std::string &sql);
  /// One that is kept.
  pg::Plan kept(const std::string &sql) { return kept(sql, planning_for(which_.size())); }

  /// Runs a statement that writes.
  void execute(const std::string &sql) { kept(sql).execute(params_); }
  /// One that finds nothing by these rows, or by place: there is but one plan for it.
  void execute_plainly(const std::string &sql) { kept(sql, pg::Planning::once).execute(params_); }
  /// Runs a query, whose columns must have these types, in the active snapshot.
  void run(const std::string &sql, const std::vector<Oid> &columns, pg::RowReceiver &receiver) {
    run(kept(sql), columns, receiver);
  }
  /// One whose form leaves the planner one way.
  void run_plainly(const std::string &sql, const std::vector<Oid> &columns, pg::RowReceiver &receiver) {
    run(kept(sql, pg::Planning::once), columns, receiver);
  }
  void run(const pg::Plan &plan, pg::RowReceiver &receiver);
  pg::Cursor open(const std::string &sql) { return {kept(sql), params_}; }

private:
  using Values = std::vector<pg::Param>;
  Values &add_column(const std::string &name, const pg::Type &type);
  pg::Plan kept(const std::string &sql, pg::Planning planning);
  void run(const pg::Plan &plan, const std::vector<Oid> &columns, pg::RowReceiver &receiver) const;
  /// Has the next statement read these rows, and be planned for about so many.
  void give(double expected);

  std::vector<std::uint32_t> which_;
  std::string names_;
  std::vector<pg::Type> columns_;
  std::vector<Values> values_; ///< of each column
  std::unique_ptr<pg::EphemeralTable> table_;
  std::vector<Oid> types_;
  std::vector<pg::Param> params_;
};

pg::Type type_of(Oid oid);
inline pg::Param at_time(core::Micros time) { return {TimestampTzGetDatum(time), false}; }
/// 0, 1, .. count - 1.
std::vector<std::uint32_t> all_of(std::size_t count);

} // namespace attribution::engine
