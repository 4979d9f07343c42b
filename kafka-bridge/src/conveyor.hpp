// Two batches between the thread that fills them and the one that loads them: all the back-pressure there is.
#pragma once

#include "batch.hpp"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace bridge {

class Conveyor {
public:
  /// `load` is called in a thread of its own, one batch after another, until it throws.
  explicit Conveyor(std::function<void(Batch &)> load) : load_(std::move(load)), thread_([this] { work(); }) {}
  ~Conveyor() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Conveyor(const Conveyor &) = delete;
  Conveyor &operator=(const Conveyor &) = delete;

  Batch &filling() noexcept { return *filling_; }

  /// Hands the filled batch over if the other one is done with, within the time. Rethrows what `load` threw.
  bool pass(std::chrono::milliseconds within) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, within, [this] { return !is_loading_ || failure_; }))
      return false;
    rethrow();
    std::swap(filling_, loading_);
    filling_->clear();
    is_loading_ = true;
    changed_.notify_all();
    return true;
  }
  /// Whether all that was handed over is committed, within the time.
  bool drain(std::chrono::milliseconds within) {
    std::unique_lock lock(mutex_);
    const bool done = changed_.wait_for(lock, within, [this] { return !is_loading_ || failure_; });
    rethrow();
    return done;
  }
  bool is_idle() {
    const std::lock_guard lock(mutex_);
    rethrow();
    return !is_loading_;
  }

private:
  void rethrow() {
    if (failure_)
      std::rethrow_exception(failure_);
  }
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ending_ || is_loading_; });
      if (!is_loading_ || failure_)
        return;
      lock.unlock();
      std::exception_ptr failure;
      try {
        load_(*loading_);
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      failure_ = failure;
      is_loading_ = false;
      changed_.notify_all();
      if (failure_)
        return;
    }
  }

  std::function<void(Batch &)> load_;
  Batch batches_[2];
  Batch *filling_ = &batches_[0];
  Batch *loading_ = &batches_[1];
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_loading_ = false;
  bool ending_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

} // namespace bridge
