// Chance that is the same on every machine: std::mt19937_64, whose output the standard fixes, and integers.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace producer {

class Chance {
public:
  explicit Chance(std::uint64_t seed) : engine_(seed) {}
  /// 0 <= result < n.
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(n)); }
  std::int64_t between(std::int64_t low, std::int64_t high) { return low + below(high - low + 1); }
  bool happens(double share) { return static_cast<double>(below(1'000'000)) < share * 1e6; }
  template <typename T> const T &pick(const std::vector<T> &of) {
    return of[static_cast<std::size_t>(below(static_cast<std::int64_t>(of.size())))];
  }
  /// Version 4.
  std::string uuid();

private:
  std::mt19937_64 engine_;
};

} // namespace producer
