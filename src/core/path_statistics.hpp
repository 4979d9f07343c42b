// What can be told of many paths without a model: who begins, ends and assists, and how long they are.
#pragma once

#include "core/sum.hpp"
#include "core/transitions.hpp"

#include <map>

namespace attribution::core {

/// How many conversions each channel began, ended, and assisted without ending them.
class Assists {
public:
  void add(std::span<const Channel> path, const PathCount &count);

  struct Total {
    Sum first, last, assisted;
    std::uint64_t seen = 0; ///< the number of the last path that it was in
  };
  std::span<const Total> totals() const noexcept { return totals_; } ///< by channel
  std::size_t bytes() const noexcept { return totals_.capacity() * sizeof(Total); }

private:
  std::vector<Total> totals_;
  std::uint64_t paths_ = 0;
};

/// Conversions and values by a number, such as the length of their paths.
class Distribution {
public:
  void add(std::int64_t of, const PathCount &count);

  struct Total {
    Sum conversions, value;
  };
  const std::map<std::int64_t, Total> &totals() const noexcept { return totals_; }
  std::size_t bytes() const noexcept { return totals_.size() * (sizeof(Total) + kNodeBytes); }

private:
  static constexpr std::size_t kNodeBytes = 64;
  std::map<std::int64_t, Total> totals_;
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
