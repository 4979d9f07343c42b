#include "core/installations.hpp"

#include <gtest/gtest.h>

namespace attribution::core {

TEST(Installations, TheFirstIsNewAndTheNextIsNot) {
  InstallationFold fold(90);
  EXPECT_TRUE(fold.is_new(0, false));
  EXPECT_FALSE(fold.is_new(0, false)); // of the same microsecond, with a greater id
  EXPECT_FALSE(fold.is_new(1, false));
}

TEST(Installations, TheWindowCountsFromTheLastNewOne) {
  InstallationFold fold(90);
  EXPECT_TRUE(fold.is_new(0, false));
  EXPECT_FALSE(fold.is_new(60, false));
  EXPECT_FALSE(fold.is_new(90, false)); // both ends are closed
  EXPECT_TRUE(fold.is_new(91, false));
  EXPECT_FALSE(fold.is_new(181, false));
  EXPECT_TRUE(fold.is_new(182, false));
}

TEST(Installations, WhatIsRememberedAsNewIsNew) {
  InstallationFold fold(90);
  EXPECT_TRUE(fold.is_new(0, false));
  EXPECT_TRUE(fold.is_new(10, true));
  EXPECT_FALSE(fold.is_new(100, false));
  EXPECT_TRUE(fold.is_new(101, false));
}

TEST(Installations, TimesAtTheEndsDoNotWrap) {
  InstallationFold fold(90);
  EXPECT_TRUE(fold.is_new(kMinusInfinity + 1, false));
  EXPECT_TRUE(fold.is_new(kInfinity - 1, false));
}

} // namespace attribution::core
