#include "core/ladder.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace attribution::core {

constexpr Micros kSecond = 1'000'000;
constexpr Micros kHour = 3600 * kSecond;

/// All rungs of a conversion that arrives at 0 and is decided just when it is due.
std::vector<Micros> rungs(Micros lateness) {
  std::vector<Micros> all;
  Micros now = 0;
  while (const auto due = next_rung(0, now, lateness)) {
    all.push_back(*due);
    now = *due;
  }
  return all;
}

TEST(Ladder, DelaysGrowUntilItCloses) {
  EXPECT_EQ(rungs(24 * kHour),
            (std::vector<Micros>{kSecond, 10 * kSecond, 60 * kSecond, 600 * kSecond, kHour, 6 * kHour, 24 * kHour}));
}

TEST(Ladder, EndsWithTheLateness) {
  EXPECT_EQ(rungs(kHour), (std::vector<Micros>{kSecond, 10 * kSecond, 60 * kSecond, 600 * kSecond, kHour}));
  EXPECT_EQ(rungs(kHour + 1),
            (std::vector<Micros>{kSecond, 10 * kSecond, 60 * kSecond, 600 * kSecond, kHour, kHour + 1}));
  EXPECT_EQ(rungs(1), (std::vector<Micros>{1}));
  EXPECT_TRUE(rungs(0).empty());
}

TEST(Ladder, WhatWasMissedIsNotMadeUpFor) {
  EXPECT_EQ(next_rung(0, 61 * kSecond, 24 * kHour), 600 * kSecond);
  EXPECT_EQ(next_rung(0, 600 * kSecond - 1, 24 * kHour), 600 * kSecond);
  EXPECT_EQ(next_rung(0, 24 * kHour - 1, 24 * kHour), 24 * kHour);
  EXPECT_EQ(next_rung(0, 24 * kHour, 24 * kHour), std::nullopt);
}

TEST(Ladder, TheEndsOfTimeHold) {
  // What is decided again on demand has arrived at minus infinity: it closes at once.
  EXPECT_EQ(next_rung(kMinusInfinity, 0, 24 * kHour), std::nullopt);
  EXPECT_EQ(next_rung(kInfinity - 1, kInfinity - 2, 24 * kHour), kInfinity);
}

} // namespace attribution::core
