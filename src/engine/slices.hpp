// A range of conversions in slices of about as many, by what PostgreSQL knows of their times and places.
#pragma once

#include "engine/batch.hpp"

namespace attribution::engine {

/// At least one. Whatever the statistics say, each conversion lies in one: only how many there are of each is a guess.
struct Slices {
  std::vector<ConversionRange> ranges;
  double conversions = 0; ///< about so many in all; 0: nobody knows
  std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(ranges.size()); }
};

/// At most `most` slices of at least about `least` conversions: by their times, as those of one time have their
/// touchpoints in the same few tables; or by pages, if that comes to the same, as then nobody passes over what is
/// another's. (200,000 in three slices: 343 ms of processor time to attribute them, and 370 by times.) One of what is
/// no table, or was never analyzed. `reader` reads them.
Slices slices_of(const Binding &binding, core::Micros since, core::Micros until, Oid reader, std::uint32_t most,
                 double least);

} // namespace attribution::engine
