// Time zones, for sources that don't say theirs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bridge {

/// Seconds since 1970.
using Seconds = std::int64_t;

/// "UTC", an offset such as "+05:30", or a name of the system's time zone database such as "Europe/Berlin".
class Zone {
public:
  Zone() = default;
  /// Throws ConfigError.
  explicit Zone(const std::string &name);

  /// The time at which clocks of the zone show `local`. Of a time that they skip, or show twice, PostgreSQL's choice:
  /// the offset before the change for the former, the one after it for the latter.
  Seconds to_utc(Seconds local) const noexcept;

private:
  Seconds offset_at(Seconds utc) const noexcept;

  struct Change {
    Seconds at;
    Seconds offset;
  };
  Seconds first_offset_ = 0;
  std::vector<Change> changes_;
};

} // namespace bridge
