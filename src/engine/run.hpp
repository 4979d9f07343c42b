// One batch of a run: claim, read, decide, write; the caller commits.
#pragma once

#include "engine/ledger.hpp"
#include "engine/touch_source.hpp"

namespace attribution::engine {

struct RunLimits {
  std::uint32_t conversions; ///< at most so many at a time
  std::size_t batch_bytes;   ///< of their values
  std::size_t memory;        ///< for their touchpoints
  std::size_t candidates;    ///< for what touch indexes name
  bool touch_index;          ///< whether touch indexes are used
};

struct BatchResult {
  std::uint32_t claimed = 0;
  bool rest = false;                           ///< more may be due
  core::Micros reached = core::kMinusInfinity; ///< when the last of them was due
  Tally tally;
  core::Micros next_due = core::kInfinity; ///< when the first of them is due again
  std::vector<std::int64_t> by_tier;       ///< decided, by tier; organic comes last
  IndexTouchSource::Ways ways;             ///< how touchpoints were found
  std::string dead, why;                   ///< the id of the conversion that was set aside, and the error; or empty
};

/// Decides what is due from `since` until `now`, which also counts as the arrival of what was never decided before. To
/// be called in READ COMMITTED, as the rule's owner. With `isolate` it is one conversion, which is set aside if an
/// error says that something is wrong with its data. With `everywhere` earlier decisions are looked for at all times,
/// not only where the queue says they may be.
BatchResult run_batch(const Binding &binding, std::int64_t run, core::Micros since, core::Micros now,
                      const RunLimits &limits, bool isolate, bool everywhere);

/// Whether an error (an SQLSTATE as errcode() takes it) lies in the data of some conversion, and not in the rule or the
/// server: then the others can be decided.
bool is_of_the_data(int sqlstate) noexcept;

} // namespace attribution::engine
