// Whether a touchpoint may be credited with a conversion at all: rule 1 of the contract.
#pragma once

#include "core/rule.hpp"
#include "core/touch.hpp"

#include <cstdint>

namespace attribution::core {

enum class Eligibility : std::uint8_t {
  eligible,
  empty_key,
  after_conversion,
  outside_window,
  filtered,
  conflict,
  predicate,
};

/// Judges one candidate of a conversion at `conversion_time` (finite) by its tier; names the first test that fails.
/// Both ends of the window are closed, to the microsecond.
Eligibility judge(const Tier &tier, Micros conversion_time, const Touch &touch) noexcept;

/// The times a touchpoint may have to be eligible: a source need not look outside. Closed at both ends.
struct Window {
  Micros since;
  Micros until;
};
Window window_of(const Tier &tier, Micros conversion_time) noexcept;

} // namespace attribution::core

#include "core/no_postgres.hpp"
