// Times as text.
#pragma once

#include <cstdint>
#include <string>

namespace producer {

/// "2026-01-31 12:00:00.000", UTC without saying so.
std::string local_text(std::int64_t unix_ms);

/// Of "2026-01-31T12:00:00Z"; ends the program where it is something else.
std::int64_t parse_time(const std::string &text);

} // namespace producer
