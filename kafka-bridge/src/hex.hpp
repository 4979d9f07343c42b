// Hexadecimal digits.
#pragma once

#include <array>
#include <cstdint>

namespace bridge {

/// The value of each character as a digit; -1: it is none.
inline constexpr std::array<std::int8_t, 256> kHexValues = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (int i = 0; i < 10; ++i)
    values[static_cast<std::size_t>('0' + i)] = static_cast<std::int8_t>(i);
  for (int i = 0; i < 6; ++i)
    values[static_cast<std::size_t>('a' + i)] = values[static_cast<std::size_t>('A' + i)] =
        static_cast<std::int8_t>(10 + i);
  return values;
}();

inline int hex_value(char c) { return kHexValues[static_cast<unsigned char>(c)]; }

} // namespace bridge
