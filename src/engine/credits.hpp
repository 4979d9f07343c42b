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
/// The same for decisions that are to be stored: they may keep what the path was.
core::Keep keep_to_store(const Binding &binding) noexcept;
bool stores_channels(const Binding &binding) noexcept;

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

/// Divides the credit for conversions by a model of its own.
class Crediting {
public:
  /// By the rule's model.
  explicit Crediting(const Binding &binding) : Crediting(binding, binding.rule.model) {}
  Crediting(const Binding &binding, const core::ModelSpec &model);

  /// Whether several processes may divide side by side.
  bool is_parallel_safe() const { return !author_ || author_.is_parallel_safe(); }

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
  void ask_author(core::Micros conversion_time, std::span<const core::Touch> path);

  TouchChannels channels_;
  core::Weigher weigher_;
  pg::Plan author_; ///< of a weighted model
  std::vector<core::PathStep> steps_;
  std::vector<double> credits_;
};

} // namespace attribution::engine
