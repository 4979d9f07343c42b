#include "engine/check.hpp"

#include "engine/credits.hpp"
#include "engine/enrichment.hpp"
#include "engine/expression.hpp"
#include "engine/installations.hpp"
#include "engine/pending.hpp"
#include "engine/touch_source.hpp"

namespace attribution::engine {

bool check(const Binding &binding, Oid reader) {
  bool immutable = true;
  if (!binding.spec.filter.empty())
    immutable = prepare_expression(condition_on(binding.conversions, "conversion", binding.spec.filter),
                                   "filter of rule \"" + binding.spec.name + "\"")
                    .is_immutable();
  for (std::size_t i = 0; i < binding.tiers.size(); ++i) {
    const TierSpec &spec = binding.spec.tiers[i];
    const BoundTier &tier = binding.tiers[i];
    const std::string of_tier = " of tier \"" + spec.name + "\"";
    if (!spec.filter.empty())
      (void)prepare_expression(condition_on(tier.touchpoints, "touch", spec.filter), "filter" + of_tier);
    if (!binding.spec.channel.empty())
      (void)prepare_expression("SELECT " + channel_of(binding) + " FROM " + tier.touchpoints.name + " AS touch",
                               "channel, for tier \"" + spec.name + "\"");
    if (!spec.predicate.empty())
      (void)prepare_expression("SELECT FROM " + tier.touchpoints.name + " AS touch CROSS JOIN " +
                                   binding.conversions.name + " AS conversion WHERE (" + spec.predicate + "\n)",
                               "predicate" + of_tier);
  }
  // Reading nothing: what the owner may not read is refused here, and not on the day of the first conversion.
  class Nowhere final : public CandidateSink {
    bool offer(std::uint32_t, const core::Touch &, TupleTableSlot *) noexcept override { return false; }
    bool wants(std::uint32_t, const core::Touch &) const noexcept override { return false; }
  } nowhere;
  Batch nothing;
  const ConversionReader none(binding, {core::kMinusInfinity, core::kMinusInfinity}, reader, 0, {});
  SqlTouchSource source(binding, reader, 0, true);
  for (std::size_t tier = 0; tier < binding.tiers.size(); ++tier)
    source.gather(nothing, {}, tier, nowhere);
  source.prepare_near_misses();
  const Crediting crediting(binding);
  const Installations installations(binding, reader);
  check_enrichments(binding, reader);
  check_claimed(binding);
  return immutable;
}

} // namespace attribution::engine
