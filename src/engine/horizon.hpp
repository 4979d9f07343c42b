// How far back the data reaches: before it, what is not found says nothing.
#pragma once

#include "engine/binding.hpp"

namespace attribution::engine {

/// Whether a conversion at `time` precedes the horizon of its relation, or one of its windows crosses that of a touch
/// relation. What was decided then was decided with more than is left; it is kept.
bool is_beyond_horizon(const Binding &binding, core::Micros time);

} // namespace attribution::engine
