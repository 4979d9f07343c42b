// A rule bound to its relations, for one call of SQL.
#pragma once

#include "engine/binding.hpp"
#include "pg/security.hpp"

namespace attribution::entry {

/// An argument of the call, which must not be null.
inline Datum required(FunctionCallInfo fcinfo, int argument, const char *name) {
  if (PG_ARGISNULL(argument))
    throw pg::Error(ERRCODE_NULL_VALUE_NOT_ALLOWED, std::string(name) + " must not be null");
  return PG_GETARG_DATUM(argument);
}

/// A rule bound, with its owner as the present user, for the rest of the call.
class BoundRule {
public:
  BoundRule(Datum rule, Datum overrides)
      : spec_(load(rule, overrides)), owner_(spec_.owner), binding_(engine::bind(std::move(spec_))) {}

  const engine::Binding &binding() const noexcept { return binding_; }
  /// Who calls.
  Oid reader() const noexcept { return owner_.caller(); }

private:
  /// Retention moves a horizon under a lock that keeps everybody away. So the relations are locked first, and what the
  /// rule says of them is read, in a snapshot of its own, when nobody can drop their partitions any more.
  static engine::RuleSpec load(Datum rule, Datum overrides) {
    engine::lock_relations(engine::load_spec(rule, overrides));
    if (IsolationUsesXactSnapshot())
      return engine::load_spec(rule, overrides);
    const pg::FreshSnapshot snapshot;
    return engine::load_spec(rule, overrides);
  }

  pg::Spi spi_;
  pg::KeptPlans kept_;
  engine::RuleSpec spec_;
  pg::AsOwner owner_;
  engine::Binding binding_;
};

} // namespace attribution::entry
