// Which entries of a bucket's pages have a key that is looked for. The innermost loop of all that this extension does.
#pragma once

#include "core/touch_page.hpp"

#include <array>
#include <vector>

namespace attribution::core {

/// Writes the places at which `hash` lies among `count` hashes to `found`, which has room for as many; returns how many
/// there are. With vector instructions where the processor has them.
std::size_t find_hash(const std::uint32_t *hashes, std::size_t count, std::uint32_t hash,
                      std::uint16_t *found) noexcept;
/// The same without.
std::size_t find_hash_portably(const std::uint32_t *hashes, std::size_t count, std::uint32_t hash,
                               std::uint16_t *found) noexcept;

/// Somebody who looks for entries with a hash and a time in since .. until, both included.
struct Wanted {
  std::uint32_t hash;
  std::uint32_t conversion; ///< the caller's number for who is looking
  Micros since, until;
};

/// Puts those who are wanted in the order of hashes, in which an index is searched.
void sort_by_hash(std::vector<Wanted> &wanted);

/// Searches pages of one bucket for those who are wanted there.
class KeySearch {
public:
  /// `wanted`: by hash; stays the caller's, and as it is.
  void begin(std::span<const Wanted> wanted) noexcept;

  /// No entry outside of these times is of interest.
  Micros since() const noexcept { return since_; }
  Micros until() const noexcept { return until_; }

  /// Calls `f(const Wanted &, TouchEntry)` for each pair that fits. The page must be sound.
  template <class F> void search(const BucketPage &page, F f) const {
    std::array<std::uint16_t, kMostEntries> found;
    if (page.header().newest < since_ || page.header().oldest > until_)
      return;
    if (keys_ > kFew) {
      const std::size_t count = find_any(page, found.data());
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t hash = page.hashes()[found[i]];
        const Wanted *end = wanted_.data() + wanted_.size();
        for (const Wanted *w = first_of(hash); w != end && w->hash == hash; ++w)
          offer(page, found[i], *w, f);
      }
      return;
    }
    for (auto w = wanted_.begin(); w != wanted_.end();) {
      const auto first = w;
      while (w != wanted_.end() && w->hash == first->hash)
        ++w;
      const Part part = page.is_sorted() ? part_with(page, first->hash) : Part{0, page.count()};
      const std::size_t count = find_hash(page.hashes() + part.begin, part.count, first->hash, found.data());
      for (std::size_t i = 0; i < count; ++i)
        for (auto each = first; each != w; ++each)
          offer(page, part.begin + found[i], *each, f);
    }
  }

  /// More than fit into a page of 32 KB, the largest that PostgreSQL can be built with.
  static constexpr std::size_t kMostEntries = 2048;
  /// Up to so many keys, looking for one after the other is faster than asking of each entry whether it is one of them.
  static constexpr std::size_t kFew = 8;

private:
  static constexpr std::size_t kFilterBits = 8192;

  template <class F> static void offer(const BucketPage &page, std::size_t i, const Wanted &wanted, F &f) {
    const Micros time = page.time(i);
    if (wanted.since <= time && time <= wanted.until)
      f(wanted, page.entry(i));
  }
  std::size_t find_any(const BucketPage &page, std::uint16_t *found) const noexcept;
  /// Of a page in order a part that has all entries with a hash.
  struct Part {
    std::size_t begin, count;
  };
  static Part part_with(const BucketPage &page, std::uint32_t hash) noexcept;
  const Wanted *first_of(std::uint32_t hash) const noexcept;
  // The hashes of a bucket have their upper bits in common.
  static std::uint32_t bit_of(std::uint32_t hash) noexcept { return hash % kFilterBits; }

  std::span<const Wanted> wanted_;
  std::size_t keys_ = 0; ///< different ones
  Micros since_ = kInfinity, until_ = kMinusInfinity;
  std::array<std::uint64_t, kFilterBits / 64> filter_{};
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
