// The pages of a touch index, as they lie on disk: format version 1. All numbers are in the machine's byte order, as
// PostgreSQL's own are. docs/touch-index.md draws them.
//
// The key hashes, 0 .. 2^32 - 1, are cut into ranges. Each range has a bucket, a chain of pages of entries from newest
// to oldest. The directory pages list the buckets in order, the root lists the directory pages.
#pragma once

#include "core/touch_entry.hpp"

#include <cstddef>
#include <cstring>
#include <span>

namespace attribution::core {

inline constexpr std::uint32_t kNoBlock = UINT32_MAX;

/// Every page begins with its kind.
enum class PageKind : std::uint16_t { root = 0x7401, directory, bucket, free };

/// Where a hash should be among so many things that lie in the order of their hashes, if those are spread evenly over a
/// range. Never beyond the end.
inline std::size_t about_where(std::uint32_t hash, std::uint32_t low, std::uint32_t high, std::size_t count) noexcept {
  if (hash <= low)
    return 0;
  if (hash > high)
    return count;
  return static_cast<std::size_t>(std::uint64_t{hash - low} * count / (std::uint64_t{high - low} + 1));
}

// --- Buckets ---------------------------------------------------------------------------------------------------------

struct BucketHeader {
  PageKind kind;
  std::uint16_t count; ///< of entries
  std::uint32_t stamp; ///< all pages of a chain bear one number, and no other chain ever does
  std::uint32_t low;   ///< the first hash of the bucket's range
  std::uint32_t high;  ///< the last one
  std::uint32_t older; ///< the next page of the chain; kNoBlock ends it
  std::uint16_t depth; ///< how many pages the chain had when this one became its head, itself included; 65535: or more
  std::uint16_t flags; ///< kIsHead, kIsSorted
  Micros oldest;       ///< no entry of this page has an earlier time,
  Micros newest;       ///< or a later one;
  Micros older_newest; ///< and none of the pages behind it a later one than this
};
static_assert(sizeof(BucketHeader) == 48);

/// The chain's first page, the only one that takes entries.
inline constexpr std::uint16_t kIsHead = 1;
/// The entries lie in the order of their hashes: so does a page that was written as a whole, until others are added.
inline constexpr std::uint16_t kIsSorted = 2;

/// Reads a page of entries. The hashes lie one after another behind the header, the times and places of the rows at the
/// page's end, the last one first; what is between is unused. A search reads the hashes alone: 4 bytes an entry of 18.
class BucketPage {
public:
  BucketPage(const std::byte *contents, std::size_t size) noexcept : contents_(contents), size_(size) {}

  static constexpr std::size_t kEntrySize = 18;
  static constexpr std::size_t capacity(std::size_t size) noexcept {
    return (size - sizeof(BucketHeader)) / kEntrySize;
  }

  const BucketHeader &header() const noexcept { return *reinterpret_cast<const BucketHeader *>(contents_); }
  std::size_t count() const noexcept { return header().count; }
  std::size_t room() const noexcept { return capacity(size_) - count(); }
  bool covers(std::uint32_t hash) const noexcept { return header().low <= hash && hash <= header().high; }
  bool is_sorted() const noexcept { return (header().flags & kIsSorted) != 0; }

  const std::uint32_t *hashes() const noexcept {
    return reinterpret_cast<const std::uint32_t *>(contents_ + sizeof(BucketHeader));
  }
  /// Where a hash should be on a page in order.
  std::size_t about(std::uint32_t hash) const noexcept {
    return about_where(hash, header().low, header().high, count());
  }
  Micros time(std::size_t i) const noexcept {
    Micros time = 0;
    std::memcpy(&time, place(i), sizeof time);
    return time;
  }
  TouchEntry entry(std::size_t i) const noexcept {
    TouchEntry entry{time(i), hashes()[i], 0, 0};
    std::memcpy(&entry.block, place(i) + 8, sizeof entry.block);
    std::memcpy(&entry.offset, place(i) + 12, sizeof entry.offset);
    return entry;
  }

  /// What is in use: the bytes before the first number, and those from the second one on.
  std::size_t lower() const noexcept { return sizeof(BucketHeader) + count() * sizeof(std::uint32_t); }
  std::size_t upper() const noexcept { return size_ - count() * kPlaceSize; }

  /// Whether what it says of itself can be true.
  bool is_sound() const noexcept;

protected:
  static constexpr std::size_t kPlaceSize = kEntrySize - sizeof(std::uint32_t);
  const std::byte *place(std::size_t i) const noexcept { return contents_ + size_ - (i + 1) * kPlaceSize; }

private:
  const std::byte *contents_;
  std::size_t size_;
};

/// Writes one.
class BucketPageWriter : public BucketPage {
public:
  BucketPageWriter(std::byte *contents, std::size_t size) noexcept : BucketPage(contents, size), contents_(contents) {}

  BucketHeader &header() noexcept { return *reinterpret_cast<BucketHeader *>(contents_); }
  using BucketPage::header;

  /// Begins a page without entries, the head of its chain, in front of `older`.
  void begin(std::uint32_t low, std::uint32_t high, std::uint32_t stamp) noexcept;
  void put_before(std::uint32_t block, const BucketHeader &older) noexcept;
  /// Adds as many entries as there is room for; returns how many.
  std::size_t append(std::span<const TouchEntry> entries) noexcept;
  /// The same to a page without entries, in the order of hashes, into which it puts those that it takes.
  std::size_t fill(std::span<TouchEntry> entries) noexcept;
  /// Removes the entries that `is_dead` names; the others keep their order. The times of the header stay as they are:
  /// they are bounds. Returns how many are gone.
  template <class F> std::size_t remove(F is_dead) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < count(); ++i) {
      if (is_dead(entry(i)))
        continue;
      if (kept != i)
        set(kept, entry(i));
      ++kept;
    }
    const std::size_t removed = count() - kept;
    header().count = static_cast<std::uint16_t>(kept);
    return removed;
  }

private:
  void set(std::size_t i, const TouchEntry &entry) noexcept;

  std::byte *contents_;
};

// --- The directory ---------------------------------------------------------------------------------------------------

/// A bucket, as the directory names it.
struct BucketRef {
  std::uint32_t first; ///< the first hash of its range, which ends before the next one's
  std::uint32_t head;  ///< the newest page; kNoBlock for a bucket without entries
  std::uint32_t stamp; ///< that of its chain: a page that bears another one was another's before
};

/// A directory page, as the root names it.
struct DirectoryRef {
  std::uint32_t first;
  std::uint32_t block;
};

struct DirectoryHeader {
  PageKind kind;
  std::uint16_t count;
  std::uint32_t low, high; ///< the range of hashes that it is about
  std::uint32_t unused;
};
static_assert(sizeof(DirectoryHeader) == 16);

struct RootHeader {
  PageKind kind;
  std::uint16_t count;
  std::uint32_t magic, version;
  std::uint32_t next_stamp;
  std::uint32_t unused[4];
};
static_assert(sizeof(RootHeader) == 32);

inline constexpr std::uint32_t kMagic = 0x68637574; // "tuch"
inline constexpr std::uint32_t kFormatVersion = 1;

/// A header and references in the order of their first hashes, of which the first is the page's lowest.
template <class Header, class Ref> class RefPage {
public:
  RefPage(std::byte *contents, std::size_t size) noexcept : contents_(contents), size_(size) {}

  static constexpr std::size_t capacity(std::size_t size) noexcept { return (size - sizeof(Header)) / sizeof(Ref); }
  std::size_t capacity() const noexcept { return capacity(size_); }
  Header &header() const noexcept { return *reinterpret_cast<Header *>(contents_); }
  std::size_t count() const noexcept { return header().count; }
  Ref *refs() const noexcept { return reinterpret_cast<Ref *>(contents_ + sizeof(Header)); }
  std::size_t lower() const noexcept { return sizeof(Header) + count() * sizeof(Ref); }

  /// Which reference a hash belongs to.
  std::size_t find(std::uint32_t hash) const noexcept { return find(hash, 0, count()); }
  /// Puts one at place `i`, in front of the one there. There must be room.
  void insert(std::size_t i, const Ref &ref) const noexcept {
    std::memmove(refs() + i + 1, refs() + i, (count() - i) * sizeof(Ref));
    refs()[i] = ref;
    ++header().count;
  }

protected:
  /// The same, of those at `low` and behind it that are before `high`.
  std::size_t find(std::uint32_t hash, std::size_t low, std::size_t high) const noexcept {
    while (high - low > 1) {
      const std::size_t middle = low + (high - low) / 2;
      (refs()[middle].first <= hash ? low : high) = middle;
    }
    return low;
  }

private:
  std::byte *contents_;
  std::size_t size_;
};

using RootPage = RefPage<RootHeader, DirectoryRef>;

class DirectoryPage : public RefPage<DirectoryHeader, BucketRef> {
public:
  using RefPage::RefPage;
  void begin(std::uint32_t low, std::uint32_t high) const noexcept;
  bool covers(std::uint32_t hash) const noexcept { return header().low <= hash && hash <= header().high; }
  /// Which reference a hash of the page's range belongs to. It is looked for where it should be, as most buckets have
  /// about as many hashes.
  std::size_t find(std::uint32_t hash) const noexcept;
  /// The last hash of a bucket's range.
  std::uint32_t last(std::size_t i) const noexcept { return i + 1 < count() ? refs()[i + 1].first - 1 : header().high; }
  /// Moves the upper half to an empty page.
  void split(const DirectoryPage &upper) const noexcept;
  bool is_sound() const noexcept;
};

void begin(const RootPage &root) noexcept;
bool is_sound(const RootPage &root) noexcept;

// --- Cutting a bucket in two -----------------------------------------------------------------------------------------

/// The first hash of the upper one of the two ranges that low .. high is best cut into, given the sorted hashes of its
/// entries: as even as hashes allow, so that in the end a key with more entries than a bucket should hold has a range
/// of its own. low < result <= high; 0 if low == high, which is such a range.
std::uint32_t choose_cut(std::span<const std::uint32_t> sorted, std::uint32_t low, std::uint32_t high) noexcept;

} // namespace attribution::core

#include "core/no_postgres.hpp"
