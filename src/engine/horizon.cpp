#include "engine/horizon.hpp"

#include "core/eligibility.hpp"

namespace attribution::engine {

bool is_beyond_horizon(const Binding &binding, core::Micros time) {
  if (binding.spec.horizon && time < *binding.spec.horizon)
    return true;
  for (std::size_t i = 0; i < binding.spec.tiers.size(); ++i)
    if (const std::optional<core::Micros> &horizon = binding.spec.tiers[i].horizon)
      if (core::window_of(binding.rule.tiers[i], time).since < *horizon)
        return true;
  return false;
}

} // namespace attribution::engine
