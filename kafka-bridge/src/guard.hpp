// When dead letters are too many to go on: then it is the mapping, not the messages.
#pragma once

#include "config.hpp"
#include "errors.hpp"

#include <cstdint>
#include <string>

namespace bridge {

/// Counts what is committed, so that what is tried again counts once.
class Guard {
public:
  explicit Guard(const PipelineConfig &pipeline) : pipeline_(pipeline) {}

  /// Throws Fault if a batch may not be committed.
  void check(std::int64_t messages, std::int64_t dead) const {
    const Guard next = after(messages, dead);
    if (next.in_a_row_ > pipeline_.most_dead_in_a_row)
      throw Fault("the last " + std::to_string(next.in_a_row_) +
                  " messages are all dead letters (errors.max_consecutive)");
    if (static_cast<double>(next.dead_) > pipeline_.most_dead_ratio * static_cast<double>(pipeline_.dead_window))
      throw Fault(std::to_string(next.dead_) + " dead letters among the last " + std::to_string(next.messages_) +
                  " messages (errors.max_ratio)");
  }
  void committed(std::int64_t messages, std::int64_t dead) {
    const Guard next = after(messages, dead);
    messages_ = next.messages_;
    dead_ = next.dead_;
    in_a_row_ = next.in_a_row_;
  }

private:
  Guard after(std::int64_t messages, std::int64_t dead) const {
    Guard next = *this;
    // A batch with anything good in it ends a row.
    next.in_a_row_ = dead == messages ? in_a_row_ + dead : 0;
    next.messages_ += messages;
    next.dead_ += dead;
    if (next.messages_ > pipeline_.dead_window) {
      next.dead_ = next.dead_ * pipeline_.dead_window / next.messages_;
      next.messages_ = pipeline_.dead_window;
    }
    return next;
  }

  const PipelineConfig &pipeline_;
  std::int64_t messages_ = 0;
  std::int64_t dead_ = 0;
  std::int64_t in_a_row_ = 0;
};

} // namespace bridge
