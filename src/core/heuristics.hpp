// Several models over whole paths: what each gives each channel.
#pragma once

#include "core/model.hpp"
#include "core/sum.hpp"
#include "core/transitions.hpp"

namespace attribution::core {

class Heuristics {
public:
  /// `channels`: the table that paths will be numbered by; the models' own channels are added to it.
  Heuristics(std::span<const ModelSpec> models, Channels &channels);

  /// Touchpoints of a path count as a day apart.
  void add(std::span<const Channel> path, const PathCount &count);

  struct Total {
    Sum conversions, value;
    bool any = false; ///< the channel was in a path
  };
  std::size_t models() const noexcept { return weighers_.size(); }
  const Total &total(std::size_t model, Channel channel) const noexcept { return totals_[model][channel]; }
  /// Channels that were seen have numbers below this.
  Channel end() const noexcept { return static_cast<Channel>(totals_.empty() ? 0 : totals_[0].size()); }
  PathCount organic() const noexcept { return {organic_[0].value(), organic_[1].value(), 0}; }
  std::size_t bytes() const noexcept;

private:
  std::vector<Weigher> weighers_;
  std::vector<std::vector<Total>> totals_; ///< by model, then by channel
  std::vector<PathStep> steps_;
  std::vector<double> credits_;
  Sum organic_[2];
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
