#include "core/shortlist.hpp"

namespace attribution::core {

Shortlists::Shortlists(const Rule &rule, Keep keep, std::uint32_t conversions, std::pmr::memory_resource *memory)
    : path_(rule.path), model_(rule.model), keep_(keep), heads_(conversions, kNone, memory), nodes_(memory) {}

bool Shortlists::beats(const Touch &touch, const Touch &kept) const noexcept {
  if (path_ == PathKind::first_match && touch.tier != kept.tier)
    return touch.tier < kept.tier;
  return model_ == Model::last_touch ? touch.time > kept.time : touch.time < kept.time;
}

bool Shortlists::wants(std::uint32_t conversion, const Touch &touch) const noexcept {
  const std::uint32_t head = heads_[conversion];
  return head == kNone || keep_ == Keep::everything || !beats(nodes_[head].touch, touch);
}

bool Shortlists::settled(std::uint32_t conversion) const noexcept {
  return keep_ == Keep::winners && path_ == PathKind::first_match && heads_[conversion] != kNone;
}

void Shortlists::collect(std::uint32_t conversion, std::vector<Touch> &touches) const {
  touches.clear();
  for (std::uint32_t at = heads_[conversion]; at != kNone; at = nodes_[at].next)
    touches.push_back(nodes_[at].touch);
}

} // namespace attribution::core
