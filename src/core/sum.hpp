// A sum of many numbers that does not depend on their order, but for the last bit.
#pragma once

#include <cmath>

namespace attribution::core {

/// Carries along what each addition rounds away (A. Neumaier, Rundungsfehleranalyse einiger Verfahren zur Summation
/// endlicher Summen, 1974).
class Sum {
public:
  void add(double x) noexcept {
    const double sum = sum_ + x;
    lost_ += std::abs(sum_) >= std::abs(x) ? (sum_ - sum) + x : (x - sum) + sum_;
    sum_ = sum;
  }
  double value() const noexcept { return sum_ + lost_; }

private:
  double sum_ = 0, lost_ = 0;
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
