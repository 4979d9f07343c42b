// A range of conversions in slices of about as many, by what PostgreSQL knows of their times.
#pragma once

#include "engine/binding.hpp"

namespace attribution::engine {

/// Slice i is ends[i] <= time < ends[i + 1]; there is at least one. Whatever the statistics say, each conversion lies
/// in one: only how many there are of each is a guess.
struct Slices {
  std::vector<core::Micros> ends;
  double conversions = 0; ///< about so many in all; 0: nobody knows
  std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(ends.size()) - 1; }
};

/// At most `most` slices of at least about `least` conversions. One of what is no table, or was never analyzed.
Slices slices_of(const Binding &binding, core::Micros since, core::Micros until, std::uint32_t most, double least);

} // namespace attribution::engine
