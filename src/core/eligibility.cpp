#include "core/eligibility.hpp"

#include <algorithm>

namespace attribution::core {

Eligibility judge(const Tier &tier, Micros conversion_time, const Touch &touch) noexcept {
  if (touch.facts & kEmptyKey)
    return Eligibility::empty_key;
  if (!is_finite(touch.time))
    return touch.time < conversion_time ? Eligibility::outside_window : Eligibility::after_conversion;
  if (touch.time > plus(conversion_time, tier.skew) || (tier.strict && touch.time >= conversion_time))
    return Eligibility::after_conversion;
  if (minus(conversion_time, touch.time) > std::min(tier.lookback, touch.lookback))
    return Eligibility::outside_window;
  if (touch.facts & kFiltered)
    return Eligibility::filtered;
  if (touch.facts & kConflict)
    return Eligibility::conflict;
  if (touch.facts & kPredicateFails)
    return Eligibility::predicate;
  return Eligibility::eligible;
}

Window window_of(const Tier &tier, Micros conversion_time) noexcept {
  return {minus(conversion_time, tier.lookback), plus(conversion_time, tier.skew)};
}

} // namespace attribution::core
