#include "entry/bound_rule.hpp"

#include <unordered_map>

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_rule_altered);
}

namespace attribution::entry {

namespace {

/// What may have changed since is known all the same: the relations are those of before, almost always.
struct Known {
  std::shared_ptr<const engine::Binding> binding;
  std::uint64_t as_of; ///< of `alterations`
};
using Rules = std::unordered_map<std::string, Known>;
/// With other overrides in each call there would be ever more.
constexpr std::size_t kMostRules = 100;

/// Never destroyed: the process's end is not the place to run destructors.
Rules &known_rules() {
  static auto *rules = new Rules;
  return *rules;
}
std::uint64_t alterations = 0; ///< that this session has heard of

void relation_altered(Datum, Oid) { ++alterations; }
void catalog_altered(Datum, int, uint32) { ++alterations; }

/// A rule is read from its tables (see attribution_rule_altered), from relations, types and who may do what. Any
/// relation will do to read all anew: that is seldom, and finding out which costs more.
void watch_catalogs() {
  static bool watched = false;
  if (std::exchange(watched, true))
    return;
  pg::call([] {
    CacheRegisterRelcacheCallback(relation_altered, 0);
    for (int cache : {TYPEOID, PROCOID, OPEROID, CLAOID, AMOPOPID, CASTSOURCETARGET, COLLOID, NAMESPACEOID, AUTHOID,
                      AUTHMEMROLEMEM})
      CacheRegisterSyscacheCallback(cache, catalog_altered, 0);
  });
}

/// Takes note of what others have committed. Returns the alterations up to now.
std::uint64_t catch_up() {
  pg::call([] { AcceptInvalidationMessages(); });
  return alterations;
}

/// Whoever asks may read the rule, or not.
std::string key_of(Datum rule, Datum overrides) {
  const Oid user = GetUserId();
  std::string key(reinterpret_cast<const char *>(&user), sizeof user);
  for (Datum part : {rule, overrides}) {
    const auto *value = pg::call([part] { return PG_DETOAST_DATUM(part); });
    key.append(reinterpret_cast<const char *>(value), VARSIZE(value));
  }
  return key;
}

} // namespace

AskedRule::AskedRule(Datum rule, Datum overrides) {
  // A snapshot of before may show another rule.
  if (IsolationUsesXactSnapshot()) {
    engine::lock_relations(relations_of(engine::load_spec(rule, overrides)));
    spec_ = engine::load_spec(rule, overrides);
    return;
  }
  watch_catalogs();
  key_ = key_of(rule, overrides);
  // Retention moves a horizon under a lock that keeps everybody away. So the relations are locked first, and what the
  // rule says of them is read, in a snapshot of its own, when nobody can drop their partitions any more.
  std::vector<Oid> locked;
  if (const auto found = known_rules().find(key_); found != known_rules().end()) {
    locked = relations_of(found->second.binding->spec);
    engine::lock_relations(locked);
    if (catch_up() == found->second.as_of) {
      known_ = found->second.binding;
      return;
    }
  }
  if (locked.empty())
    engine::lock_relations(locked = relations_of(engine::load_spec(rule, overrides)));
  for (;; engine::lock_relations(locked)) {
    as_of_ = catch_up();
    const pg::FreshSnapshot snapshot;
    spec_ = engine::load_spec(rule, overrides);
    if (std::vector<Oid> named = relations_of(spec_); std::exchange(locked, named) == named)
      break;
  }
}

std::shared_ptr<const engine::Binding> AskedRule::bind() {
  if (known_)
    return known_;
  known_ = std::make_shared<const engine::Binding>(engine::bind(std::move(spec_)));
  if (!key_.empty() && catch_up() == as_of_) {
    if (known_rules().size() >= kMostRules)
      known_rules().clear();
    known_rules()[key_] = {known_, as_of_};
  }
  return known_;
}

} // namespace attribution::entry

// _rule_altered(): a trigger on the tables that rules are read from. Sessions read anew what they know of rules when
// this transaction commits.
Datum attribution_rule_altered(PG_FUNCTION_ARGS) {
  if (!CALLED_AS_TRIGGER(fcinfo))
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED), errmsg("_rule_altered() is a trigger")));
  CacheInvalidateRelcache(reinterpret_cast<TriggerData *>(fcinfo->context)->tg_relation);
  return PointerGetDatum(nullptr);
}
