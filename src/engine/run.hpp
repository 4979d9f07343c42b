// One batch of a run: claim, read, decide, write; the caller commits.
#pragma once

#include "engine/ledger.hpp"

namespace attribution::engine {

struct RunLimits {
  std::uint32_t conversions; ///< at most so many at a time
  std::size_t batch_bytes;   ///< of their values
  std::size_t memory;        ///< for their touchpoints
};

struct BatchResult {
  std::uint32_t claimed = 0;
  Tally tally;
  std::vector<std::int64_t> by_tier; ///< decided, by tier; organic comes last
};

/// Decides what is due at `now`, which also counts as the arrival of what was never decided before. To be called in
/// READ COMMITTED, as the rule's owner.
BatchResult run_batch(const Binding &binding, std::int64_t run, core::Micros now, const RunLimits &limits);

} // namespace attribution::engine
