// The credit rows of a decision, as attribute() shows them and decisions keep them.
#pragma once

#include "core/decide.hpp"
#include "core/model.hpp"

namespace attribution::engine {

/// Calls `credit(position, touch, credit)` for every credit row, oldest first, from 1. Organic: one row, without a
/// touch.
template <class F> void for_each_credit(core::Model model, const core::Decision &decision, F credit) {
  const std::size_t length = decision.path.size();
  int position = 0;
  if (length == 0)
    credit(1, static_cast<const core::Touch *>(nullptr), 1.0);
  for (std::size_t at = 0; at < length; ++at)
    if (const double share = core::credit(model, at, length); share != 0)
      credit(++position, &decision.path[at], share);
}

} // namespace attribution::engine
