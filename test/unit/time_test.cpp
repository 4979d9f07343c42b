#include "core/time.hpp"

#include <gtest/gtest.h>

namespace attribution::core {

TEST(Time, SumsAndDifferencesStopAtTheEnds) {
  EXPECT_EQ(plus(1, 2), 3);
  EXPECT_EQ(plus(kInfinity, 1), kInfinity);
  EXPECT_EQ(plus(kInfinity - 1, 5), kInfinity);
  EXPECT_EQ(plus(kMinusInfinity + 1, -5), kMinusInfinity);
  EXPECT_EQ(minus(3, 5), -2);
  EXPECT_EQ(minus(kMinusInfinity, 1), kMinusInfinity);
  EXPECT_EQ(minus(0, kMinusInfinity), kInfinity);
  EXPECT_EQ(minus(-2, kInfinity), kMinusInfinity);
}

TEST(Time, OnlyTheTwoEndsAreInfinite) {
  EXPECT_FALSE(is_finite(kInfinity));
  EXPECT_FALSE(is_finite(kMinusInfinity));
  EXPECT_TRUE(is_finite(kInfinity - 1));
  EXPECT_TRUE(is_finite(kMinusInfinity + 1));
}

} // namespace attribution::core
