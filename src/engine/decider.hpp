// From a batch of conversions to their decisions: gather tier by tier, keep what matters, let the core decide.
#pragma once

#include "core/decide.hpp"
#include "core/shortlist.hpp"
#include "engine/touch_rows.hpp"
#include "engine/touch_source.hpp"

#include <functional>

namespace attribution::engine {

/// Receives the decisions of a batch, in its order. The decision and the rows live until it returns.
using DecisionSink = std::function<void(std::uint32_t conversion, const core::Decision &decision, TouchRowStore &rows)>;

class Decider {
public:
  /// `memory`: bytes that kept touchpoints may take. A batch that needs more is split; one conversion that needs more
  /// is an ERROR.
  Decider(const Binding &binding, TouchSource &source, core::Keep keep, std::size_t memory);
  void decide(Batch &batch, const DecisionSink &sink);
  /// Some conversions of a batch.
  void decide(Batch &batch, std::uint32_t from, std::uint32_t to, const DecisionSink &sink);

private:
  /// False if the memory does not do; nothing was decided then.
  bool decide_at_once(Batch &batch, std::uint32_t from, std::uint32_t to, const DecisionSink &sink);

  const Binding &binding_;
  TouchSource &source_;
  core::Keep keep_;
  std::size_t memory_;
};

} // namespace attribution::engine
