// The whole paths of a rule's conversions, read in the way that is cheapest.
#pragma once

#include "engine/credits.hpp"
#include "engine/decider.hpp"
#include "engine/touch_sweep.hpp"

namespace attribution::engine {

/// What reading may take at a time.
struct PathLimits {
  std::uint32_t conversions;    ///< that touchpoints are looked for
  std::size_t conversion_bytes; ///< of the conversions' values
  std::size_t candidate_bytes;  ///< of what touch indexes find
  std::size_t touchpoint_bytes; ///< of touchpoints that are kept
};

class WholePaths {
public:
  /// `reader` must have SELECT on what is read; `touch_indexes`: whether they are used.
  WholePaths(const Binding &binding, Oid reader, const PathLimits &limits, bool touch_indexes);

  /// Tells the path of every conversion with since <= time < until.
  void for_each(core::Micros since, core::Micros until,
                const std::function<void(const Batch &batch, std::uint32_t conversion, const WholePath &path)> &put);
  /// The channels that steps have: what the rule says, or else tiers.
  core::Channels &channels() noexcept { return channels_.table(); }

private:
  void tell(Batch &batch, std::uint32_t from, std::uint32_t to, const PathSink &sink);
  void decide(Batch &batch, std::uint32_t from, std::uint32_t to, const PathSink &sink);

  const Binding &binding_;
  Oid reader_;
  PathLimits limits_;
  TouchChannels channels_;
  IndexTouchSource source_;
  Decider decider_;
  TouchSweep sweep_;
};

} // namespace attribution::engine
