#include "decimal.hpp"

#include "json_text.hpp"

#include <charconv>
#include <string>
#include <vector>

namespace bridge {

namespace {

constexpr std::int16_t kPositive = 0x0000;
constexpr std::int16_t kNegative = 0x4000;
constexpr auto kNaN = static_cast<std::int16_t>(0xC000);
// What numeric has room for.
constexpr std::int64_t kMostWhole = 131072;
constexpr std::int64_t kMostScale = 16383;

void append_header(Buffer &out, std::size_t digits, std::int64_t weight, std::int16_t sign, std::int64_t scale) {
  out.int16(static_cast<std::int16_t>(digits));
  out.int16(static_cast<std::int16_t>(weight));
  out.int16(sign);
  out.int16(static_cast<std::int16_t>(scale));
}

} // namespace

bool append_numeric(Buffer &out, std::string_view text) {
  if (text == "NaN") {
    append_header(out, 0, 0, kNaN, 0);
    return true;
  }
  if (!is_json_number(text))
    return false;
  const bool negative = text.starts_with('-');
  if (negative)
    text.remove_prefix(1);
  std::int64_t exponent = 0;
  if (const auto e = text.find_first_of("eE"); e != std::string_view::npos) {
    std::string_view power = text.substr(e + 1);
    if (power.starts_with('+'))
      power.remove_prefix(1);
    const auto [end, error] = std::from_chars(power.data(), power.data() + power.size(), exponent);
    if (error != std::errc() || exponent > kMostWhole || exponent < -kMostWhole)
      return false;
    text = text.substr(0, e);
  }
  const auto point = text.find('.');
  std::string digits(text.substr(0, point));
  auto whole = static_cast<std::int64_t>(digits.size()) + exponent;
  std::int64_t scale = 0;
  if (point != std::string_view::npos) {
    digits += text.substr(point + 1);
    scale = static_cast<std::int64_t>(text.size() - point - 1);
  }
  scale = scale > exponent ? scale - exponent : 0;
  // Zeros in front count for nothing.
  const auto first = digits.find_first_not_of('0');
  if (first == std::string::npos) {
    if (scale > kMostScale)
      return false;
    append_header(out, 0, 0, kPositive, scale);
    return true;
  }
  whole -= static_cast<std::int64_t>(first);
  digits.erase(0, first);
  if (whole > kMostWhole || scale > kMostScale)
    return false;
  // In groups of four around the point: the first one may be short of digits in front, the last one behind.
  const std::int64_t groups_before = whole > 0 ? (whole + 3) / 4 : -((-whole) / 4);
  const auto lead = static_cast<std::size_t>(groups_before * 4 - whole);
  digits.insert(0, lead, '0');
  digits.append((4 - digits.size() % 4) % 4, '0');
  std::vector<std::int16_t> groups;
  for (std::size_t i = 0; i < digits.size(); i += 4)
    groups.push_back(static_cast<std::int16_t>((digits[i] - '0') * 1000 + (digits[i + 1] - '0') * 100 +
                                               (digits[i + 2] - '0') * 10 + (digits[i + 3] - '0')));
  while (!groups.empty() && groups.back() == 0)
    groups.pop_back();
  append_header(out, groups.size(), groups_before - 1, negative ? kNegative : kPositive, scale);
  for (const std::int16_t group : groups)
    out.int16(group);
  return true;
}

} // namespace bridge
