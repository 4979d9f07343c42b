#include "core/eligibility.hpp"

#include <gtest/gtest.h>

namespace attribution::core {

namespace {

constexpr Micros kDay = 86'400'000'000;
constexpr Micros kConversion = 800'000'000'000'000;

Touch at(Micros time) {
  Touch touch;
  touch.time = time;
  return touch;
}

Eligibility judged(const Tier &tier, Micros time) { return judge(tier, kConversion, at(time)); }

Tier week() { return {0, 7 * kDay, 0, false}; }

} // namespace

TEST(Eligibility, WindowIsClosedAtBothEndsToTheMicrosecond) {
  EXPECT_EQ(judged(week(), kConversion - 7 * kDay), Eligibility::eligible);
  EXPECT_EQ(judged(week(), kConversion - 7 * kDay - 1), Eligibility::outside_window);
  EXPECT_EQ(judged(week(), kConversion - 7 * kDay + 1), Eligibility::eligible);
  EXPECT_EQ(judged(week(), kConversion), Eligibility::eligible);
  EXPECT_EQ(judged(week(), kConversion + 1), Eligibility::after_conversion);
}

TEST(Eligibility, AWindowOfNothingHoldsTheSameMicrosecond) {
  const Tier tier{0, 0, 0, false};
  EXPECT_EQ(judged(tier, kConversion), Eligibility::eligible);
  EXPECT_EQ(judged(tier, kConversion - 1), Eligibility::outside_window);
}

TEST(Eligibility, StrictWantsTheTouchpointBefore) {
  Tier tier = week();
  tier.strict = true;
  EXPECT_EQ(judged(tier, kConversion - 1), Eligibility::eligible);
  EXPECT_EQ(judged(tier, kConversion), Eligibility::after_conversion);
}

TEST(Eligibility, SkewLetsItBeAfterUpToTheToleranceAndNoFurther) {
  Tier tier = week();
  tier.skew = 5;
  EXPECT_EQ(judged(tier, kConversion + 5), Eligibility::eligible);
  EXPECT_EQ(judged(tier, kConversion + 6), Eligibility::after_conversion);
  EXPECT_EQ(judged(tier, kConversion - 7 * kDay), Eligibility::eligible) << "skew does not move the window's other end";
  EXPECT_EQ(judged(tier, kConversion - 7 * kDay - 1), Eligibility::outside_window);
}

TEST(Eligibility, OwnLookbackIsCappedByTheTiers) {
  Touch touch = at(kConversion - kDay);
  touch.lookback = kDay;
  EXPECT_EQ(judge(week(), kConversion, touch), Eligibility::eligible);
  touch.lookback = kDay - 1;
  EXPECT_EQ(judge(week(), kConversion, touch), Eligibility::outside_window);
  touch = at(kConversion - 8 * kDay);
  touch.lookback = 30 * kDay;
  EXPECT_EQ(judge(week(), kConversion, touch), Eligibility::outside_window);
}

TEST(Eligibility, EveryFactRulesATouchpointOut) {
  const auto with = [](Fact fact) {
    Touch touch = at(kConversion - 1);
    touch.facts = fact;
    return judge(week(), kConversion, touch);
  };
  EXPECT_EQ(with(kEmptyKey), Eligibility::empty_key);
  EXPECT_EQ(with(kFiltered), Eligibility::filtered);
  EXPECT_EQ(with(kConflict), Eligibility::conflict);
  EXPECT_EQ(with(kPredicateFails), Eligibility::predicate);
}

TEST(Eligibility, TheFirstTestThatFailsIsNamed) {
  Touch touch = at(kConversion + 1);
  touch.facts = kEmptyKey | kFiltered | kConflict | kPredicateFails;
  EXPECT_EQ(judge(week(), kConversion, touch), Eligibility::empty_key);
  touch.facts = kFiltered | kConflict | kPredicateFails;
  EXPECT_EQ(judge(week(), kConversion, touch), Eligibility::after_conversion);
  touch.time = kConversion - 8 * kDay;
  EXPECT_EQ(judge(week(), kConversion, touch), Eligibility::outside_window);
  touch.time = kConversion - kDay;
  EXPECT_EQ(judge(week(), kConversion, touch), Eligibility::filtered);
  touch.facts = kConflict | kPredicateFails;
  EXPECT_EQ(judge(week(), kConversion, touch), Eligibility::conflict);
}

TEST(Eligibility, InfiniteTimesAreNever) {
  const Tier forever{0, kInfinity, kInfinity, false};
  EXPECT_EQ(judged(forever, kMinusInfinity), Eligibility::outside_window);
  EXPECT_EQ(judged(forever, kInfinity), Eligibility::after_conversion);
}

TEST(Eligibility, TimesNearTheEndsDoNotWrap) {
  EXPECT_EQ(judge(week(), kMinusInfinity + 1, at(kInfinity - 1)), Eligibility::after_conversion);
  EXPECT_EQ(judge(week(), kInfinity - 1, at(kMinusInfinity + 1)), Eligibility::outside_window);
}

TEST(Eligibility, TheWindowHoldsAllThatIsEligible) {
  Tier tier = week();
  tier.skew = 5;
  const Window window = window_of(tier, kConversion);
  EXPECT_EQ(window.since, kConversion - 7 * kDay);
  EXPECT_EQ(window.until, kConversion + 5);
}

} // namespace attribution::core
