#include "core/decide.hpp"

#include "core/model.hpp"
#include "core/reason.hpp"
#include "core/shortlist.hpp"
#include "fakes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <tuple>

namespace attribution::core {

namespace {

using test::FakeRows;

/// Tiers 0 and 2 over relation 0, tier 1 over relation 1.
Rule rule_of(PathKind path, Model model) {
  Rule rule;
  rule.path = path;
  rule.model = model;
  rule.tiers = {{0, 100, 0, false}, {1, 100, 0, false}, {0, 100, 0, false}};
  return rule;
}

std::vector<int> ids(const FakeRows &rows, std::span<const Touch> touches) {
  std::vector<int> result;
  for (const Touch &touch : touches)
    result.push_back(rows.id(touch));
  return result;
}

using Ids = std::vector<int>;

} // namespace

TEST(Decide, NothingEligibleIsOrganic) {
  FakeRows rows;
  const Decision decision = decide(rule_of(PathKind::all, Model::last_touch), {}, rows);
  EXPECT_TRUE(decision.path.empty());
  EXPECT_TRUE(decision.rest.empty());
}

TEST(Decide, AWaterfallTakesTheStrongestTierThatHasAny) {
  FakeRows rows;
  std::vector<Touch> touches = {rows.touch(90, 2, 1), rows.touch(10, 1, 2), rows.touch(20, 1, 3)};
  const Decision decision = decide(rule_of(PathKind::first_match, Model::last_touch), touches, rows);
  EXPECT_EQ(ids(rows, decision.path), (Ids{2, 3}));
  EXPECT_EQ(ids(rows, decision.rest), (Ids{1}));
}

TEST(Decide, AllTiersCompeteInOneOrder) {
  FakeRows rows;
  std::vector<Touch> touches = {rows.touch(90, 2, 1), rows.touch(10, 1, 2), rows.touch(20, 0, 3)};
  const Decision decision = decide(rule_of(PathKind::all, Model::last_touch), touches, rows);
  EXPECT_EQ(ids(rows, decision.path), (Ids{2, 3, 1}));
}

TEST(Decide, AtOneTimeTheWeakerTierComesFirstThenTheLesserId) {
  FakeRows rows;
  std::vector<Touch> touches = {rows.touch(10, 0, 9), rows.touch(10, 0, 5), rows.touch(10, 1, 7), rows.touch(10, 2, 1)};
  const Decision decision = decide(rule_of(PathKind::all, Model::last_touch), touches, rows);
  EXPECT_EQ(ids(rows, decision.path), (Ids{1, 7, 5, 9}));
}

TEST(Decide, ATouchpointCountsOnceAtItsStrongestTier) {
  FakeRows rows;
  std::vector<Touch> touches = {rows.touch(10, 2, 4), rows.touch(10, 0, 4), rows.touch(10, 1, 4)};
  const Decision decision = decide(rule_of(PathKind::all, Model::last_touch), touches, rows);
  ASSERT_EQ(decision.path.size(), 2U) << "ids of different relations never meet";
  EXPECT_EQ(decision.path[0].tier, 1U);
  EXPECT_EQ(decision.path[1].tier, 0U);
  EXPECT_EQ(decision.same.size(), 1U);
}

TEST(Decide, OneIdAtTwoTimesIsTwoTouchpoints) {
  FakeRows rows;
  std::vector<Touch> touches = {rows.touch(10, 0, 4), rows.touch(11, 0, 4)};
  EXPECT_EQ(decide(rule_of(PathKind::all, Model::last_touch), touches, rows).path.size(), 2U);
}

TEST(Decide, OfRowsThatDifferTheLeastByTextStandsForTheTouchpoint) {
  FakeRows rows;
  std::vector<Touch> touches = {rows.touch(10, 0, 4, "b"), rows.touch(10, 0, 4, "a"), rows.touch(10, 0, 4, "c")};
  const Decision decision = decide(rule_of(PathKind::first_match, Model::last_touch), touches, rows);
  ASSERT_EQ(decision.path.size(), 1U);
  EXPECT_EQ(rows.text(decision.path[0]), "a");
}

TEST(Explain, EveryLoserHasItsReason) {
  const Rule rule = rule_of(PathKind::first_match, Model::last_touch);
  FakeRows rows;
  const Touch winner = rows.touch(50, 0, 9);
  const Touch earlier = rows.touch(40, 0, 1);
  const Touch tied = rows.touch(50, 0, 3);
  const Touch weaker = rows.touch(60, 1, 4);
  const Touch again = rows.touch(50, 0, 9, "z");
  const Touch below = rows.touch(50, 2, 9);
  std::vector<Touch> eligible = {winner, earlier, tied, weaker, again, below};
  const Decision decision = decide(rule, eligible, rows);
  const auto reason = [&](const Touch &touch) { return code_of(explain(rule, 100, decision, touch, rows)); };
  EXPECT_STREQ(reason(winner), "won");
  EXPECT_STREQ(reason(earlier), "later_touch");
  EXPECT_STREQ(reason(tied), "tie");
  EXPECT_STREQ(reason(weaker), "stronger_tier");
  EXPECT_STREQ(reason(again), "duplicate");
  EXPECT_STREQ(reason(below), "stronger_tier");
  EXPECT_STREQ(reason(rows.touch(101, 0, 5)), "after_conversion");
  EXPECT_STREQ(reason(rows.touch(-1, 0, 5)), "outside_window");
}

TEST(Explain, TheFirstTouchBeatsLaterOnes) {
  const Rule rule = rule_of(PathKind::all, Model::first_touch);
  FakeRows rows;
  const Touch winner = rows.touch(40, 1, 9);
  const Touch stronger = rows.touch(40, 0, 1);
  const Touch later = rows.touch(41, 0, 3);
  std::vector<Touch> eligible = {later, stronger, winner};
  const Decision decision = decide(rule, eligible, rows);
  EXPECT_EQ(explain(rule, 100, decision, winner, rows), Reason::won);
  EXPECT_EQ(explain(rule, 100, decision, stronger, rows), Reason::tie);
  EXPECT_EQ(explain(rule, 100, decision, later, rows), Reason::earlier_touch);
}

// The contract's rule 2, once more and naively: a map from touchpoints to the best row of each, then one sort.
namespace {

using Key = std::tuple<Micros, std::uint32_t, int>; // time, relation, id

std::vector<Touch> naive_path(const Rule &rule, const std::vector<Touch> &eligible, const FakeRows &rows) {
  std::map<Key, Touch> best;
  for (const Touch &touch : eligible) {
    const Key key{touch.time, rule.tiers[touch.tier].relation, rows.id(touch)};
    const auto [at, added] = best.try_emplace(key, touch);
    if (!added && std::tie(touch.tier, rows.text(touch)) < std::tie(at->second.tier, rows.text(at->second)))
      at->second = touch;
  }
  std::uint32_t strongest = UINT32_MAX;
  for (const auto &[key, touch] : best)
    strongest = std::min(strongest, touch.tier);
  std::vector<Touch> path;
  for (const auto &[key, touch] : best)
    if (rule.path == PathKind::all || touch.tier == strongest)
      path.push_back(touch);
  std::sort(path.begin(), path.end(), [&](const Touch &a, const Touch &b) {
    return std::make_tuple(a.time, -static_cast<int>(a.tier), rows.id(a)) <
           std::make_tuple(b.time, -static_cast<int>(b.tier), rows.id(b));
  });
  return path;
}

} // namespace

/// Random touchpoints full of ties: decide() on all, and on what a shortlist keeps of them, agrees with the naive path.
TEST(Decide, AgreesWithTheNaivePathWhateverTheOrderOfArrival) {
  std::mt19937 random(20260105);
  for (int round = 0; round < 20000; ++round) {
    const Rule rule = rule_of(round % 2 ? PathKind::all : PathKind::first_match,
                              round / 2 % 2 ? Model::first_touch : Model::last_touch);
    FakeRows rows;
    std::vector<Touch> touches;
    for (std::size_t i = random() % 12; i > 0; --i)
      touches.push_back(rows.touch(static_cast<Micros>(random() % 4), random() % 3, static_cast<int>(random() % 3),
                                   std::string(1, static_cast<char>('a' + random() % 3))));
    const std::vector<Touch> expected = naive_path(rule, touches, rows);

    Shortlists winners(rule, Keep::winners, 1, std::pmr::get_default_resource());
    Shortlists everything(rule, Keep::everything, 1, std::pmr::get_default_resource());
    std::size_t kept = 0;
    std::shuffle(touches.begin(), touches.end(), random);
    for (const Touch &touch : touches) {
      ASSERT_TRUE(everything.wants(0, touch));
      everything.add(0, touch, rows, [](const Touch &) { FAIL() << "nothing may be released"; });
      if (!winners.wants(0, touch))
        continue;
      ++kept;
      winners.add(0, touch, rows, [&](const Touch &) { --kept; });
    }
    std::vector<Touch> all;
    everything.collect(0, all);
    ASSERT_EQ(all.size(), touches.size());
    const Decision decision = decide(rule, all, rows);
    ASSERT_EQ(ids(rows, decision.path), ids(rows, expected));
    ASSERT_EQ(decision.path.size() + decision.rest.size() + decision.same.size(), touches.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(decision.path[i].tier, expected[i].tier);
      ASSERT_EQ(rows.text(decision.path[i]), rows.text(expected[i]));
    }

    std::vector<Touch> few;
    winners.collect(0, few);
    ASSERT_EQ(few.size(), kept);
    const Decision short_decision = decide(rule, few, rows);
    ASSERT_EQ(short_decision.path.empty(), expected.empty());
    if (expected.empty())
      continue;
    const bool last = rule.model.kind == Model::last_touch;
    const Touch &winner = last ? short_decision.path.back() : short_decision.path.front();
    const Touch &right = last ? expected.back() : expected.front();
    ASSERT_EQ(rows.id(winner), rows.id(right));
    ASSERT_EQ(winner.tier, right.tier);
    ASSERT_EQ(winner.time, right.time);
    ASSERT_EQ(rows.text(winner), rows.text(right));
  }
}

TEST(Shortlists, ABusyKeyCostsTheMemoryOfOneTouchpoint) {
  const Rule rule = rule_of(PathKind::first_match, Model::last_touch);
  Shortlists shortlists(rule, Keep::winners, 2, std::pmr::get_default_resource());
  FakeRows rows;
  int released = 0;
  for (int i = 0; i < 1000; ++i) {
    const Touch touch = rows.touch(i, 0, i);
    ASSERT_TRUE(shortlists.wants(1, touch));
    shortlists.add(1, touch, rows, [&](const Touch &) { ++released; });
  }
  EXPECT_EQ(released, 999);
  EXPECT_FALSE(shortlists.wants(1, rows.touch(5, 0, 1)));
  EXPECT_FALSE(shortlists.wants(1, rows.touch(5000, 1, 1))) << "a weaker tier can't win a waterfall";
  EXPECT_TRUE(shortlists.settled(1));
  EXPECT_FALSE(shortlists.settled(0));
}

TEST(Shortlists, SoDoesABusyMicrosecond) {
  for (const PathKind path : {PathKind::first_match, PathKind::all})
    for (const Model model : {Model::last_touch, Model::first_touch}) {
      Shortlists shortlists(rule_of(path, model), Keep::winners, 1, std::pmr::get_default_resource());
      FakeRows rows;
      for (int i = 0; i < 1000; ++i)
        shortlists.add(0, rows.touch(7, 0, i % 100, std::to_string(i % 3)), rows, [](const Touch &) {});
      std::vector<Touch> kept;
      shortlists.collect(0, kept);
      if (path == PathKind::all && model == Model::first_touch) {
        EXPECT_EQ(kept.size(), 1000U) << "each may yet be found again at a weaker tier";
        continue;
      }
      ASSERT_EQ(kept.size(), 1U);
      EXPECT_EQ(rows.id(kept[0]), model == Model::last_touch ? 99 : 0);
      EXPECT_EQ(rows.text(kept[0]), "0");
    }
}

TEST(Shortlists, OnlyAWaterfallSettlesEarlyAndNotIfWhatCompetesIsKept) {
  FakeRows rows;
  for (const PathKind path : {PathKind::first_match, PathKind::all})
    for (const Keep keep : {Keep::winners, Keep::path, Keep::everything}) {
      Shortlists shortlists(rule_of(path, Model::last_touch), keep, 1, std::pmr::get_default_resource());
      shortlists.add(0, rows.touch(1, 0, 1), rows, [](const Touch &) {});
      EXPECT_EQ(shortlists.settled(0), path == PathKind::first_match && keep != Keep::everything);
    }
}

} // namespace attribution::core
