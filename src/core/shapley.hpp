// Shapley values of channels, where they can be had without trying all coalitions.
#pragma once

#include "core/channels.hpp"
#include "core/hash_index.hpp"
#include "core/sum.hpp"
#include "core/transitions.hpp"

#include <map>
#include <span>
#include <vector>

namespace attribution::core {

/// What a channel is credited with; at one place of paths, or (0) at all of them.
struct ShapleyCredit {
  Channel channel = 0;
  std::uint32_t position = 0;
  double conversions = 0, value = 0;
};

/// The game in which a coalition has the conversions all of whose channels are in it. Its Shapley value has a closed
/// form: a conversion is shared equally among the distinct channels of its path (K. Zhao, S. Mahboobi, S. Bagheri,
/// Shapley value methods for attribution modeling in online advertising, 2018). Ordered, a channel's share is split
/// equally over its places in the path.
class Shapley {
public:
  explicit Shapley(bool ordered) noexcept : ordered_(ordered) {}
  void add(std::span<const Channel> path, const PathCount &count);
  /// By channel in the order given, then by position.
  std::vector<ShapleyCredit> credits(const std::vector<Channel> &channels) const;
  PathCount organic() const noexcept { return {organic_[0].value(), organic_[1].value(), 0}; }
  std::size_t bytes() const noexcept;

private:
  /// What a channel has at a place. There are as many as were seen: a row for each channel, as long as the longest
  /// path, would not be bound by what came in.
  struct Cell {
    Channel channel;
    std::uint32_t position;
    Sum conversions, value;
  };
  Cell &cell(Channel channel, std::uint32_t position);

  bool ordered_;
  std::vector<Cell> cells_;
  HashIndex by_place_;
  std::vector<std::uint32_t> times_; ///< how often a channel is in the present path; 0 between paths
  std::vector<Channel> distinct_;
  Sum organic_[2];
};

/// The game in which a coalition has the share of the paths within it that convert: all coalitions have to be tried.
class ConversionRateGame {
public:
  static constexpr std::uint32_t kMostChannels = 16;

  void add(std::span<const Channel> path, const PathCount &count);

  struct Credit {
    Channel channel = 0;
    double shapley_value = 0;                  ///< of the rate; they sum to the rate of all paths, and may be negative
    double conversions = 0;                    ///< all conversions, shared in proportion
    double value_shapley_value = 0, value = 0; ///< the same of what a path is worth
  };
  /// `channels`: all that there are, at most kMostChannels.
  std::vector<Credit> credits(const std::vector<Channel> &channels) const;
  PathCount organic() const noexcept { return organic_; }

private:
  std::map<std::uint32_t, PathCount> sets_; ///< by the bits of the channels' numbers
  PathCount organic_;
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
