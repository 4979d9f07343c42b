#include "engine/given.hpp"

#include "engine/expression.hpp"

#include <numeric>

namespace attribution::engine {

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
  return joined({pg::Spi::kGiven, " /* ", std::to_string(static_cast<long>(magnitude())), " of ", types, "*/ AS given(",
                 names_, ")"});
}

double Given::magnitude() const noexcept {
  double rows = kAny;
  if (which_.size() > kFew)
    while (rows < static_cast<double>(which_.size()))
      rows *= 10;
  return rows;
}

std::string Given::also(Oid type, pg::Param value) {
  types_.push_back(type);
  params_.push_back(value);
  return "$" + std::to_string(types_.size());
}

pg::Plan Given::prepared(const std::string &sql) {
  give();
  return {sql, types_};
}

pg::Plan Given::kept(const std::string &sql, pg::Planning planning) {
  give();
  return pg::Plan::kept(sql, types_, planning);
}

std::uint64_t Given::execute(const std::string &sql, pg::Planning planning) {
  const pg::Plan plan = kept(sql, planning);
  const std::uint64_t count = plan.execute(params_).count;
  plan.let_go();
  return count;
}

void Given::run(const std::string &sql, const std::vector<Oid> &columns, pg::RowReceiver &receiver,
                pg::Planning planning) {
  const pg::Plan plan = kept(sql, planning);
  plan.expect(columns);
  plan.run(params_, receiver);
  plan.let_go();
}

void Given::run(const pg::Plan &plan, pg::RowReceiver &receiver) {
  give();
  plan.run(params_, receiver);
}

void Given::give() {
  if (!table_) {
    table_ = std::make_unique<pg::EphemeralTable>(columns_);
    table_->fill(which_.size(), [this](std::size_t row, std::size_t column) { return values_[column][row]; });
    values_ = {};
  }
  table_->give(magnitude());
}

pg::Type type_of(Oid oid) { return pg::Type::of(oid, InvalidOid); }

std::vector<std::uint32_t> all_of(std::size_t count) {
  std::vector<std::uint32_t> all(count);
  std::iota(all.begin(), all.end(), 0U);
  return all;
}

} // namespace attribution::engine
