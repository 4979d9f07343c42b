#include "core/path_statistics.hpp"

#include <algorithm>
#include <utility>

namespace attribution::core {

void Assists::add(std::span<const Channel> path, const PathCount &count) {
  if (path.empty() || count.conversions == 0)
    return;
  ++paths_;
  totals_.resize(std::max<std::size_t>(totals_.size(), std::size_t{*std::ranges::max_element(path)} + 1));
  totals_[path.front()].first.add(count.conversions);
  totals_[path.back()].last.add(count.conversions);
  totals_[path.back()].seen = paths_;
  for (const Channel channel : path) {
    Total &total = totals_[channel];
    if (std::exchange(total.seen, paths_) != paths_)
      total.assisted.add(count.conversions);
  }
}

void Distribution::add(std::int64_t of, const PathCount &count) {
  if (count.conversions == 0 && count.value == 0)
    return;
  Total &total = totals_[of];
  total.conversions.add(count.conversions);
  total.value.add(count.value);
}

} // namespace attribution::core
