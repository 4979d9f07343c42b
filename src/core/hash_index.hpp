// From a hash to a place in somebody's array: what names, states and edges are found by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace attribution::core {

/// Spreads the bits of a number (the finalizer of MurmurHash3).
inline std::uint64_t mix(std::uint64_t x) noexcept {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  return x ^ (x >> 33);
}

/// An open hash table of places. What lies there, and whether it is what is looked for, its owner knows.
class HashIndex {
public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  /// The place of the entry with this hash for which `same(place)` holds; kNone if there is none.
  template <class Same> std::uint32_t find(std::uint64_t hash, Same same) const {
    if (slots_.empty())
      return kNone;
    for (std::size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot &slot = slots_[at];
      if (slot.place == kNone)
        return kNone;
      if (slot.hash == static_cast<std::uint32_t>(hash >> 32) && same(slot.place))
        return slot.place;
    }
  }

  /// Adds an entry that is not there; places are given in order, from 0.
  std::uint32_t add(std::uint64_t hash) {
    if (2 * (std::size_t{count_} + 1) > slots_.size())
      grow();
    hashes_.push_back(hash);
    put(hash, count_);
    return count_++;
  }

  std::uint32_t size() const noexcept { return count_; }
  std::size_t bytes() const noexcept {
    return slots_.capacity() * sizeof(Slot) + hashes_.capacity() * sizeof(std::uint64_t);
  }

private:
  struct Slot {
    std::uint32_t hash = 0, place = kNone;
  };

  void put(std::uint64_t hash, std::uint32_t place) {
    std::size_t at = hash & mask_;
    while (slots_[at].place != kNone)
      at = (at + 1) & mask_;
    slots_[at] = {static_cast<std::uint32_t>(hash >> 32), place};
  }

  void grow() {
    slots_.assign(slots_.empty() ? 64 : 2 * slots_.size(), Slot{});
    mask_ = slots_.size() - 1;
    for (std::uint32_t place = 0; place < count_; ++place)
      put(hashes_[place], place);
  }

  std::vector<Slot> slots_;
  std::vector<std::uint64_t> hashes_;
  std::size_t mask_ = 0;
  std::uint32_t count_ = 0;
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
