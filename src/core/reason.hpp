// Why a touchpoint got the credit or did not: stable codes, and words for people.
#pragma once

#include "core/decide.hpp"
#include "core/eligibility.hpp"

#include <cstdint>

namespace attribution::core {

/// Stable: users store and compare the codes that code_of() gives.
enum class Reason : std::uint8_t {
  won,
  later_touch,
  earlier_touch,
  stronger_tier,
  tie,
  duplicate,
  outside_window,
  after_conversion,
  empty_key,
  conflict,
  filtered,
  predicate,
  no_match,
  duplicate_conversion,
  beyond_horizon,
};

const char *code_of(Reason reason) noexcept;

/// The reason of a candidate of a conversion at `conversion_time`, given what was decided from all that are eligible
/// (Decision::rest and ::same are not needed).
Reason explain(const Rule &rule, Micros conversion_time, const Decision &decision, const Touch &touch, TouchRows &rows);

} // namespace attribution::core

#include "core/no_postgres.hpp"
