#include "core/channels.hpp"

#include <algorithm>
#include <numeric>

namespace attribution::core {

std::vector<Channel> Channels::by_name() const {
  std::vector<Channel> order(size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](Channel a, Channel b) { return name(a) < name(b); });
  return order;
}

} // namespace attribution::core
