// The one function that decides: every way into the engine ends here.
#pragma once

#include "core/rule.hpp"
#include "core/touch.hpp"

#include <span>

namespace attribution::core {

/// A decision over a conversion's eligible touchpoints. Both spans lie in the span given to decide().
struct Decision {
  std::span<Touch> path; ///< oldest first: (time, weakest tier first, id); empty means organic
  std::span<Touch> rest; ///< eligible, not in the path: touchpoints of weaker tiers, in the same order
  std::span<Touch> same; ///< the same touchpoint again, as another row or at a weaker tier: dropped
};

/// Decides one conversion. `eligible`: all its eligible touchpoints, in any order; they are reordered.
/// Rows with the same relation, id and time are one touchpoint, at its strongest tier; of several rows there the least
/// by text. The order is total, so the same touchpoints give the same decision however they were found.
Decision decide(const Rule &rule, std::span<Touch> eligible, TouchRows &rows);

/// The order of a path: (time, weakest tier first, id). <0, 0 or >0; 0 only for one and the same touchpoint.
int compare_in_path(const Touch &a, const Touch &b, TouchRows &rows);

} // namespace attribution::core

#include "core/no_postgres.hpp"
