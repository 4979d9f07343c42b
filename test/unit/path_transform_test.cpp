#include "core/path_transform.hpp"

#include <gtest/gtest.h>

namespace attribution::core {

namespace {

/// "DABB" after transforms: what is left, and where it was.
std::string changed(std::string_view channels, std::initializer_list<const char *> transforms) {
  std::vector<NamedStep> path;
  for (const char c : channels)
    path.push_back({std::string(1, c), static_cast<std::uint32_t>(path.size())});
  for (const char *one : transforms)
    transform(path, one);
  std::string result;
  for (const NamedStep &step : path)
    result += (result.empty() ? "" : " ") + step.channel + std::to_string(step.place);
  return result;
}

} // namespace

TEST(PathTransform, Published) {
  EXPECT_EQ(changed("DABB", {"unique"}), "D0 A1 B2 B3");
  EXPECT_EQ(changed("DABBCDCC", {"exposure"}), "D0 A1 B2 C4 D5 C6");
  EXPECT_EQ(changed("DABBCDCC", {"first"}), "D0 A1 B2 C4");
  EXPECT_EQ(changed("DABBCDCC", {"frequency"}), "D(2)0 A(1)1 B(2)2 C(3)4");
}

TEST(PathTransform, Removal) {
  EXPECT_EQ(changed("DADBD", {"remove_if_not_all(D)"}), "A1 B3");
  EXPECT_EQ(changed("DDD", {"remove_if_not_all(D)"}), "D0 D1 D2");
  EXPECT_EQ(changed("DADBDD", {"remove_if_last_and_not_all( D )"}), "D0 A1 D2 B3");
  EXPECT_EQ(changed("DD", {"remove_if_last_and_not_all(D)"}), "D0 D1");
  EXPECT_EQ(changed("", {"remove_if_last_and_not_all(D)", "remove_if_not_all(D)", "first", "exposure"}), "");
}

TEST(PathTransform, OneAfterTheOther) {
  EXPECT_EQ(changed("ABCDE", {"trim_long(2)"}), "D3 E4");
  EXPECT_EQ(changed("ABC", {"trim_long(3)"}), "A0 B1 C2");
  EXPECT_EQ(changed("ADDBB", {"remove_if_not_all(A)", "exposure", "trim_long(1)"}), "B3");
}

TEST(PathTransform, WhatIsNoneIsRefused) {
  for (const char *text : {"", "last", "first(A)", "remove_if_not_all", "remove_if_not_all()", "trim_long",
                           "trim_long(0)", "trim_long(x)", "trim_long(2x)", "trim_long(-1)"}) {
    std::vector<NamedStep> path = {{"A", 0}};
    EXPECT_THROW(transform(path, text), BadTransform) << text;
  }
}

} // namespace attribution::core
