// What a rule says, as far as deciding needs it: tiers in order, a path, a model.
#pragma once

#include "core/time.hpp"

#include <cstdint>
#include <vector>

namespace attribution::core {

/// Which eligible touchpoints compete for the credit.
enum class PathKind : std::uint8_t {
  first_match, ///< those of the strongest tier that has any: the waterfall
  all          ///< those of all tiers, each touchpoint once, at its strongest tier
};

/// How the credit is divided over the path.
enum class Model : std::uint8_t { last_touch, first_touch };

/// One way to match. Tiers are numbered by strength: 0 is the strongest.
struct Tier {
  std::uint32_t relation = 0; ///< tiers over the same touch relation carry the same number
  Micros lookback = 0;        ///< how long before the conversion a touchpoint still counts; closed
  Micros skew = 0;            ///< how long after the conversion's clock a touchpoint's clock may be; closed
  bool strict = false;        ///< the touchpoint must be before the conversion, not at the same microsecond
};

struct Rule {
  PathKind path = PathKind::first_match;
  Model model = Model::last_touch;
  std::vector<Tier> tiers; ///< strongest first
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
