#include "core/heuristics.hpp"
#include "core/model_text.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace attribution::core {

namespace {

constexpr Micros kDay = 86'400'000'000;

/// The credits that a model, as it is written, gives a path: "ab" is a touchpoint of channel a, then one of b.
std::vector<double> credits(std::string_view model, std::string_view channels, std::vector<Micros> times = {}) {
  const ModelSpec spec = parse_model(model);
  Channels table;
  std::vector<Channel> named;
  for (const std::string &name : spec.channels)
    named.push_back(table.number(name));
  std::vector<PathStep> path;
  for (std::size_t i = 0; i < channels.size(); ++i)
    path.push_back({times.empty() ? static_cast<Micros>(i) * kDay : times[i], table.number(channels.substr(i, 1))});
  std::vector<double> result(path.size());
  Weigher weigher(spec, named);
  weigher.weigh(path, result);
  weigher.weigh(path, result); // nothing is left of the path before
  return result;
}

void expect_near(const std::vector<double> &found, const std::vector<double> &wanted) {
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_NEAR(found[i], wanted[i], 1e-15) << "at " << i;
}

std::string problem(std::string_view model) {
  try {
    (void)parse_model(model);
  } catch (const BadModel &error) {
    return error.message;
  }
  return "";
}

} // namespace

TEST(Model, ASingleTouchTakesItAll) {
  expect_near(credits("first_touch", "abc"), {1, 0, 0});
  expect_near(credits("last_touch", "abc"), {0, 0, 1});
  EXPECT_EQ(winner(Model::first_touch, 3), 0U);
  EXPECT_EQ(winner(Model::last_touch, 3), 2U);
}

TEST(Model, TheLastThatIsNotDirect) {
  expect_near(credits("last_non_direct(d)", "abd"), {0, 1, 0});
  expect_near(credits("last_non_direct(d)", "dad"), {0, 1, 0});
  expect_near(credits("last_non_direct(d)", "ddd"), {0, 0, 1});
  expect_near(credits("last_non_direct(d, b)", "abd"), {1, 0, 0});
  expect_near(credits("last_non_direct", "abd"), {0, 0, 1});
}

TEST(Model, LinearCountsTouchpointsOrChannels) {
  expect_near(credits("linear", "aaab"), {0.25, 0.25, 0.25, 0.25});
  expect_near(credits("linear_distinct", "aaab"), {1.0 / 6, 1.0 / 6, 1.0 / 6, 0.5});
  expect_near(credits("linear_distinct", "a"), {1});
}

TEST(Model, ByPosition) {
  expect_near(credits("position_based", "a"), {1});
  expect_near(credits("position_based", "ab"), {0.5, 0.5});
  expect_near(credits("position_based", "abc"), {0.4, 0.2, 0.4});
  expect_near(credits("position_based(0.3, 0.4)", "ab"), {0.45, 0.55});
  expect_near(credits("position_based(0.3, 0.4)", "abcd"), {0.3, 0.15, 0.15, 0.4});
  expect_near(credits("position_based(0.5, 0.5)", "abc"), {0.5, 0, 0.5});
  expect_near(credits("position_based(0, 0)", "abc"), {0, 1, 0});
}

TEST(Model, HalfAsMuchForEachHalfLife) {
  expect_near(credits("time_decay(1 day)", "abc"), {1.0 / 7, 2.0 / 7, 4.0 / 7});
  expect_near(credits("time_decay(12 hours)", "ab"), {0.2, 0.8});
  expect_near(credits("time_decay(1 week)", "ab", {0, 0}), {0.5, 0.5});
  expect_near(credits("time_decay", "ab", {0, 7 * kDay}), {1.0 / 3, 2.0 / 3});
}

TEST(Model, TimeDecayNeitherUnderflowsNorOverflows) {
  // A year ago, with a half-life of a second: in absolute terms both weights would be 0.
  expect_near(credits("time_decay(1 second)", "ab", {0, 1'000'000}), {1.0 / 3, 2.0 / 3});
  expect_near(credits("time_decay(1 second)", "ab", {0, 400 * kDay}), {0, 1});
  expect_near(credits("time_decay", "ab", {kMinusInfinity + 1, kInfinity - 1}), {0, 1});
}

TEST(Model, AW) {
  expect_near(credits("w_shaped(m)", "m"), {1});
  expect_near(credits("w_shaped(m)", "mb"), {2.0 / 3, 1.0 / 3});
  expect_near(credits("w_shaped(m)", "bm"), {1.0 / 3, 2.0 / 3});
  expect_near(credits("w_shaped(m)", "amc"), {1.0 / 3, 1.0 / 3, 1.0 / 3});
  expect_near(credits("w_shaped(m)", "ambc"), {0.3, 0.3, 0.1, 0.3});
  expect_near(credits("w_shaped(m)", "abmcd"), {0.3, 0.05, 0.3, 0.05, 0.3});
  expect_near(credits("w_shaped(m)", "abmmc"), {0.3, 0.05, 0.3, 0.05, 0.3}); // the first of them
  expect_near(credits("w_shaped(m)", "abc"), {3.0 / 7, 1.0 / 7, 3.0 / 7});
  expect_near(credits("w_shaped(m, 0.2, 0.5, 0.1)", "abmc"), {0.2, 0.2, 0.5, 0.1});
  expect_near(credits("w_shaped(m, 0, 1, 0)", "ab"), {0.5, 0.5}); // no milestone, and nothing for others
}

TEST(Model, WeightsAreShared) {
  std::vector<double> weights = {1, 3, 0};
  Weigher(ModelSpec(Model::weighted)).weigh(std::vector<PathStep>(3), weights);
  expect_near(weights, {0.25, 0.75, 0});
  weights = {1e308, 1e308, 0};
  Weigher(ModelSpec(Model::weighted)).weigh(std::vector<PathStep>(3), weights);
  expect_near(weights, {0.5, 0.5, 0});
}

TEST(Model, CreditsSumToOne) {
  std::mt19937_64 random(1); // NOLINT: the same each time
  for (int round = 0; round < 2000; ++round) {
    const std::size_t length = 1 + random() % (round % 100 == 0 ? 10000 : 12);
    std::string channels;
    std::vector<Micros> times;
    for (std::size_t i = 0; i < length; ++i) {
      channels += static_cast<char>('a' + random() % 5);
      times.push_back(static_cast<Micros>(random() % (60 * kDay)));
    }
    std::sort(times.begin(), times.end());
    for (const char *model : {"first_touch", "last_non_direct(a)", "linear", "linear_distinct", "position_based",
                              "position_based(0.1, 0.7)", "position_based(0.3, 0.7)", "time_decay",
                              "time_decay(1 minute)", "w_shaped(c)", "w_shaped(c, 0.6, 0.3, 0.1)"}) {
      Sum sum;
      for (const double credit : credits(model, channels, times)) {
        EXPECT_GE(credit, 0);
        sum.add(credit);
      }
      EXPECT_NEAR(sum.value(), 1, 1e-12) << model << " over " << length;
    }
  }
}

TEST(Model, CreditsOfALongPathSumToOne) {
  const std::string channels(100'000, 'a');
  std::vector<Micros> times(channels.size());
  std::iota(times.begin(), times.end(), 0);
  for (const char *model : {"linear", "linear_distinct", "position_based", "time_decay", "w_shaped(b)"}) {
    Sum sum;
    for (const double credit : credits(model, channels, times))
      sum.add(credit);
    EXPECT_NEAR(sum.value(), 1, 1e-12) << model;
  }
}

TEST(ModelText, SettingsAreRead) {
  EXPECT_EQ(parse_model(" linear ").kind, Model::linear);
  EXPECT_EQ(parse_model("linear()").kind, Model::linear);
  EXPECT_EQ(parse_model("last_non_direct").channels, std::vector<std::string>{"direct"});
  EXPECT_EQ(parse_model("last_non_direct(a b, 'it''s (c, d)' , e)").channels,
            (std::vector<std::string>{"a b", "it's (c, d)", "e"}));
  EXPECT_EQ(parse_model("time_decay").half_life, 7 * kDay);
  EXPECT_EQ(parse_model("time_decay(1.5 hours)").half_life, 5'400'000'000);
  EXPECT_EQ(parse_model("time_decay(2weeks)").half_life, 14 * kDay);
  EXPECT_EQ(parse_model("w_shaped(lead)").channels, std::vector<std::string>{"lead"});
  EXPECT_EQ(parse_model("w_shaped(lead)").first, 0.3);
  EXPECT_EQ(parse_model("w_shaped(lead,0.1,0.2,0.4)").last, 0.4);
  EXPECT_EQ(parse_model("weighted(shop.weight)").function, "shop.weight");
}

TEST(ModelText, WhatMakesNoModelIsRefused) {
  EXPECT_EQ(problem("best_touch"), "unknown model \"best_touch\"");
  EXPECT_EQ(problem(""), "unknown model \"\"");
  for (const char *model : {"linear(1)",
                            "linear(",
                            "linear)",
                            "position_based(0.5)",
                            "position_based(0.6, 0.6)",
                            "position_based(-0.1, 0.5)",
                            "position_based(nan, 0)",
                            "position_based(a, b)",
                            "time_decay(0 days)",
                            "time_decay(-1 day)",
                            "time_decay(7)",
                            "time_decay(1 month)",
                            "time_decay(1e300 days)",
                            "time_decay(1 day, 2 days)",
                            "w_shaped",
                            "w_shaped()",
                            "w_shaped(a, 0.5)",
                            "w_shaped(a, 0.5, 0.5, 0.5)",
                            "last_non_direct(a,)",
                            "last_non_direct('a)",
                            "last_non_direct('a' b)",
                            "weighted",
                            "weighted(f, g)"})
    EXPECT_NE(problem(model), "") << model;
}

TEST(Channels, HaveNumbersAsTheyComeAndAnOrder) {
  Channels channels;
  EXPECT_EQ(channels.number("b"), 0U);
  EXPECT_EQ(channels.number(""), 1U);
  EXPECT_EQ(channels.number("b"), 0U);
  EXPECT_EQ(channels.find("c"), HashIndex::kNone);
  for (int i = 0; i < 1000; ++i)
    EXPECT_EQ(channels.number("channel number " + std::to_string(i)), static_cast<Channel>(i) + 2);
  for (int i = 0; i < 1000; ++i)
    EXPECT_EQ(channels.name(channels.find("channel number " + std::to_string(i))),
              "channel number " + std::to_string(i));
  EXPECT_EQ(channels.by_name().front(), 1U);
  EXPECT_EQ(channels.by_name()[1], 0U);
}

TEST(Sum, DoesNotDependOnTheOrder) {
  Sum up;
  Sum down;
  for (int i = 0; i <= 100; ++i) {
    up.add(i % 2 ? 1e16 : 1e-3);
    down.add(i % 2 ? 1e-3 : 1e16);
  }
  EXPECT_DOUBLE_EQ(up.value(), 50e16 + 51e-3);
  EXPECT_DOUBLE_EQ(down.value(), 51e16 + 50e-3);
}

TEST(Heuristics, GiveEachChannelItsShare) {
  Channels channels;
  const std::vector<ModelSpec> models = {parse_model("linear"), parse_model("last_non_direct(c)")};
  Heuristics heuristics(models, channels);
  const Channel a = channels.number("a");
  const Channel c = channels.find("c");
  heuristics.add(std::vector{a, c}, {4, 10, 0});
  heuristics.add(std::vector{c}, {1, 2, 5});
  heuristics.add({}, {3, 7, 9});
  EXPECT_EQ(heuristics.total(0, a).conversions.value(), 2);
  EXPECT_EQ(heuristics.total(0, c).conversions.value(), 3);
  EXPECT_EQ(heuristics.total(0, c).value.value(), 7);
  EXPECT_EQ(heuristics.total(1, a).conversions.value(), 4);
  EXPECT_EQ(heuristics.total(1, c).conversions.value(), 1);
  EXPECT_EQ(heuristics.organic().conversions, 3);
  EXPECT_EQ(heuristics.organic().value, 7);
}

} // namespace attribution::core
