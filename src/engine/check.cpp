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
  plan.refuse_volatile(what);
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
  // Reading nothing: what the owner may not read is refused here, and not on the day of the first conversion.
  class Nowhere final : public CandidateSink {
    bool offer(std::uint32_t, const core::Touch &, TupleTableSlot *) noexcept override { return false; }
  } nowhere;
  Batch nothing;
  const ConversionReader none(binding, core::kMinusInfinity, core::kMinusInfinity, reader);
  SqlTouchSource source(binding, reader);
  for (std::size_t tier = 0; tier < binding.tiers.size(); ++tier)
    source.gather(nothing, {}, tier, nowhere);
  source.prepare_near_misses();
}

} // namespace attribution::engine
