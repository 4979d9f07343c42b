#include "core/ladder.hpp"

#include <algorithm>

namespace attribution::core {

namespace {

constexpr Micros kSecond = 1'000'000;
constexpr Micros kMinute = 60 * kSecond;
constexpr Micros kHour = 60 * kMinute;
// Most late touchpoints are seconds late: a transaction that was still open, a queue that was behind. Few are hours
// late.
constexpr Micros kRungs[] = {kSecond, 10 * kSecond, kMinute, 10 * kMinute, kHour, 6 * kHour};

} // namespace

std::optional<Micros> next_rung(Micros arrived, Micros now, Micros lateness) noexcept {
  const Micros end = plus(arrived, lateness);
  if (now >= end)
    return std::nullopt;
  for (const Micros delay : kRungs)
    if (plus(arrived, delay) > now)
      return std::min(plus(arrived, delay), end);
  return end;
}

} // namespace attribution::core
