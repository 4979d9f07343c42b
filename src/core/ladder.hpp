// When an open conversion is decided again: the ladder of delays after its arrival.
#pragma once

#include "core/time.hpp"

#include <optional>

namespace attribution::core {

/// The next time, after `now`, to decide a conversion that arrived at `arrived` and stays open for `lateness` (a
/// duration, >= 0). Nothing: it is closed by now. The rungs are 1 s, 10 s, 1 min, 10 min, 1 h and 6 h after the
/// arrival, as far as they come before the end; the last is the end itself.
std::optional<Micros> next_rung(Micros arrived, Micros now, Micros lateness) noexcept;

} // namespace attribution::core

#include "core/no_postgres.hpp"
