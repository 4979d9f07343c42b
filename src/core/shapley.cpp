#include "core/shapley.hpp"

#include <algorithm>
#include <bit>

namespace attribution::core {

Shapley::Cell &Shapley::cell(Channel channel, std::uint32_t position) {
  const std::uint64_t hash = mix(std::uint64_t{channel} << 32 | position);
  const std::uint32_t known = by_place_.find(
      hash, [&](std::uint32_t at) { return cells_[at].channel == channel && cells_[at].position == position; });
  if (known != HashIndex::kNone)
    return cells_[known];
  cells_.push_back({channel, position, {}, {}});
  return cells_[by_place_.add(hash)];
}

void Shapley::add(std::span<const Channel> path, const PathCount &count) {
  if (path.empty()) {
    organic_[0].add(count.conversions);
    organic_[1].add(count.value);
    return;
  }
  distinct_.clear();
  for (const Channel channel : path) {
    if (channel >= times_.size())
      times_.resize(channel + 1);
    if (times_[channel]++ == 0)
      distinct_.push_back(channel);
  }
  const double channels = static_cast<double>(distinct_.size());
  const auto credit = [&](Channel channel, std::size_t position, double shares) {
    Cell &cell = this->cell(channel, static_cast<std::uint32_t>(position));
    cell.conversions.add(count.conversions / shares);
    cell.value.add(count.value / shares);
  };
  if (ordered_)
    for (std::size_t at = 0; at < path.size(); ++at)
      credit(path[at], at + 1, channels * times_[path[at]]);
  else
    for (const Channel channel : distinct_)
      credit(channel, 0, channels);
  for (const Channel channel : distinct_)
    times_[channel] = 0;
}

std::vector<ShapleyCredit> Shapley::credits(const std::vector<Channel> &channels) const {
  std::vector<std::size_t> rank(times_.size());
  for (std::size_t i = 0; i < channels.size(); ++i)
    if (channels[i] < rank.size())
      rank[channels[i]] = i;
  std::vector<ShapleyCredit> result;
  result.reserve(cells_.size());
  for (const Cell &cell : cells_)
    result.push_back({cell.channel, cell.position, cell.conversions.value(), cell.value.value()});
  std::ranges::sort(result, {},
                    [&](const ShapleyCredit &credit) { return std::pair(rank[credit.channel], credit.position); });
  return result;
}

std::size_t Shapley::bytes() const noexcept {
  return cells_.capacity() * sizeof(Cell) + by_place_.bytes() + times_.capacity() * sizeof(std::uint32_t) +
         distinct_.capacity() * sizeof(Channel);
}

void ConversionRateGame::add(std::span<const Channel> path, const PathCount &count) {
  std::uint32_t set = 0;
  for (const Channel channel : path)
    set |= 1U << channel;
  PathCount &total = path.empty() ? organic_ : sets_[set];
  total.conversions += count.conversions;
  total.value += count.value;
  total.nulls += count.nulls;
}

std::vector<ConversionRateGame::Credit> ConversionRateGame::credits(const std::vector<Channel> &channels) const {
  const std::size_t n = channels.size();
  std::vector<PathCount> within(std::size_t{1} << n);
  for (const auto &[set, count] : sets_)
    within[set] = count;
  // From what has exactly a set of channels to what lies within it: one channel after the other.
  for (std::size_t channel = 0; channel < n; ++channel)
    for (std::size_t set = 0; set < within.size(); ++set)
      if (set >> channel & 1) {
        const PathCount &less = within[set ^ (std::size_t{1} << channel)];
        within[set].conversions += less.conversions;
        within[set].value += less.value;
        within[set].nulls += less.nulls;
      }
  const auto rate = [&](std::size_t set, double PathCount::*what) {
    const double paths = within[set].conversions + within[set].nulls;
    return paths > 0 ? within[set].*what / paths : 0;
  };
  // The weight of a coalition of s others: s! (n - s - 1)! / n!
  std::vector<double> weight(n);
  for (std::size_t s = 0; s < n; ++s) {
    weight[s] = 1.0 / static_cast<double>(n);
    for (std::size_t i = 1; i <= s; ++i)
      weight[s] *= static_cast<double>(i) / static_cast<double>(n - i);
  }
  std::vector<Credit> credits(n);
  const PathCount all = within.back();
  for (std::size_t i = 0; i < n; ++i) {
    const Channel channel = channels[i];
    const std::size_t bit = std::size_t{1} << channel;
    Sum conversions, value;
    for (std::size_t set = 0; set < within.size(); ++set)
      if (!(set & bit)) {
        const double w = weight[static_cast<std::size_t>(std::popcount(set))];
        conversions.add(w * (rate(set | bit, &PathCount::conversions) - rate(set, &PathCount::conversions)));
        value.add(w * (rate(set | bit, &PathCount::value) - rate(set, &PathCount::value)));
      }
    const double paths = all.conversions + all.nulls;
    credits[i] = {channel, conversions.value(), conversions.value() * paths, value.value(), value.value() * paths};
  }
  return credits;
}

} // namespace attribution::core
