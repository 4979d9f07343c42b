// Paths that led to no conversion.
#pragma once

#include "engine/binding.hpp"

namespace attribution::engine {

/// Of each key of a rule's strongest tier the touchpoints within its lookback, and their own, of the last: those that
/// match no conversion of the range, as far as key and conflict say. Columns: channels, ids as text, times; oldest
/// first. $1, $2: the range; $3: the empty values; $4: the lookback in microseconds, int8.
///
/// A predicate says nothing of a touchpoint without a conversion: it is not asked.
std::string null_paths(const Binding &binding);

} // namespace attribution::engine
