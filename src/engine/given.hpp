// Rows for a statement: one round trip for a batch.
#pragma once

#include "engine/batch.hpp"
#include "pg/ephemeral_table.hpp"

namespace attribution::engine {

/// A plan for any number of rows takes them for ten, and so does one for few. For many it is to see how large the
/// tables are now: one that was made when they were empty went through all of them for each row, and a run took seven
/// times as long.
constexpr double kAny = 10;
constexpr std::size_t kFew = 50;
constexpr pg::Planning planning_for(std::size_t rows) noexcept {
  return rows <= kFew ? pg::Planning::once : pg::Planning::each_time;
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

  /// What comes after FROM. What the columns' types are, and about how many rows there are, is part of the text that a
  /// kept statement is found by.
  std::string rows() const;
  /// The columns, with commas between them.
  const std::string &names() const noexcept { return names_; }

  /// A parameter of its own; returns its name, "$7".
  std::string also(Oid type, pg::Param value);

  /// A statement that is only prepared.
  pg::Plan prepared(const std::string &sql);
  /// One that is kept. Planned once, if it finds nothing by these rows, or by place, or in a form that leaves but one
  /// way; or else as so many rows deserve.
  pg::Plan kept(const std::string &sql, pg::Planning planning);
  pg::Plan kept(const std::string &sql) { return kept(sql, planning_for(which_.size())); }

  /// Runs a statement that writes. Returns how many rows it wrote.
  std::uint64_t execute(const std::string &sql, pg::Planning planning);
  std::uint64_t execute(const std::string &sql) { return execute(sql, planning_for(which_.size())); }
  /// Runs a query, whose columns must have these types, in the active snapshot.
  void run(const std::string &sql, const std::vector<Oid> &columns, pg::RowReceiver &receiver, pg::Planning planning);
  void run(const std::string &sql, const std::vector<Oid> &columns, pg::RowReceiver &receiver) {
    run(sql, columns, receiver, planning_for(which_.size()));
  }
  void run(const pg::Plan &plan, pg::RowReceiver &receiver);
  pg::Cursor open(const std::string &sql) { return {kept(sql), params_}; }

private:
  using Values = std::vector<pg::Param>;
  Values &add_column(const std::string &name, const pg::Type &type);
  /// About how many rows there are: what a statement is planned for.
  double magnitude() const noexcept;
  /// Has the next statement read these rows.
  void give();

  std::vector<std::uint32_t> which_;
  std::string names_;
  std::vector<pg::Type> columns_;
  std::vector<Values> values_; ///< of each column, until they are in the table
  std::unique_ptr<pg::EphemeralTable> table_;
  std::vector<Oid> types_;
  std::vector<pg::Param> params_;
};

pg::Type type_of(Oid oid);
inline pg::Param at_time(core::Micros time) { return {TimestampTzGetDatum(time), false}; }
/// 0, 1, .. count - 1.
std::vector<std::uint32_t> all_of(std::size_t count);

} // namespace attribution::engine
