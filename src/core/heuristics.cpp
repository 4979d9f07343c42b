#include "core/heuristics.hpp"

namespace attribution::core {

Heuristics::Heuristics(std::span<const ModelSpec> models, Channels &channels) : totals_(models.size()) {
  for (const ModelSpec &model : models) {
    std::vector<Channel> named;
    for (const std::string &name : model.channels)
      named.push_back(channels.number(name));
    weighers_.emplace_back(model, std::move(named));
  }
}

void Heuristics::add(std::span<const Channel> path, const PathCount &count) {
  constexpr Micros kDay = 86'400'000'000;
  if (path.empty()) {
    organic_[0].add(count.conversions);
    organic_[1].add(count.value);
    return;
  }
  steps_.clear();
  Channel most = 0;
  for (const Channel channel : path) {
    steps_.push_back({static_cast<Micros>(steps_.size()) * kDay, channel});
    most = std::max(most, channel);
  }
  credits_.resize(path.size());
  for (std::size_t model = 0; model < weighers_.size(); ++model) {
    std::vector<Total> &totals = totals_[model];
    if (most >= totals.size())
      totals.resize(std::size_t{most} + 1);
    weighers_[model].weigh(steps_, credits_);
    for (std::size_t i = 0; i < path.size(); ++i) {
      Total &total = totals[path[i]];
      total.any = true;
      if (credits_[i] > 0) {
        total.conversions.add(count.conversions * credits_[i]);
        total.value.add(count.value * credits_[i]);
      }
    }
  }
}

std::size_t Heuristics::bytes() const noexcept {
  std::size_t bytes = steps_.capacity() * sizeof(PathStep) + credits_.capacity() * sizeof(double);
  for (const std::vector<Total> &totals : totals_)
    bytes += totals.capacity() * (sizeof(Total) + sizeof(std::uint32_t));
  return bytes;
}

} // namespace attribution::core
