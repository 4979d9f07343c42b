// How credit is divided over a path.
#pragma once

#include "core/channels.hpp"
#include "core/rule.hpp"

#include <cstddef>
#include <span>

namespace attribution::core {

/// The position that a single-touch model gives all the credit, of a path of `length` >= 1; 0 is the oldest.
std::size_t winner(Model model, std::size_t length) noexcept;

/// A touchpoint as models see it. Without channels all are of one.
struct PathStep {
  Micros time = 0;
  Channel channel = 0;
};

/// Divides credit by one model. Keeps memory from one path to the next.
class Weigher {
public:
  /// `named`: the numbers of the model's own channels in the table that the steps' are of.
  explicit Weigher(ModelSpec model, std::vector<Channel> named = {});

  /// Sets credits[i] of the i-th step, oldest first; they sum to 1. For Model::weighted `credits` holds the weights:
  /// finite, not negative, not all 0 (that is the caller's to check).
  void weigh(std::span<const PathStep> path, std::span<double> credits);

  const ModelSpec &model() const noexcept { return model_; }

private:
  bool is_named(Channel channel) const noexcept;
  void weigh_distinct(std::span<const PathStep> path, std::span<double> credits);
  void weigh_position(std::span<double> credits) const noexcept;
  void weigh_decay(std::span<const PathStep> path, std::span<double> credits) const noexcept;
  void weigh_w(std::span<const PathStep> path, std::span<double> credits) const noexcept;

  ModelSpec model_;
  std::vector<Channel> named_;
  std::vector<std::uint32_t> times_; ///< by channel; all 0 between paths
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
