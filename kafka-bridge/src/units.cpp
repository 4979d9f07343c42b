#include "units.hpp"

#include "errors.hpp"

#include <charconv>
#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace bridge {

namespace {

using Units = std::initializer_list<std::pair<std::string_view, std::int64_t>>;

std::int64_t parse(const std::string &text, const Units &units, const char *what, const char *example) {
  const auto complain = [&] { return ConfigError("\"" + text + "\" is no " + what + "; write it like " + example); };
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0)
    throw complain();
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const auto &[name, factor] : units)
    if (unit == name) {
      if (number > INT64_MAX / 1000 / factor)
        throw complain();
      return number * factor;
    }
  throw complain();
}

} // namespace

std::chrono::milliseconds parse_duration(const std::string &text) {
  return std::chrono::milliseconds(parse(text, {{"ms", 1}, {"s", 1000}, {"min", 60'000}, {"h", 3'600'000}}, "duration",
                                         "\"250ms\", \"5s\" or \"1min\""));
}

std::int64_t parse_size(const std::string &text) {
  return parse(text, {{"", 1}, {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}, "size", "\"16MiB\"");
}

std::string resolve_secret(const std::string &text) {
  if (text.starts_with("env:")) {
    const char *value = std::getenv(text.c_str() + 4);
    if (value == nullptr)
      throw ConfigError("environment variable " + text.substr(4) + " is not set");
    return value;
  }
  if (text.starts_with("file:")) {
    std::ifstream file(text.substr(5));
    std::string line;
    if (!file || (!std::getline(file, line) && !file.eof()))
      throw ConfigError("file " + text.substr(5) + " can't be read");
    return line;
  }
  return text;
}

} // namespace bridge
