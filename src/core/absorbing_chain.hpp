// A Markov chain that ends: states, the start, and ways out. States are eliminated from it exactly.
#pragma once

#include "core/workload.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace attribution::core {

/// Weights, not probabilities: those of a state's row over their sum are the probabilities of its next step.
///
/// eliminate() takes states out and leaves, for all others, the probabilities of where a walk meets the rest next: the
/// GTH algorithm (W. Grassmann, M. Taksar, D. Heyman, Regenerative analysis and steady state distributions for Markov
/// chains, 1985). It adds, multiplies and divides positive numbers and never subtracts, so that no digits cancel,
/// however close to 1 a loop's probability is.
class AbsorbingChain {
public:
  struct Edge {
    std::uint32_t to;
    double weight;
  };
  /// The weight of leaving the chain from a state: in all, by conversion, and what those conversions are worth.
  struct Exit {
    double all = 0, conversions = 0, value = 0;
  };
  struct Row {
    std::vector<Edge> edges; ///< by `to`; loops are left out: they don't change where a walk goes next
    Exit exit;
  };

  explicit AbsorbingChain(std::uint32_t states) : rows_(states) {}

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(rows_.size()); }
  const Row &row(std::uint32_t state) const noexcept { return rows_[state]; }
  const Row &start() const noexcept { return start_; }
  Row &row(std::uint32_t state) noexcept { return rows_[state]; }
  Row &start() noexcept { return start_; }

  /// The chain without the states that `keep` says no of; those that stay keep their order.
  AbsorbingChain eliminate(std::span<const char> keep, Workload &workload) const;

  std::size_t bytes() const noexcept;

private:
  std::vector<Row> rows_;
  Row start_; ///< nothing leads back to it
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
