#include "engine/given.hpp"

#include "engine/expression.hpp"

#include <numeric>

namespace attribution::engine {

Given &Given::add(const std::string &name, Oid type, pg::Param array) {
  const std::string number = also(type, array);
  const char *comma = names_.empty() ? "" : ", ";
  arrays_ += joined({comma, "pg_catalog.unnest(", number, ")"});
  names_ += joined({comma, name});
  return *this;
}

Given &Given::add_int4(const std::string &name, const std::function<std::int32_t(std::uint32_t)> &value) {
  return add(name, type_of(INT4OID), [&](std::uint32_t i) { return pg::Param{Int32GetDatum(value(i)), false}; });
}

Given &Given::add_time(const std::string &name, const std::function<core::Micros(std::uint32_t)> &value) {
  return add(name, type_of(TIMESTAMPTZOID), [&](std::uint32_t i) { return at_time(value(i)); });
}

std::string Given::also(Oid type, pg::Param value) {
  types_.push_back(type);
  params_.push_back(value);
  return "$" + std::to_string(types_.size());
}

void Given::run(const std::string &sql, const std::vector<Oid> &columns, pg::RowReceiver &receiver) const {
  const pg::Plan plan = kept(sql);
  plan.expect(columns);
  plan.run(params_, receiver);
}

pg::Type type_of(Oid oid) { return pg::Type::of(oid, InvalidOid); }

std::vector<std::uint32_t> all_of(std::size_t count) {
  std::vector<std::uint32_t> all(count);
  std::iota(all.begin(), all.end(), 0U);
  return all;
}

} // namespace attribution::engine
