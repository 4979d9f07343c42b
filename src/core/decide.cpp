#include "core/decide.hpp"

#include <algorithm>
#include <cstddef>

namespace attribution::core {

namespace {

template <class T> int compare(const T &a, const T &b) { return a < b ? -1 : (b < a ? 1 : 0); }

/// Orders by identity: two touches are the same touchpoint if this is 0.
int compare_identity(const Rule &rule, const Touch &a, const Touch &b, TouchRows &rows) {
  if (int order = compare(a.time, b.time))
    return order;
  if (int order = compare(rule.tiers[a.tier].relation, rule.tiers[b.tier].relation))
    return order;
  return rows.compare_ids(a, b);
}

/// Moves one touch of each touchpoint, at its strongest tier and least by text, to the front; returns how many.
std::size_t keep_one_of_each(const Rule &rule, std::span<Touch> touches, TouchRows &rows) {
  std::sort(touches.begin(), touches.end(), [&](const Touch &a, const Touch &b) {
    if (int order = compare_identity(rule, a, b, rows))
      return order < 0;
    if (a.tier != b.tier)
      return a.tier < b.tier;
    return rows.compare_texts(a, b) < 0;
  });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < touches.size(); ++i) {
    if (kept > 0 && compare_identity(rule, touches[kept - 1], touches[i], rows) == 0)
      continue;
    std::swap(touches[kept++], touches[i]);
  }
  return kept;
}

/// Whether these are a path already: distinct touchpoints of one tier, in order.
bool is_path(std::span<const Touch> touches, TouchRows &rows) {
  for (std::size_t i = 1; i < touches.size(); ++i)
    if (touches[i].tier != touches[0].tier || compare_in_path(touches[i - 1], touches[i], rows) >= 0)
      return false;
  return true;
}

} // namespace

int compare_in_path(const Touch &a, const Touch &b, TouchRows &rows) {
  if (int order = compare(a.time, b.time))
    return order;
  if (int order = compare(b.tier, a.tier)) // among equals in time the stronger tier is later, and wins "last"
    return order;
  return rows.compare_ids(a, b);
}

Decision decide(const Rule &rule, std::span<Touch> eligible, TouchRows &rows) {
  if (is_path(eligible, rows))
    return {eligible, {}, {}};
  const std::size_t distinct = keep_one_of_each(rule, eligible, rows);
  std::span<Touch> touches = eligible.first(distinct);

  std::size_t in_path = distinct;
  if (rule.path == PathKind::first_match && distinct > 0) {
    const auto strongest = std::min_element(touches.begin(), touches.end(), [](const Touch &a, const Touch &b) {
                             return a.tier < b.tier;
                           })->tier;
    const auto end =
        std::partition(touches.begin(), touches.end(), [&](const Touch &touch) { return touch.tier == strongest; });
    in_path = static_cast<std::size_t>(end - touches.begin());
  }

  const auto in_order = [&](const Touch &a, const Touch &b) { return compare_in_path(a, b, rows) < 0; };
  std::sort(touches.begin(), touches.begin() + static_cast<std::ptrdiff_t>(in_path), in_order);
  std::sort(touches.begin() + static_cast<std::ptrdiff_t>(in_path), touches.end(), in_order);
  return {touches.first(in_path), touches.subspan(in_path), eligible.subspan(distinct)};
}

} // namespace attribution::core
