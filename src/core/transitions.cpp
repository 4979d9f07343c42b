#include "core/transitions.hpp"

#include <algorithm>

namespace attribution::core {

Transitions::Transitions(unsigned order) : order_(order) { state_of({}); }

std::uint32_t Transitions::state_of(std::span<const Channel> window) {
  std::uint64_t hash = window.size();
  for (const Channel channel : window)
    hash = mix(hash * 31 + channel);
  const std::uint32_t known =
      by_window_.find(hash, [&](std::uint32_t state) { return std::ranges::equal(channels_of(state), window); });
  if (known != HashIndex::kNone)
    return known;
  states_.emplace_back();
  lengths_.push_back(static_cast<std::uint8_t>(window.size()));
  windows_.insert(windows_.end(), window.begin(), window.end());
  windows_.resize(states_.size() * order_);
  return by_window_.add(hash);
}

std::uint32_t Transitions::step(std::uint32_t from, Channel channel) {
  const std::uint64_t hash = mix(std::uint64_t{from} << 32 | channel);
  const std::uint32_t known =
      by_step_.find(hash, [&](std::uint32_t at) { return steps_[at].from == from && steps_[at].channel == channel; });
  if (known != HashIndex::kNone)
    return known;
  Channel window[kMostOrder];
  const std::span<const Channel> old = channels_of(from);
  const std::size_t kept = std::min<std::size_t>(old.size(), order_ - 1);
  std::ranges::copy(old.last(kept), window);
  window[kept] = channel;
  steps_.push_back({from, state_of(std::span(window, kept + 1)), channel, {}});
  return by_step_.add(hash);
}

void Transitions::add(std::span<const Channel> path, const PathCount &count) {
  const double weight = count.conversions + count.nulls;
  if (!(weight > 0))
    return;
  if (path.empty()) {
    organic_[0].add(count.conversions);
    organic_[1].add(count.value);
    organic_[2].add(count.nulls);
    return;
  }
  std::uint32_t state = 0;
  for (const Channel channel : path) {
    Step &step = steps_[this->step(state, channel)];
    if (lengths_[state] < order_) {
      if (lengths_[step.to] == order_)
        states_[step.to].started.add(weight);
    } else if (step.to != state) {
      step.weight.add(weight);
    }
    state = step.to;
    states_[state].is_state |= lengths_[state] == order_;
  }
  State &end = states_[state];
  if (lengths_[state] < order_)
    end.started.add(weight);
  end.is_state = true;
  end.conversions.add(count.conversions);
  end.value.add(count.value);
  end.nulls.add(count.nulls);
  conversions_.add(count.conversions);
  value_.add(count.value);
  nulls_.add(count.nulls);
}

std::size_t Transitions::bytes() const noexcept {
  return states_.capacity() * sizeof(State) + windows_.capacity() * sizeof(Channel) + lengths_.capacity() +
         steps_.capacity() * sizeof(Step) + by_window_.bytes() + by_step_.bytes();
}

} // namespace attribution::core
