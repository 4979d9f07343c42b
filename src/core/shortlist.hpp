// The touchpoints worth keeping while they stream in, for every conversion of a batch.
#pragma once

#include "core/rule.hpp"
#include "core/touch.hpp"

#include <cstdint>
#include <memory_resource>
#include <vector>

namespace attribution::core {

/// How much of what is eligible has to be kept.
enum class Keep : std::uint8_t {
  everything, ///< the whole path and what competes with it
  path,       ///< the path: nothing of tiers weaker than its own
  winners     ///< enough for a single-touch model: a million touches of one busy key cost the memory of one
};

/// Holds eligible touchpoints for each conversion of a batch. With Keep::winners it drops those that can't win whatever
/// else comes. One is left then, but for first touch over all tiers: there touchpoints of one microsecond wait for
/// decide(), as a touchpoint found again at a weaker tier must meet its stronger self.
class Shortlists {
public:
  Shortlists(const Rule &rule, Keep keep, std::uint32_t conversions, std::pmr::memory_resource *memory);

  /// Whether an eligible touch could still matter, by tier and time. Ask first: keeping a row costs a copy.
  bool wants(std::uint32_t conversion, const Touch &touch) const noexcept;

  /// Adds a wanted touch, whose row is kept by now. Calls `release(touch)` for every one that can't win any more,
  /// perhaps this one.
  template <class Release> void add(std::uint32_t conversion, const Touch &touch, TouchRows &rows, Release release) {
    std::uint32_t &head = heads_[conversion];
    if (head != kNone && keep_ == Keep::winners) {
      const int order = compare(touch, nodes_[head].touch, rows);
      if (order < 0) {
        release(touch);
        return;
      }
      while (order > 0 && head != kNone) {
        Node &node = nodes_[head];
        release(node.touch);
        const std::uint32_t next = node.next;
        node.next = free_;
        free_ = head;
        head = next;
      }
    }
    std::uint32_t slot = free_;
    if (slot != kNone) {
      free_ = nodes_[slot].next;
      nodes_[slot] = {touch, head};
    } else {
      slot = static_cast<std::uint32_t>(nodes_.size());
      nodes_.push_back({touch, head});
    }
    head = slot;
  }

  /// Whether a touchpoint of a weaker tier than those kept could still matter.
  bool settled(std::uint32_t conversion) const noexcept;

  /// One of those kept for a conversion, or null: for who wants it at hand before it is collected.
  const Touch *any(std::uint32_t conversion) const noexcept {
    return heads_[conversion] == kNone ? nullptr : &nodes_[heads_[conversion]].touch;
  }

  /// Puts what was kept for a conversion into `touches`, in no particular order.
  void collect(std::uint32_t conversion, std::vector<Touch> &touches) const;

private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Node {
    Touch touch;
    std::uint32_t next;
  };

  /// > 0: `touch` wins over `kept` by tier or time, < 0: it loses; 0: they tie.
  int compare(const Touch &touch, const Touch &kept) const noexcept;
  /// The same with ties settled, where they can be.
  int compare(const Touch &touch, const Touch &kept, TouchRows &rows) const;

  PathKind path_;
  Model model_;
  Keep keep_;
  std::pmr::vector<std::uint32_t> heads_;
  std::pmr::vector<Node> nodes_;
  std::uint32_t free_ = kNone;
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
