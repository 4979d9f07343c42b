// Sorting by a number, digit by digit: of 100,000 elements that takes a quarter of the time that std::sort() does.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <numeric>
#include <span>

namespace attribution::core {

/// Puts elements in the order of `key(element)`, an unsigned number; those of one number in any. `spare` has room for
/// as many. Digits that all have in common cost nothing but a look.
template <class T, class Key> void radix_sort(std::span<T> values, T *spare, Key key) {
  using Number = decltype(key(values[0]));
  constexpr int kBits = 11;
  constexpr std::size_t kDigits = std::size_t{1} << kBits;
  if (values.size() < kDigits / 4) {
    std::sort(values.begin(), values.end(), [&](const T &a, const T &b) { return key(a) < key(b); });
    return;
  }
  Number differ = 0;
  for (const T &value : values)
    differ |= key(value) ^ key(values[0]);
  std::span<T> from = values;
  std::span<T> to(spare, values.size());
  for (int shift = 0; shift < std::numeric_limits<Number>::digits && differ >> shift != 0; shift += kBits) {
    const auto digit = [&](const T &value) { return static_cast<std::size_t>(key(value) >> shift) % kDigits; };
    if ((differ >> shift) % kDigits == 0)
      continue;
    std::array<std::size_t, kDigits> place{};
    for (const T &value : from)
      ++place[digit(value)];
    std::exclusive_scan(place.begin(), place.end(), place.begin(), std::size_t{0});
    for (const T &value : from)
      to[place[digit(value)]++] = value;
    std::swap(from, to);
  }
  if (from.data() != values.data())
    std::copy(from.begin(), from.end(), values.begin());
}

} // namespace attribution::core

#include "core/no_postgres.hpp"
