// What long computations in the core are bound by: somebody's memory, and somebody's patience.
#pragma once

#include <cstddef>
#include <exception>

namespace attribution::core {

/// A computation needs more memory than it may have.
class OutOfBudget final : public std::exception {
public:
  const char *what() const noexcept override { return "more memory is needed than is allowed"; }
};

/// Watches a computation. Whoever computes says how much it has done, and how much memory it holds.
class Workload {
public:
  explicit Workload(std::size_t bytes) noexcept : bytes_(bytes) {}
  virtual ~Workload() = default;
  Workload(const Workload &) = delete;
  Workload &operator=(const Workload &) = delete;

  /// `operations` more are done. Now and then it lets pause() throw.
  void did(std::size_t operations) {
    done_ += operations;
    if (done_ < kPause)
      return;
    done_ = 0;
    pause();
  }
  /// Throws OutOfBudget rather than let more than `bytes` be held.
  void hold(std::size_t bytes) {
    if (bytes > bytes_ - held_)
      throw OutOfBudget();
    held_ += bytes;
  }
  void release(std::size_t bytes) noexcept { held_ -= bytes; }

private:
  static constexpr std::size_t kPause = 1 << 20; // a millisecond or so

  /// May throw, to end the computation.
  virtual void pause() {}

  std::size_t bytes_, held_ = 0, done_ = 0;
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
