#include "core/markov.hpp"

#include "core/absorbing_chain.hpp"

#include <algorithm>
#include <numeric>

namespace attribution::core {

namespace {

/// The states from which a conversion can be reached, and the channels of each, as ranks.
class States {
public:
  States(const Transitions &transitions, const std::vector<Channel> &channels) : number_(transitions.states().size()) {
    std::vector<std::uint32_t> rank(channels.size());
    for (std::uint32_t i = 0; i < channels.size(); ++i)
      rank[channels[i]] = i;
    std::vector<std::uint32_t> order = converting(transitions);
    const auto ranks = [&](std::uint32_t state) {
      std::vector<std::uint32_t> result;
      for (const Channel channel : transitions.channels_of(state))
        result.push_back(rank[channel]);
      return result;
    };
    // What is computed must not depend on the order in which paths came.
    std::vector<std::vector<std::uint32_t>> windows(number_.size());
    for (const std::uint32_t state : order)
      windows[state] = ranks(state);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return windows[a] < windows[b]; });
    std::fill(number_.begin(), number_.end(), HashIndex::kNone);
    for (const std::uint32_t state : order) {
      number_[state] = static_cast<std::uint32_t>(windows_.size());
      windows_.push_back(std::move(windows[state]));
    }
  }

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(windows_.size()); }
  /// kNone for one without conversions.
  std::uint32_t number(std::uint32_t state) const noexcept { return number_[state]; }
  /// Whether a state has a channel whose rank is in [from, to).
  bool has(std::uint32_t number, std::uint32_t from, std::uint32_t to) const noexcept {
    return std::ranges::any_of(windows_[number], [&](std::uint32_t rank) { return rank >= from && rank < to; });
  }

private:
  static std::vector<std::uint32_t> converting(const Transitions &transitions) {
    const auto &states = transitions.states();
    std::vector<std::vector<std::uint32_t>> sources(states.size());
    for (const Transitions::Step &step : transitions.steps())
      if (step.weight.value() > 0)
        sources[step.to].push_back(step.from);
    std::vector<std::uint32_t> found;
    std::vector<char> seen(states.size(), 0);
    for (std::uint32_t state = 0; state < states.size(); ++state)
      if (states[state].conversions.value() > 0) {
        seen[state] = 1;
        found.push_back(state);
      }
    for (std::size_t next = 0; next < found.size(); ++next)
      for (const std::uint32_t source : sources[found[next]])
        if (!seen[source]) {
          seen[source] = 1;
          found.push_back(source);
        }
    return found;
  }

  std::vector<std::uint32_t> number_;
  std::vector<std::vector<std::uint32_t>> windows_;
};

AbsorbingChain chain_of(const Transitions &transitions, const States &states) {
  AbsorbingChain chain(states.size());
  for (std::uint32_t state = 0; state < transitions.states().size(); ++state) {
    const Transitions::State &from = transitions.states()[state];
    const double started = from.started.value();
    const std::uint32_t number = states.number(state);
    if (number == HashIndex::kNone) {
      chain.start().exit.all += started;
      continue;
    }
    if (started > 0)
      chain.start().edges.push_back({number, started});
    chain.row(number).exit = {from.conversions.value() + from.nulls.value(), from.conversions.value(),
                              from.value.value()};
  }
  for (const Transitions::Step &step : transitions.steps()) {
    const double weight = step.weight.value();
    const std::uint32_t from = states.number(step.from);
    if (!(weight > 0) || from == HashIndex::kNone)
      continue;
    AbsorbingChain::Row &row = chain.row(from);
    if (const std::uint32_t to = states.number(step.to); to != HashIndex::kNone)
      row.edges.push_back({to, weight});
    else
      row.exit.all += weight;
  }
  const auto sort = [](AbsorbingChain::Row &row) { std::ranges::sort(row.edges, {}, &AbsorbingChain::Edge::to); };
  for (std::uint32_t number = 0; number < chain.size(); ++number)
    sort(chain.row(number));
  sort(chain.start());
  return chain;
}

/// What converts after a channel was met, channel by channel. To know it of one, all states without it are eliminated;
/// half of the channels share the elimination of what none of them is in, and so do a quarter, and so on.
class Removal {
public:
  Removal(const States &states, std::uint32_t channels, Workload &workload)
      : states_(states), lost_(channels), workload_(workload) {}

  std::vector<AbsorbingChain::Exit> run(AbsorbingChain chain) {
    std::vector<std::uint32_t> numbers(chain.size());
    std::iota(numbers.begin(), numbers.end(), 0);
    if (!lost_.empty())
      halve(std::move(chain), numbers, 0, static_cast<std::uint32_t>(lost_.size()));
    return std::move(lost_);
  }

private:
  void halve(AbsorbingChain chain, const std::vector<std::uint32_t> &numbers, std::uint32_t from, std::uint32_t to) {
    workload_.did(numbers.size() + 1);
    if (to - from == 1) {
      // Every state that is left has the channel: what the start converts by itself never met it.
      chain.start().exit.conversions = chain.start().exit.value = 0;
      const std::vector<char> none(chain.size(), 0);
      lost_[from] = chain.eliminate(none, workload_).start().exit;
      return;
    }
    const std::uint32_t middle = from + (to - from) / 2;
    const std::size_t bytes = chain.bytes();
    workload_.hold(bytes);
    for (const auto &[first, last] : {std::pair{from, middle}, std::pair{middle, to}}) {
      std::vector<char> keep;
      std::vector<std::uint32_t> kept;
      for (const std::uint32_t number : numbers) {
        keep.push_back(states_.has(number, first, last));
        if (keep.back())
          kept.push_back(number);
      }
      halve(chain.eliminate(keep, workload_), kept, first, last);
    }
    workload_.release(bytes);
  }

  const States &states_;
  std::vector<AbsorbingChain::Exit> lost_;
  Workload &workload_;
};

} // namespace

std::vector<MarkovCredit> markov(const Transitions &transitions, const std::vector<Channel> &channels,
                                 Workload &workload) {
  const PathCount total = transitions.total();
  const States states(transitions, channels);
  const std::vector<AbsorbingChain::Exit> lost =
      Removal(states, static_cast<std::uint32_t>(channels.size()), workload).run(chain_of(transitions, states));
  double conversions = 0, value = 0;
  for (const AbsorbingChain::Exit &exit : lost) {
    conversions += exit.conversions;
    value += exit.value;
  }
  std::vector<MarkovCredit> credits(channels.size());
  for (std::size_t i = 0; i < credits.size(); ++i) {
    credits[i].channel = channels[i];
    // As many leave a state as come to it: so all that converts, converts in the chain too.
    if (conversions > 0) {
      credits[i].removal_effect = lost[i].conversions / total.conversions;
      credits[i].conversions = total.conversions * (lost[i].conversions / conversions);
    }
    if (value > 0) {
      credits[i].value_removal_effect = lost[i].value / total.value;
      credits[i].value = total.value * (lost[i].value / value);
    }
  }
  return credits;
}

} // namespace attribution::core
