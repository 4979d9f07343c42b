// Why a conversion was decided as it was: every candidate and near miss, with its verdict.
#pragma once

#include "core/reason.hpp"
#include "engine/decider.hpp"

namespace attribution::engine {

/// How many candidates and near misses explain() shows at most.
inline constexpr std::size_t kMostExplained = 100;

/// One line of an explanation. Lives until the sink returns.
struct Explained {
  const TierSpec *tier = nullptr;     ///< null: about the conversion itself
  const core::Touch *touch = nullptr; ///< null: about the tier or the conversion
  Datum touch_id = 0;
  core::Reason reason = core::Reason::no_match;
  std::string verdict; ///< in words
  double credit = 0;
  Way way = Way::none; ///< by which what is eligible in the tier was found, if that was asked for
};
using ExplanationSink = std::function<void(const Explained &)>;

/// Explains the conversion with this id, of type binding.id.type. An id that no row has is an ERROR.
void explain(const Binding &binding, IndexTouchSource &source, Datum conversion_id, Oid reader, std::size_t memory,
             const ExplanationSink &sink);

} // namespace attribution::engine
