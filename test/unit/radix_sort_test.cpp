#include "core/radix_sort.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace attribution::core {
namespace {

struct Element {
  std::uint64_t key;
  std::size_t number;
  bool operator<(const Element &other) const { return key != other.key ? key < other.key : number < other.number; }
  bool operator==(const Element &) const = default;
};

TEST(RadixSort, PutsAllInOrderWhateverTheirDigits) {
  std::mt19937_64 random(1);
  // None, one and some digits that differ, next to each other or not: an odd number of passes and an even one.
  const std::uint64_t masks[] = {0, 1, 0x7ff, 0x3f'ffff, 0xffff'0000'01ff, 0xff00'0000'0000'0000, UINT64_MAX};
  for (const std::uint64_t mask : masks)
    for (const std::size_t count : {0, 1, 2, 511, 512, 513, 5'000}) {
      std::vector<Element> elements(count), spare(count);
      const std::uint64_t common = random() & ~mask;
      for (std::size_t i = 0; i < count; ++i)
        elements[i] = {common | (random() & mask), i};
      std::vector<Element> expected = elements;
      std::sort(expected.begin(), expected.end());
      radix_sort(std::span(elements), spare.data(), [](const Element &element) { return element.key; });
      ASSERT_TRUE(std::is_sorted(elements.begin(), elements.end(),
                                 [](const Element &a, const Element &b) { return a.key < b.key; }));
      std::sort(elements.begin(), elements.end());
      ASSERT_EQ(elements, expected);
    }
}

} // namespace
} // namespace attribution::core
