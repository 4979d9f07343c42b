// Paths, counted as steps between states: what a Markov model knows of them.
#pragma once

#include "core/channels.hpp"
#include "core/sum.hpp"

#include <span>
#include <vector>

namespace attribution::core {

/// What paths are worth: how many times one was walked with a conversion at its end, what those were worth, and how
/// many times it was walked without one.
struct PathCount {
  double conversions = 0, value = 0, nulls = 0;
};

/// Counts paths of channels, whose states are windows of the last `order` channels; a shorter path is one state. Steps
/// from a state to itself are not counted: they change no probability of what comes next. Holds states and steps, not
/// paths.
class Transitions {
public:
  static constexpr unsigned kMostOrder = 10;

  /// `order`: 1 to kMostOrder.
  explicit Transitions(unsigned order);

  /// A path without channels counts only as organic(). One that was never walked counts for nothing.
  void add(std::span<const Channel> path, const PathCount &count);

  struct State {
    Sum started; ///< weight of the paths that begin here
    Sum conversions, value, nulls;
    bool is_state = false; ///< not only the beginning of longer paths
  };
  struct Step {
    std::uint32_t from, to;
    Channel channel;
    Sum weight;
  };

  unsigned order() const noexcept { return order_; }
  /// The first is that of no channels.
  const std::vector<State> &states() const noexcept { return states_; }
  /// Those between prefixes of less than `order` channels weigh nothing.
  const std::vector<Step> &steps() const noexcept { return steps_; }
  std::span<const Channel> channels_of(std::uint32_t state) const noexcept {
    return std::span(windows_).subspan(std::size_t{state} * order_, lengths_[state]);
  }
  PathCount total() const noexcept { return {conversions_.value(), value_.value(), nulls_.value()}; }
  PathCount organic() const noexcept { return {organic_[0].value(), organic_[1].value(), organic_[2].value()}; }
  std::size_t bytes() const noexcept;

private:
  std::uint32_t step(std::uint32_t from, Channel channel);
  std::uint32_t state_of(std::span<const Channel> window);

  unsigned order_;
  std::vector<State> states_;
  std::vector<Channel> windows_; ///< `order_` for each state
  std::vector<std::uint8_t> lengths_;
  std::vector<Step> steps_;
  HashIndex by_window_, by_step_;
  Sum conversions_, value_, nulls_; ///< of paths with channels
  Sum organic_[3];
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
