#include "engine/given.hpp"

#include "engine/expression.hpp"

#include <numeric>

namespace attribution::engine {

namespace {

/// What the planner takes the rows for: any number, or many.
constexpr double kAny = 10;
constexpr double kMany = 1000;

} // namespace

Given::Values &Given::add_column(const std::string &name, const pg::Type &type) {
  names_ += joined({names_.empty() ? "" : ", ", name});
  columns_.push_back(type);
  values_.emplace_back().reserve(which_.size());
  return values_.back();
}

Given &Given::add_int4(const std::string &name, const std::function<std::int32_t(std::uint32_t)> &value) {
  return add(name, type_of(INT4OID), [&](std::uint32_t i) { return pg::Param{Int32GetDatum(value(i)), false}; });
}

Given &Given::add_time(const std::string &name, const std::function<core::Micros(std::uint32_t)> &value) {
  return add(name, type_of(TIMESTAMPTZOID), [&](std::uint32_t i) { return at_time(value(i)); });
}

std::string Given::rows() const {
  std::string types;
  for (const pg::Type &column : columns_)
    types += std::to_string(column.oid) + " ";
  return joined({pg::Spi::kGiven, " /* ", types, "*/ AS given(", names_, ")"});
}

std::string Given::also(Oid type, pg::Param value) {
  types_.push_back(type);
  params_.push_back(value);
  return "$" + std::to_string(types_.size());
}

pg::Plan Given::prepared(const std::string &sql) {
  give(kAny);
  return {sql, types_};
}

pg::Plan Given::kept(const std::string &sql, pg::Planning planning) {
  give(planning == pg::Planning::once ? kAny : kMany);
  return pg::Plan::kept(sql, types_, planning);
}

void Given::run(const pg::Plan &plan, const std::vector<Oid> &columns, pg::RowReceiver &receiver) const {
  plan.expect(columns);
  plan.run(params_, receiver);
}

void Given::run(const pg::Plan &plan, pg::RowReceiver &receiver) {
  give(kAny);
  plan.run(params_, receiver);
}

void Given::give(double expected) {
  if (!table_) {
    table_ = std::make_unique<pg::EphemeralTable>(columns_);
    table_->fill(which_.size(), [this](std::size_t row, std::size_t column) { return values_[column][row]; });
  }
  table_->give(expected);
}

pg::Type type_of(Oid oid) { return pg::Type::of(oid, InvalidOid); }

std::vector<std::uint32_t> all_of(std::size_t count) {
  std::vector<std::uint32_t> all(count);
  std::iota(all.begin(), all.end(), 0U);
  return all;
}

} // namespace attribution::engine
