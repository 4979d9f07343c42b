// New or reinstalled: which conversions of a key begin an installation.
#pragma once

#include "core/time.hpp"

namespace attribution::core {

/// Folds the conversions of one key, given in (time, id) order. One is new if none is before it, or if it is more than
/// the re-attribution window after the last new one; all others are reinstalls.
class InstallationFold {
public:
  explicit InstallationFold(Micros window) noexcept : window_(window) {}

  /// Whether the next conversion is new. `remembered`: it was found to be new when more of the past was known.
  bool is_new(Micros time, bool remembered) noexcept {
    const bool result = remembered || !any_ || minus(time, last_new_) > window_;
    any_ = true;
    if (result)
      last_new_ = time;
    return result;
  }

private:
  Micros window_;
  bool any_ = false;    ///< whether there was one before
  Micros last_new_ = 0; ///< if so
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
