// A rule bound to its relations, for one call of SQL.
#pragma once

#include "engine/binding.hpp"
#include "pg/resultset.hpp"
#include "pg/security.hpp"

#include <memory>

namespace attribution::entry {

/// An argument of the call, which must not be null.
inline Datum required(FunctionCallInfo fcinfo, int argument, const char *name) {
  if (PG_ARGISNULL(argument))
    throw pg::Error(ERRCODE_NULL_VALUE_NOT_ALLOWED, std::string(name) + " must not be null");
  return PG_GETARG_DATUM(argument);
}

/// The overrides of a call, for which null is none.
inline Datum overrides_or_none(FunctionCallInfo fcinfo, int argument) {
  if (!PG_ARGISNULL(argument))
    return PG_GETARG_DATUM(argument);
  return pg::call([] { return DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")); });
}

/// Raises an error unless a column can take touch ids. Without tiers there are none, and any type will do.
inline void expect_touch_id(const pg::ResultSet &result, std::size_t column, const engine::Binding &binding) {
  if (!binding.tiers.empty())
    result.expect(column, binding.touch_id);
}

/// What a call asks for: a rule with overrides. Its relations are locked until the end of the transaction.
class AskedRule {
public:
  AskedRule(Datum rule, Datum overrides);
  Oid owner() const noexcept { return known_ ? known_->spec.owner : spec_.owner; }
  /// As the owner. The session remembers it until something that it may rest on changes. (Reading and binding the rule
  /// anew was 0.3 of the 0.5 ms that one conversion took.)
  std::shared_ptr<const engine::Binding> bind();

private:
  std::string key_;
  std::uint64_t as_of_ = 0; ///< what of the alterations the spec may rest on
  std::shared_ptr<const engine::Binding> known_;
  engine::RuleSpec spec_; ///< if it is not known
};

/// A rule bound, with its owner as the present user, for the rest of the call.
class BoundRule {
public:
  BoundRule(Datum rule, Datum overrides) : asked_(rule, overrides), owner_(asked_.owner()), binding_(asked_.bind()) {}

  const engine::Binding &binding() const noexcept { return *binding_; }
  /// Who calls.
  Oid reader() const noexcept { return owner_.caller(); }

private:
  pg::Spi spi_;
  pg::KeptPlans kept_;
  AskedRule asked_;
  pg::AsOwner owner_;
  std::shared_ptr<const engine::Binding> binding_;
};

} // namespace attribution::entry
