// A worker: one session after another, for as long as the program runs.
#pragma once

#include "session.hpp"

#include <atomic>
#include <mutex>
#include <string>
#include <thread>

namespace bridge {

class Worker {
public:
  Worker(const Config &config, const PipelineConfig &pipeline, int number, PipelineMetrics &metrics,
         std::atomic<bool> &stop, std::atomic<int> &exit_code);
  ~Worker() { join(); }
  void join() {
    if (thread_.joinable())
      thread_.join();
  }

  bool is_ready() const { return state_.ready; }
  const std::string &name() const { return name_; }
  /// Why it is not at work, or empty.
  std::string trouble() const {
    const std::lock_guard lock(mutex_);
    return trouble_;
  }

private:
  void work();
  void session();
  void wait(std::chrono::milliseconds time);
  void complain(const std::string &what, bool needs_somebody);

  const Config &config_;
  const PipelineConfig &pipeline_;
  PipelineMetrics &metrics_;
  std::atomic<bool> &stop_;
  std::atomic<int> &exit_code_;
  WorkerState state_;
  Guard guard_;
  std::string name_;
  mutable std::mutex mutex_;
  std::string trouble_;
  std::thread thread_;
};

} // namespace bridge
