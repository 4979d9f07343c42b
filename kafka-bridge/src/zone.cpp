#include "zone.hpp"

#include "errors.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <regex>
#include <string_view>

namespace bridge {

namespace {

// The calendar of 1901 to 2099 repeats after so long: beyond the last change that is listed, rules go on as they were.
constexpr Seconds kCalendar = 28LL * 365 * 86400 + 7LL * 86400;
// Files of the database list changes until 2037; this is 2036.
constexpr Seconds kListedUntil = 2'082'758'400;

/// The 64-bit part of a file of the time zone database (RFC 8536).
class TzFile {
public:
  explicit TzFile(std::string bytes) : bytes_(std::move(bytes)) {}

  std::int64_t number(std::size_t at, std::size_t length) const {
    if (at + length > bytes_.size())
      throw std::out_of_range("time zone file");
    std::uint64_t value = (bytes_[at] & 0x80) != 0 ? ~0ULL : 0;
    for (std::size_t i = 0; i < length; ++i)
      value = value << 8 | static_cast<unsigned char>(bytes_[at + i]);
    return static_cast<std::int64_t>(value);
  }
  std::size_t count(std::size_t header, int which) const {
    return static_cast<std::size_t>(number(header + 20 + 4 * static_cast<std::size_t>(which), 4));
  }
  bool is_header(std::size_t at) const { return bytes_.compare(at, 4, "TZif") == 0; }

private:
  std::string bytes_;
};

std::string read_zone(const std::string &name) {
  static const std::regex kName("[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*");
  if (!std::regex_match(name, kName))
    throw ConfigError("time zone \"" + name + "\" is not known");
  const char *directory = std::getenv("TZDIR");
  std::ifstream file(std::string(directory != nullptr ? directory : "/usr/share/zoneinfo") + "/" + name,
                     std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (bytes.size() < 44)
    throw ConfigError("time zone \"" + name + "\" is not known (is the package tzdata installed?)");
  return bytes;
}

} // namespace

Zone::Zone(const std::string &name) {
  static const std::regex kOffset("([+-])([0-9]{2}):?([0-9]{2})?");
  std::smatch match;
  if (name.empty() || name == "UTC" || name == "Z")
    return;
  if (std::regex_match(name, match, kOffset)) {
    const Seconds offset = std::stoi(match[2]) * 3600 + (match[3].matched ? std::stoi(match[3]) * 60 : 0);
    first_offset_ = match[1] == "-" ? -offset : offset;
    return;
  }
  try {
    const TzFile file(read_zone(name));
    if (!file.is_header(0))
      throw std::out_of_range("time zone file");
    // What comes first is for those who know 32 bits only.
    const std::size_t header = 44 + file.count(0, 3) * 5 + file.count(0, 4) * 6 + file.count(0, 5) +
                               file.count(0, 2) * 8 + file.count(0, 1) + file.count(0, 0);
    if (!file.is_header(header))
      throw std::out_of_range("time zone file");
    const std::size_t times = file.count(header, 3);
    const std::size_t at = header + 44;
    const std::size_t kinds = at + times * 8;
    const std::size_t types = kinds + times;
    const auto offset_of = [&](std::size_t type) { return file.number(types + type * 6, 4); };
    first_offset_ = offset_of(0);
    for (std::size_t i = 0; i < times; ++i)
      changes_.push_back(
          {file.number(at + i * 8, 8), offset_of(static_cast<std::size_t>(file.number(kinds + i, 1) & 0xFF))});
  } catch (const std::out_of_range &) {
    throw ConfigError("time zone \"" + name + "\" can't be read");
  }
}

Seconds Zone::offset_at(Seconds utc) const noexcept {
  if (changes_.empty())
    return first_offset_;
  // Rules that are in force to the end of the list go on.
  if (changes_.back().at > kListedUntil)
    while (utc > changes_.back().at)
      utc -= kCalendar;
  const auto after = std::upper_bound(changes_.begin(), changes_.end(), utc,
                                      [](Seconds time, const Change &change) { return time < change.at; });
  return after == changes_.begin() ? first_offset_ : std::prev(after)->offset;
}

Seconds Zone::to_utc(Seconds local) const noexcept {
  if (changes_.empty())
    return local - first_offset_;
  // No zone is as far as a day and a half from UTC, nor has it two changes within three days.
  constexpr Seconds kReach = 36LL * 3600;
  const Seconds before = offset_at(local - kReach);
  const Seconds after = offset_at(local + kReach);
  const bool before_fits = offset_at(local - before) == before;
  const bool after_fits = offset_at(local - after) == after;
  if (before_fits && after_fits)
    return local - after;
  return local - (after_fits ? after : before);
}

} // namespace bridge
