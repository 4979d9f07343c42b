#include "engine/check.hpp"

#include "engine/touch_source.hpp"

namespace attribution::engine {

namespace {

/// Prepares a query that holds an author's expression, and blames the expression for what goes wrong.
void check_expression(const std::string &sql, const std::string &what) {
  pg::Plan plan;
  try {
    plan = pg::Plan(sql, {});
  } catch (const pg::PgError &error) {
    const bool lookup = error.error->sqlerrcode == ERRCODE_UNDEFINED_FUNCTION;
    throw pg::Error(error.error->sqlerrcode, what + ": " + error.what(),
                    error.error->detail != nullptr ? error.error->detail : "",
                    lookup ? "Names are looked up in pg_catalog alone: qualify others by their schema."
                           : (error.error->hint != nullptr ? error.error->hint : ""));
  }
  if (plan.is_volatile())
    throw pg::Error(ERRCODE_INVALID_OBJECT_DEFINITION, what + " calls a volatile function", {},
                    "The same data must always give the same decision: use immutable and stable functions.");
}

} // namespace

void check(const Binding &binding, Oid reader) {
  if (!binding.spec.filter.empty())
    check_expression(condition_on(binding.conversions, "conversion", binding.spec.filter),
                     "filter of rule \"" + binding.spec.name + "\"");
  for (std::size_t i = 0; i < binding.tiers.size(); ++i) {
    const TierSpec &spec = binding.spec.tiers[i];
    const BoundTier &tier = binding.tiers[i];
    const std::string of_tier = " of tier \"" + spec.name + "\"";
    if (!spec.filter.empty())
      check_expression(condition_on(tier.touchpoints, "touch", spec.filter), "filter" + of_tier);
    if (!spec.predicate.empty())
      check_expression("SELECT FROM " + tier.touchpoints.name + " AS touch CROSS JOIN " + binding.conversions.name +
                           " AS conversion WHERE (" + spec.predicate + "\n)",
                       "predicate" + of_tier);
  }
  ConversionReader reads(binding, core::kMinusInfinity, core::kMinusInfinity, reader);
  SqlTouchSource(binding, reader).prepare_all();
}

} // namespace attribution::engine
