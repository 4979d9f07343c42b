// What a rule says, as far as deciding needs it: tiers in order, a path, a model.
#pragma once

#include "core/time.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace attribution::core {

/// Which eligible touchpoints compete for the credit.
enum class PathKind : std::uint8_t {
  first_match, ///< those of the strongest tier that has any: the waterfall
  all          ///< those of all tiers, each touchpoint once, at its strongest tier
};

/// How the credit is divided over the path.
enum class Model : std::uint8_t {
  last_touch,
  first_touch,
  last_non_direct, ///< the newest whose channel is none of the named; if there is none, the newest
  linear,          ///< equally
  linear_distinct, ///< equally over the distinct channels, then equally over the touchpoints of each
  position_based,  ///< shares for the first and the last, the rest equally over those between
  time_decay,      ///< half as much for each half-life before the newest
  w_shaped,        ///< shares for the first, the milestone and the last, the rest equally over the others
  weighted         ///< in proportion to weights that somebody else computes
};

/// A model with its settings; those of other models don't matter.
struct ModelSpec {
  ModelSpec(Model kind = Model::last_touch) : kind(kind) {} // NOLINT: a model is one with default settings
  Model kind;
  double first = 0.4, last = 0.4; ///< shares of position_based and w_shaped
  double milestone = 0.3;
  Micros half_life = Micros{7} * 86'400'000'000;
  std::vector<std::string> channels; ///< those that last_non_direct passes over; the milestone of w_shaped
  std::string function;              ///< the weights' author
};

/// Whether one touchpoint gets all the credit, which its place alone decides.
constexpr bool is_single_touch(Model model) noexcept {
  return model == Model::last_touch || model == Model::first_touch;
}
/// Whether credit depends on channels.
constexpr bool needs_channels(Model model) noexcept {
  return model == Model::last_non_direct || model == Model::linear_distinct || model == Model::w_shaped;
}

/// One way to match. Tiers are numbered by strength: 0 is the strongest.
struct Tier {
  std::uint32_t relation = 0; ///< tiers over the same touch relation carry the same number
  Micros lookback = 0;        ///< how long before the conversion a touchpoint still counts; closed
  Micros skew = 0;            ///< how long after the conversion's clock a touchpoint's clock may be; closed
  bool strict = false;        ///< the touchpoint must be before the conversion, not at the same microsecond
};

struct Rule {
  PathKind path = PathKind::first_match;
  ModelSpec model;
  std::vector<Tier> tiers; ///< strongest first
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
