#include "core/shortlist.hpp"

namespace attribution::core {

Shortlists::Shortlists(const Rule &rule, Keep keep, std::uint32_t conversions, std::pmr::memory_resource *memory)
    : path_(rule.path), model_(rule.model.kind), keep_(keep), heads_(conversions, kNone, memory), nodes_(memory) {
  if (keep == Keep::winners)
    nodes_.reserve(conversions);
}

int Shortlists::compare(const Touch &touch, const Touch &kept) const noexcept {
  if (path_ == PathKind::first_match && touch.tier != kept.tier)
    return touch.tier < kept.tier ? 1 : -1;
  if (touch.time == kept.time)
    return 0;
  return (touch.time > kept.time) == (model_ == Model::last_touch) ? 1 : -1;
}

int Shortlists::compare(const Touch &touch, const Touch &kept, TouchRows &rows) const {
  const int order = compare(touch, kept);
  if (order != 0 || (path_ == PathKind::all && model_ == Model::first_touch))
    return order;
  if (touch.tier != kept.tier) // over all tiers the stronger one is later, and wins "last"
    return touch.tier < kept.tier ? 1 : -1;
  if (const int ids = rows.compare_ids(touch, kept))
    return (ids > 0) == (model_ == Model::last_touch) ? 1 : -1;
  return rows.compare_texts(touch, kept) < 0 ? 1 : -1;
}

bool Shortlists::wants(std::uint32_t conversion, const Touch &touch) const noexcept {
  const std::uint32_t head = heads_[conversion];
  return head == kNone || keep_ != Keep::winners || compare(touch, nodes_[head].touch) >= 0;
}

bool Shortlists::settled(std::uint32_t conversion) const noexcept {
  return keep_ != Keep::everything && path_ == PathKind::first_match && heads_[conversion] != kNone;
}

void Shortlists::collect(std::uint32_t conversion, std::vector<Touch> &touches) const {
  touches.clear();
  for (std::uint32_t at = heads_[conversion]; at != kNone; at = nodes_[at].next)
    touches.push_back(nodes_[at].touch);
}

} // namespace attribution::core
