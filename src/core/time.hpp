// Absolute time and durations, in microseconds, as PostgreSQL's timestamptz and the contract count them.
#pragma once

#include <cstdint>
#include <limits>

namespace attribution::core {

/// Microseconds: of a duration, or since any one epoch. The core never asks which.
using Micros = std::int64_t;

/// PostgreSQL's '-infinity' and 'infinity'. No touchpoint at such a time is ever eligible.
inline constexpr Micros kMinusInfinity = std::numeric_limits<Micros>::min();
inline constexpr Micros kInfinity = std::numeric_limits<Micros>::max();

constexpr bool is_finite(Micros time) noexcept { return time != kMinusInfinity && time != kInfinity; }

/// a + b, held at the ends of the range instead of wrapping. `b` may be negative.
constexpr Micros plus(Micros a, Micros b) noexcept {
  Micros sum = 0;
  if (!__builtin_add_overflow(a, b, &sum))
    return sum;
  return b > 0 ? kInfinity : kMinusInfinity;
}

/// a - b, held at the ends of the range instead of wrapping.
constexpr Micros minus(Micros a, Micros b) noexcept {
  Micros difference = 0;
  if (!__builtin_sub_overflow(a, b, &difference))
    return difference;
  return b < 0 ? kInfinity : kMinusInfinity;
}

} // namespace attribution::core

#include "core/no_postgres.hpp"
