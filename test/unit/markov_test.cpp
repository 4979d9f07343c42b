#include "core/absorbing_chain.hpp"
#include "core/markov.hpp"
#include "letters.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <string>

namespace attribution::core {

namespace {

/// Paths written as "abc": one channel a letter.
struct Walk {
  std::string path;
  PathCount count;
};

std::vector<MarkovCredit> markov_of(const std::vector<Walk> &walks, unsigned order, unsigned channels,
                                    std::size_t memory = std::size_t{1} << 30) {
  Transitions transitions(order);
  for (const Walk &walk : walks)
    transitions.add(numbers(walk.path), walk.count);
  std::vector<Channel> all(channels);
  std::iota(all.begin(), all.end(), 0);
  Workload workload(memory);
  return markov(transitions, all, workload);
}

/// What converts without a channel, by definition: the walk is followed step by step, for as long as any of it is left.
/// Plain and slow; of loops that are left again and again it needs many steps.
struct Followed {
  double conversions = 0, value = 0;
};
Followed follow(const std::vector<Walk> &walks, unsigned order, char without) {
  using State = std::string;
  struct Out {
    double all = 0, conversions = 0, value = 0;
    std::map<State, double> to;
  };
  std::map<State, Out> chain;
  Out &start = chain["^"];
  for (const Walk &walk : walks) {
    const double weight = walk.count.conversions + walk.count.nulls;
    if (walk.path.empty() || weight == 0)
      continue;
    std::vector<State> states;
    if (walk.path.size() <= order)
      states.push_back(walk.path);
    else
      for (std::size_t i = 0; i + order <= walk.path.size(); ++i)
        states.push_back(walk.path.substr(i, order));
    start.to[states[0]] += weight;
    start.all += weight;
    for (std::size_t i = 0; i + 1 < states.size(); ++i) {
      chain[states[i]].to[states[i + 1]] += weight;
      chain[states[i]].all += weight;
    }
    Out &end = chain[states.back()];
    end.all += weight;
    end.conversions += walk.count.conversions;
    end.value += walk.count.value;
  }
  std::map<State, double> here;
  if (start.all > 0)
    here["^"] = start.all;
  Followed result;
  for (int step = 0; step < 20000 && !here.empty(); ++step) {
    std::map<State, double> next;
    for (const auto &[state, mass] : here) {
      const Out &out = chain[state];
      result.conversions += mass * out.conversions / out.all;
      result.value += mass * out.value / out.all;
      for (const auto &[to, weight] : out.to)
        if (to.find(without) == State::npos && mass * weight / out.all > 1e-25)
          next[to] += mass * weight / out.all;
    }
    here = std::move(next);
  }
  return result;
}

std::vector<Walk> random_walks(std::mt19937_64 &random, unsigned channels) {
  std::vector<Walk> walks;
  const std::size_t count = 1 + random() % 40;
  for (std::size_t i = 0; i < count; ++i) {
    Walk walk;
    const std::size_t length = random() % 9;
    for (std::size_t k = 0; k < length; ++k)
      walk.path += static_cast<char>('a' + random() % channels);
    walk.count.conversions = static_cast<double>(random() % 4);
    walk.count.value = walk.count.conversions > 0 ? static_cast<double>(random() % 1000) / 16 : 0;
    walk.count.nulls = static_cast<double>(random() % 6);
    walks.push_back(walk);
  }
  return walks;
}

} // namespace

TEST(Markov, APublishedExample) {
  const std::vector<MarkovCredit> credits = markov_of({{"a", {2, 2, 1}}, {"b", {1, 1, 0}}, {"ab", {1, 1, 0}}}, 1, 2);
  EXPECT_DOUBLE_EQ(credits[0].removal_effect, 0.75);
  EXPECT_DOUBLE_EQ(credits[1].removal_effect, 0.5);
  EXPECT_DOUBLE_EQ(credits[0].conversions, 2.4);
  EXPECT_DOUBLE_EQ(credits[1].conversions, 1.6);
  EXPECT_DOUBLE_EQ(credits[0].value, 2.4);
}

TEST(Markov, AgreesWithWalksThatAreFollowed) {
  std::mt19937_64 random(7); // NOLINT: the same each time
  for (int round = 0; round < 400; ++round) {
    const unsigned channels = 1 + random() % 5;
    const unsigned order = 1 + random() % 4;
    const std::vector<Walk> walks = random_walks(random, channels);
    const std::vector<MarkovCredit> credits = markov_of(walks, order, channels);
    const Followed all = follow(walks, order, '?');
    PathCount total;
    for (const Walk &walk : walks)
      if (!walk.path.empty()) {
        total.conversions += walk.count.conversions;
        total.value += walk.count.value;
      }
    EXPECT_NEAR(all.conversions, total.conversions, 1e-9);
    Sum conversions;
    Sum value;
    for (unsigned channel = 0; channel < channels; ++channel) {
      const Followed less = follow(walks, order, static_cast<char>('a' + channel));
      const MarkovCredit &credit = credits[channel];
      EXPECT_NEAR(credit.removal_effect, total.conversions > 0 ? 1 - less.conversions / total.conversions : 0, 1e-11);
      EXPECT_NEAR(credit.value_removal_effect, total.value > 0 ? 1 - less.value / total.value : 0, 1e-11);
      conversions.add(credit.conversions);
      value.add(credit.value);
    }
    EXPECT_NEAR(conversions.value(), total.conversions, 1e-9);
    EXPECT_NEAR(value.value(), total.value, 1e-9);
  }
}

TEST(Markov, TheOrderOfPathsDoesNotMatter) {
  std::mt19937_64 random(11); // NOLINT: the same each time
  std::vector<Walk> walks = random_walks(random, 5);
  while (walks.size() < 30)
    walks = random_walks(random, 5);
  const std::vector<MarkovCredit> before = markov_of(walks, 2, 5);
  std::reverse(walks.begin(), walks.end());
  const std::vector<MarkovCredit> after = markov_of(walks, 2, 5);
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_EQ(before[i].conversions, after[i].conversions);
}

TEST(Markov, NoDigitsAreLostInLongLoops) {
  // a and b in turn, a million times for each way out; c is met once in a thousand million.
  Transitions transitions(1);
  std::string loop;
  for (int i = 0; i < 1000; ++i)
    loop += "ab";
  transitions.add(numbers(loop), {0, 0, 1e9});
  transitions.add(numbers("abc"), {1, 1, 0});
  transitions.add(numbers("d"), {1e9, 1e9, 0});
  Workload workload(1 << 20);
  const std::vector<MarkovCredit> credits = markov(transitions, {0, 1, 2, 3}, workload);
  const double total = 1e9 + 1;
  for (int i = 0; i < 3; ++i) // a, b and c are on the only way to that conversion
    EXPECT_NEAR(credits[i].removal_effect * total, 1, 1e-12);
  EXPECT_NEAR(credits[3].removal_effect * total, 1e9, 1e-4);
}

TEST(Markov, WithoutConversionsNothingIsCredited) {
  for (const MarkovCredit &credit : markov_of({{"ab", {0, 0, 3}}, {"", {5, 1, 0}}, {"b", {0, 0, 0}}}, 1, 2)) {
    EXPECT_EQ(credit.removal_effect, 0);
    EXPECT_EQ(credit.conversions, 0);
  }
  EXPECT_TRUE(markov_of({}, 3, 0).empty());
}

TEST(Markov, OneChannelHasItAll) {
  const std::vector<MarkovCredit> credits = markov_of({{"aaaa", {3, 6, 9}}}, 2, 1);
  EXPECT_EQ(credits[0].removal_effect, 1);
  EXPECT_EQ(credits[0].conversions, 3);
  EXPECT_EQ(credits[0].value, 6);
}

TEST(Markov, ManyChannelsAreSparse) {
  Transitions transitions(1);
  constexpr Channel kChannels = 5000;
  for (Channel c = 0; c < kChannels; ++c)
    transitions.add(std::vector{c, (c * 7 + 1) % kChannels}, {1, 1, 1});
  std::vector<Channel> all(kChannels);
  std::iota(all.begin(), all.end(), 0);
  Workload workload(std::size_t{64} << 20);
  Sum sum;
  for (const MarkovCredit &credit : markov(transitions, all, workload))
    sum.add(credit.conversions);
  EXPECT_NEAR(sum.value(), kChannels, 1e-7);
}

TEST(Markov, MemoryAndPatienceHaveAnEnd) {
  std::mt19937_64 random(3); // NOLINT: the same each time
  Transitions transitions(1);
  constexpr Channel kChannels = 400;
  for (int i = 0; i < 40000; ++i)
    transitions.add(
        std::vector<Channel>{static_cast<Channel>(random() % kChannels), static_cast<Channel>(random() % kChannels)},
        {1, 1, 0});
  std::vector<Channel> all(kChannels);
  std::iota(all.begin(), all.end(), 0);
  Workload little(100'000);
  EXPECT_THROW(markov(transitions, all, little), OutOfBudget);

  struct Impatient final : Workload {
    Impatient() : Workload(std::size_t{1} << 30) {}
    void pause() override { throw std::string("enough"); }
  } impatient;
  EXPECT_THROW(markov(transitions, all, impatient), std::string);
  Workload enough(std::size_t{1} << 30);
  EXPECT_EQ(markov(transitions, all, enough).size(), kChannels);
}

TEST(Transitions, AreCountedBetweenWindows) {
  Transitions transitions(2);
  transitions.add(numbers("aab"), {1, 5, 2});
  transitions.add(numbers("aaab"), {0, 0, 1});
  transitions.add(numbers("b"), {1, 1, 0});
  std::map<std::string, double> found;
  const auto name = [&](std::uint32_t state) {
    std::string result;
    for (const Channel channel : transitions.channels_of(state))
      result += static_cast<char>('a' + channel);
    return result;
  };
  for (const Transitions::Step &step : transitions.steps())
    if (step.weight.value() > 0)
      found[name(step.from) + ">" + name(step.to)] = step.weight.value();
  for (std::uint32_t state = 0; state < transitions.states().size(); ++state)
    if (transitions.states()[state].started.value() > 0)
      found[">" + name(state)] = transitions.states()[state].started.value();
  EXPECT_EQ(found, (std::map<std::string, double>{{"aa>ab", 4}, {">aa", 4}, {">b", 1}}));
  EXPECT_EQ(transitions.total().conversions, 2);
  EXPECT_EQ(transitions.total().nulls, 3);
}

TEST(AbsorbingChain, DenseAndSparseAgree) {
  std::mt19937_64 random(5); // NOLINT: the same each time
  constexpr std::uint32_t kStates = 40;
  AbsorbingChain chain(kStates);
  const auto fill = [&](AbsorbingChain::Row &row, std::uint32_t self) {
    for (std::uint32_t to = 0; to < kStates; ++to)
      if (to != self && random() % 2)
        row.edges.push_back({to, static_cast<double>(1 + random() % 9)});
    row.exit = {3, 1, 2};
  };
  for (std::uint32_t state = 0; state < kStates; ++state)
    fill(chain.row(state), state);
  fill(chain.start(), kStates);
  Workload workload(1 << 24);
  // At once it is a matrix; the last 15, one at a time, are not.
  const AbsorbingChain at_once = chain.eliminate(std::vector<char>(kStates, 0), workload);
  while (chain.size() > 0) {
    std::vector<char> keep(chain.size(), 1);
    keep[random() % keep.size()] = 0;
    chain = chain.eliminate(keep, workload);
  }
  EXPECT_NEAR(chain.start().exit.conversions / at_once.start().exit.conversions, 1, 1e-13);
  EXPECT_NEAR(chain.start().exit.value / at_once.start().exit.value, 1, 1e-13);
  EXPECT_NEAR(chain.start().exit.all / at_once.start().exit.all, 1, 1e-13);
}

} // namespace attribution::core
