// Durations and sizes as a configuration has them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace bridge {

/// "250ms", "5s", "1min", "2h". Throws ConfigError.
std::chrono::milliseconds parse_duration(const std::string &text);

/// "4096", "64KiB", "16MiB", "1GiB". Throws ConfigError.
std::int64_t parse_size(const std::string &text);

/// "env:NAME": the environment variable's value. "file:PATH": the file's first line. Anything else is itself. Throws
/// ConfigError.
std::string resolve_secret(const std::string &text);

} // namespace bridge
