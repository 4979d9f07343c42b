// Finding, walking and filling the buckets of a touch index.
//
// Who reads holds one lock at a time: of the root, of a directory page, of a page of the chain, each let go of before
// the next is taken. What has changed in between is noticed, not prevented: a directory page says which hashes it is
// about, and a page of a bucket bears its chain's stamp. A chain is never changed but by adding a head, by removing
// entries in place, and by leaving out pages that became empty; when a bucket is cut in two, or written anew, its
// entries move to chains with new stamps, of which the directory learns in one step. So a reader sees every entry that
// was there when it read the directory, or sees a wrong stamp and begins again.
//
// Who writes locks from the page of a bucket to that of the directory to the root, and never the other way round. The
// lock of a chain's head is the right to change the chain.
#pragma once

#include "touch/page.hpp"
#include "touch/recent.hpp"

namespace attribution::touch {

/// Where the entries of a hash are.
struct Place {
  core::BucketRef ref;
  std::uint32_t last; ///< the bucket's range is ref.first .. last
};
Place locate(Relation index, std::uint32_t hash);

/// The same for one hash after the other, by a copy of the directory page as long as they are on it: two of the five
/// pages that a key takes otherwise. What it says is as good as when it was read. For who searches that was after the
/// snapshot was taken whose rows are looked for: what has been added since is of no interest. Who writes sees by the
/// bucket's head, once it is locked, whether it still holds.
class Locator {
public:
  explicit Locator(Relation index) : index_(index) {}
  Place operator()(std::uint32_t hash);
  /// It was wrong: chains have other stamps by now.
  void forget() { known_ = false; }

private:
  Relation index_;
  bool known_ = false;
  alignas(core::DirectoryHeader) std::byte copy_[kContents];
};

/// Calls `f(const core::BucketPage &) -> bool` for the pages of a bucket, newest first, each locked meanwhile, until it
/// returns false. Returns false if the chain is another's by now: what was seen of it counts for nothing then.
template <class F> bool walk(Relation index, const Place &place, BufferAccessStrategy ring, F f) {
  for (BlockNumber block = place.ref.head; block != InvalidBlockNumber;) {
    CHECK_FOR_INTERRUPTS();
    Buffer buffer = read_recent(index, block, ring);
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    Page page = BufferGetPage(buffer);
    if (kind_of(page) != core::PageKind::bucket || bucket_page(page).header().stamp != place.ref.stamp) {
      UnlockReleaseBuffer(buffer);
      return false;
    }
    const core::BucketPage bucket = bucket_page(page);
    block = f(bucket) ? bucket.header().older : InvalidBlockNumber;
    UnlockReleaseBuffer(buffer);
  }
  return true;
}

/// Calls `f(const Place &) -> bool` for each bucket, in the order of their ranges; again for one that it says false of.
template <class F> void for_each_bucket(Relation index, F f) {
  for (std::uint32_t hash = 0;;) {
    const Place place = locate(index, hash);
    if (place.ref.first != hash)
      raise_corrupted(index, kRoot, "leads to a directory with gaps");
    if (!f(place))
      continue; // it has been cut, or has a new head
    if (place.last == core::kNullKey)
      return;
    hash = place.last + 1;
  }
}

/// Adds entries, given by hash.
void write_entries(Relation index, const core::TouchEntry *entries, std::size_t count);

/// The head of a chain, locked exclusively, if it is still that; else InvalidBuffer.
Buffer lock_head(Relation index, const Place &place);

/// Writes a chain of pages with these entries, oldest first, that nobody knows of yet. Those of a page are then in the
/// order of hashes. Returns its head; none for no entries.
BlockNumber write_chain(Relation index, std::uint32_t low, std::uint32_t high, std::uint32_t stamp,
                        core::TouchEntry *entries, std::size_t count);

/// A new stamp.
std::uint32_t next_stamp(Relation index);

/// The entries of a chain, and its pages. In memory of its own, to be deleted.
struct Chain {
  MemoryContext memory;
  core::TouchEntry *entries;
  std::size_t count;
  BlockNumber *blocks; ///< behind the head
  std::size_t pages;   ///< behind the head
};
/// Reads all of a chain, whose head is locked.
Chain read_chain(Relation index, Buffer head);

/// Puts a chain of these entries in the place of one whose head is locked, and makes its pages free, the head too.
void rewrite(Relation index, Buffer head, const Chain &chain);

} // namespace attribution::touch
