// The credit rows of a decision, as attribute() shows them and decisions keep them.
#pragma once

#include "core/decide.hpp"
#include "core/model.hpp"
#include "core/shortlist.hpp"
#include "engine/touch_rows.hpp"
#include "pg/spi.hpp"

namespace attribution::engine {

/// How much a model has to see of a path: all of it, or the touchpoints that may win.
core::Keep keep_for(const Binding &binding) noexcept;
/// Whether the touchpoints' channels have to be read for the rule's model.
bool reads_channels(const Binding &binding) noexcept;

/// The numbers of touchpoints' channels. The channel is what the rule says, or else the tier.
class TouchChannels {
public:
  explicit TouchChannels(const Binding &binding) : binding_(binding) {}
  core::Channel of(const core::Touch &touch, const TouchRowStore &rows);
  core::Channels &table() noexcept { return table_; }
  const core::Channels &table() const noexcept { return table_; }

private:
  const Binding &binding_;
  core::Channels table_;
};

/// Divides the credit for conversions by one model.
class Divider {
public:
  /// `channels`: the table that the steps of paths are numbered by.
  Divider(const core::ModelSpec &model, core::Channels &channels);
  /// The credits of a path, which is not empty; they live until the next call.
  std::span<const double> divide(core::Micros conversion_time, std::span<const core::PathStep> path);
  const core::ModelSpec &model() const noexcept { return weigher_.model(); }
  bool is_parallel_safe() const { return !author_ || author_.is_parallel_safe(); }

private:
  void ask_author(core::Micros conversion_time, std::span<const core::PathStep> path);

  core::Weigher weigher_;
  pg::Plan author_; ///< of a weighted model
  std::vector<double> credits_;
};

/// Divides the credit for decisions by the rule's model.
class Crediting {
public:
  explicit Crediting(const Binding &binding) : channels_(binding), divider_(binding.rule.model, channels_.table()) {}

  /// Whether several processes may divide side by side.
  bool is_parallel_safe() const { return divider_.is_parallel_safe(); }

  /// The credits of a decision's path, which is not empty; they live until the next call.
  std::span<const double> credits(core::Micros conversion_time, const core::Decision &decision,
                                  const TouchRowStore &rows);

  /// Calls `credit(position, touch, credit)` for every credit row, oldest first, from 1. Organic: one row, without a
  /// touch.
  template <class F>
  void for_each(core::Micros conversion_time, const core::Decision &decision, const TouchRowStore &rows, F credit) {
    if (decision.path.empty()) {
      credit(1, static_cast<const core::Touch *>(nullptr), 1.0);
      return;
    }
    const std::span<const double> shares = credits(conversion_time, decision, rows);
    int position = 0;
    for (std::size_t at = 0; at < shares.size(); ++at)
      if (shares[at] != 0)
        credit(++position, &decision.path[at], shares[at]);
  }

private:
  TouchChannels channels_;
  Divider divider_;
  std::vector<core::PathStep> steps_;
};

} // namespace attribution::engine
