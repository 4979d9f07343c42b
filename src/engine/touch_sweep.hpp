// Paths from one pass over all touchpoints: for questions that most of them bear on.
#pragma once

#include "core/model.hpp"
#include "engine/batch.hpp"
#include "engine/touch_rows.hpp"

#include <functional>

namespace attribution::engine {

/// The path of a conversion, oldest touchpoint first; empty means organic.
struct WholePath {
  std::span<const core::Touch> touches;
  std::span<const core::PathStep> steps; ///< the same, with the numbers of their channels
  const TouchIds &rows;
};
/// Receives the paths of a batch, in its order. They live until it returns.
using PathSink = std::function<void(std::uint32_t conversion, const WholePath &path)>;

/// Reads every touchpoint of the time once, without an index or a join, and keeps of those with the keys of conversions
/// the time, the id and the number of the channel. (105,000 conversions, 4.9 M touchpoints, 4.8 M pairs of both: 1.3 s;
/// by touch indexes 4.1 s.)
class TouchSweep {
public:
  /// `reader` must have SELECT on what is read; `channels` numbers the channels.
  TouchSweep(const Binding &binding, Oid reader, core::Channels &channels);

  /// Whether the rule leaves it to key and time alone which touchpoints are eligible, and has keys that can be compared
  /// without SQL.
  bool is_possible() const noexcept { return possible_; }
  /// Whether it takes less time than looking for the touchpoints of each conversion.
  bool pays(const Batch &batch, std::uint32_t from, std::uint32_t to) const;

  enum class Outcome {
    done,
    too_large, ///< for the memory
    unclear    ///< there are touchpoints that are told apart by more than what is kept
  };
  /// Tells the paths of some conversions of a batch, if it is done. `memory`: bytes that touchpoints may take.
  Outcome tell(const Batch &batch, std::uint32_t from, std::uint32_t to, std::size_t memory, const PathSink &sink);

private:
  std::vector<pg::Param> params(const Batch &batch, std::uint32_t from, std::uint32_t to, std::size_t tier) const;

  const Binding &binding_;
  core::Channels &channels_;
  bool possible_;
  std::vector<pg::Plan> plans_;              ///< by tier
  std::vector<std::vector<pg::Exact>> keys_; ///< by tier, by pair
};

} // namespace attribution::engine
