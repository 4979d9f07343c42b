#include "clock.hpp"

#include "client.hpp"

#include <array>
#include <cstdio>
#include <ctime>

namespace producer {

std::string local_text(std::int64_t unix_ms) {
  const std::time_t seconds = unix_ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> day{};
  std::strftime(day.data(), day.size(), "%Y-%m-%d %H:%M:%S", &parts);
  std::array<char, 8> rest{};
  std::snprintf(rest.data(), rest.size(), ".%03d", static_cast<int>(unix_ms % 1000));
  return std::string(day.data()) + rest.data();
}

std::int64_t parse_time(const std::string &text) {
  std::tm parts{};
  const char *end = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (end == nullptr || *end != '\0')
    tools::fail("\"" + text + "\" is not like 2026-01-31T12:00:00Z");
  return timegm(&parts) * std::int64_t{1000};
}

} // namespace producer
