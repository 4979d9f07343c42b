#include "core/shapley.hpp"
#include "letters.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <string>

namespace attribution::core {

namespace {

struct Journey {
  std::string path;
  PathCount count;
};

std::vector<Journey> random_journeys(std::mt19937_64 &random, unsigned channels) {
  std::vector<Journey> journeys;
  for (std::size_t i = 0; i < 1 + random() % 20; ++i) {
    Journey journey;
    for (std::size_t k = 0; k < 1 + random() % 6; ++k)
      journey.path += static_cast<char>('a' + random() % channels);
    journey.count = {static_cast<double>(random() % 5), static_cast<double>(random() % 9),
                     static_cast<double>(random() % 5)};
    journeys.push_back(journey);
  }
  return journeys;
}

/// By definition: what a channel adds to those who came before it, over all orders of arrival.
template <class Game> std::vector<double> shapley_values(unsigned channels, Game game) {
  std::vector<unsigned> order(channels);
  std::iota(order.begin(), order.end(), 0);
  std::vector<double> sums(channels, 0);
  double orders = 0;
  do {
    std::set<char> there;
    double before = 0;
    for (const unsigned channel : order) {
      there.insert(static_cast<char>('a' + channel));
      const double now = game(there);
      sums[channel] += now - before;
      before = now;
    }
    ++orders;
  } while (std::next_permutation(order.begin(), order.end()));
  for (double &sum : sums)
    sum /= orders;
  return sums;
}

bool within(const std::string &path, const std::set<char> &there) {
  return std::ranges::all_of(path, [&](char c) { return there.contains(c); });
}

std::vector<Channel> all(unsigned channels) {
  std::vector<Channel> result(channels);
  std::iota(result.begin(), result.end(), 0);
  return result;
}

} // namespace

TEST(Shapley, IsWhatAllOrdersOfArrivalGive) {
  std::mt19937_64 random(1); // NOLINT: the same each time
  for (int round = 0; round < 100; ++round) {
    const unsigned channels = 1 + random() % 5;
    const std::vector<Journey> journeys = random_journeys(random, channels);
    Shapley shapley(false);
    for (const Journey &journey : journeys)
      shapley.add(numbers(journey.path), journey.count);
    const std::vector<double> wanted = shapley_values(channels, [&](const std::set<char> &there) {
      double conversions = 0;
      for (const Journey &journey : journeys)
        if (within(journey.path, there))
          conversions += journey.count.conversions;
      return conversions;
    });
    std::vector<double> found(channels, 0);
    for (const ShapleyCredit &credit : shapley.credits(all(channels)))
      found[credit.channel] = credit.conversions;
    for (unsigned channel = 0; channel < channels; ++channel)
      EXPECT_NEAR(found[channel], wanted[channel], 1e-12);
  }
}

TEST(Shapley, OrderedSplitsTheShareOverPlaces) {
  Shapley shapley(true);
  shapley.add(numbers("aba"), {4, 8, 0});
  shapley.add(numbers("b"), {1, 1, 7});
  shapley.add({}, {2, 3, 0});
  std::map<std::pair<Channel, std::uint32_t>, std::pair<double, double>> found;
  for (const ShapleyCredit &credit : shapley.credits({0, 1}))
    found[{credit.channel, credit.position}] = {credit.conversions, credit.value};
  using Key = std::pair<Channel, std::uint32_t>;
  EXPECT_EQ(found.size(), 4U);
  EXPECT_EQ((found[Key{0, 1}]), (std::pair{1.0, 2.0}));
  EXPECT_EQ((found[Key{0, 3}]), (std::pair{1.0, 2.0}));
  EXPECT_EQ((found[Key{1, 2}]), (std::pair{2.0, 4.0}));
  EXPECT_EQ((found[Key{1, 1}]), (std::pair{1.0, 1.0}));
  EXPECT_EQ(shapley.organic().conversions, 2);
}

TEST(Shapley, MemoryIsOfWhatWasSeen) {
  Shapley shapley(true);
  constexpr Channel kChannels = 10000;
  std::vector<Channel> path(100000);
  for (std::size_t at = 0; at < path.size(); ++at)
    path[at] = static_cast<Channel>(at % kChannels);
  shapley.add(path, {1, 1, 0});
  EXPECT_LT(shapley.bytes(), std::size_t{200} * path.size());
  const std::vector<ShapleyCredit> credits = shapley.credits(all(kChannels));
  ASSERT_EQ(credits.size(), path.size());
  EXPECT_EQ(credits[11].channel, 1U);
  EXPECT_EQ(credits[11].position, kChannels + 2U);
  EXPECT_DOUBLE_EQ(credits[11].conversions, 1e-5);
}

TEST(ConversionRateGame, IsWhatAllOrdersOfArrivalGive) {
  std::mt19937_64 random(2); // NOLINT: the same each time
  for (int round = 0; round < 100; ++round) {
    const unsigned channels = 1 + random() % 5;
    const std::vector<Journey> journeys = random_journeys(random, channels);
    ConversionRateGame game;
    PathCount total;
    for (const Journey &journey : journeys) {
      game.add(numbers(journey.path), journey.count);
      total.conversions += journey.count.conversions;
      total.nulls += journey.count.nulls;
    }
    const auto rate = [&](double PathCount::*what) {
      return shapley_values(channels, [&](const std::set<char> &there) {
        double gain = 0;
        double paths = 0;
        for (const Journey &journey : journeys)
          if (within(journey.path, there)) {
            gain += journey.count.*what;
            paths += journey.count.conversions + journey.count.nulls;
          }
        return paths > 0 ? gain / paths : 0;
      });
    };
    const std::vector<double> conversions = rate(&PathCount::conversions);
    const std::vector<double> value = rate(&PathCount::value);
    double sum = 0;
    for (const ConversionRateGame::Credit &credit : game.credits(all(channels))) {
      EXPECT_NEAR(credit.shapley_value, conversions[credit.channel], 1e-12);
      EXPECT_NEAR(credit.value_shapley_value, value[credit.channel], 1e-12);
      sum += credit.conversions;
    }
    EXPECT_NEAR(sum, total.conversions, 1e-10);
  }
}

} // namespace attribution::core
