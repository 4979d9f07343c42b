#include "touch/vacuum.hpp"

#include "pg/compat.hpp"
#include "touch/bucket.hpp"
#include "touch/key.hpp"

namespace attribution::touch {

namespace {

struct Vacuum {
  IndexVacuumInfo *info;
  IndexBulkDeleteResult *stats;
  IndexBulkDeleteCallback is_dead;
  void *state;
  Relation index() const { return info->index; }
};

/// Whether a page has entries to remove.
bool has_dead(const Vacuum &vacuum, const core::BucketPage &page) {
  for (std::size_t i = 0; i < page.count(); ++i) {
    ItemPointerData row = place_of(page.entry(i));
    if (vacuum.is_dead(&row, vacuum.state))
      return true;
  }
  return false;
}

/// Removes the dead entries of a page, which is locked exclusively.
void clean(Vacuum &vacuum, Buffer buffer) {
  if (has_dead(vacuum, bucket_page(BufferGetPage(buffer)))) {
    Change change(vacuum.index());
    Page page = change.edit(buffer);
    vacuum.stats->tuples_removed +=
        static_cast<double>(bucket_writer(page).remove([&vacuum](const core::TouchEntry &entry) {
          ItemPointerData row = place_of(entry);
          return vacuum.is_dead(&row, vacuum.state);
        }));
    close_page(page);
    change.finish();
  }
  vacuum.stats->num_index_tuples += static_cast<double>(bucket_page(BufferGetPage(buffer)).count());
}

/// A bucket of several keys: its chain is short, and its head stays locked so that nobody cuts it meanwhile. If the
/// entries that are left go into fewer pages, they are written anew.
bool vacuum_bucket(Vacuum &vacuum, const Place &place) {
  Relation index = vacuum.index();
  Buffer head = lock_head(index, place);
  if (head == InvalidBuffer)
    return false;
  clean(vacuum, head);
  const std::size_t depth = bucket_page(BufferGetPage(head)).header().depth;
  std::size_t left = bucket_page(BufferGetPage(head)).count();
  for (BlockNumber block = bucket_page(BufferGetPage(head)).header().older; block != InvalidBlockNumber;) {
    Buffer buffer = read_page(index, block, BUFFER_LOCK_EXCLUSIVE, vacuum.info->strategy);
    clean(vacuum, buffer);
    left += bucket_page(BufferGetPage(buffer)).count();
    block = bucket_page(BufferGetPage(buffer)).header().older;
    UnlockReleaseBuffer(buffer);
  }
  const std::size_t capacity = core::BucketPage::capacity(kContents);
  if ((left + capacity - 1) / capacity < depth) {
    const Chain chain = read_chain(index, head);
    rewrite(index, head, chain);
    MemoryContextDelete(chain.memory);
  } else
    UnlockReleaseBuffer(head);
  return true;
}

/// Takes a page without entries out of a chain: `newer` is the one in front of it. Both are locked exclusively.
void leave_out(Vacuum &vacuum, Buffer newer, Buffer empty) {
  Change change(vacuum.index());
  Page page = change.edit(newer);
  bucket_writer(page).header().older = bucket_page(BufferGetPage(empty)).header().older;
  Page gone = change.renew(empty);
  *reinterpret_cast<core::PageKind *>(contents(gone)) = core::PageKind::free;
  close_page(gone);
  change.finish();
  give_back(vacuum.index(), empty);
}

/// The bucket of one key. It is never cut, and only grows at its head, so its pages are gone through one by one,
/// however many there are; those that have become empty are left out, but for the head.
bool vacuum_heavy_bucket(Vacuum &vacuum, const Place &place) {
  Relation index = vacuum.index();
  BlockNumber newer = InvalidBlockNumber;
  for (BlockNumber block = place.ref.head; block != InvalidBlockNumber;) {
    pg::vacuum_delay();
    Buffer front = newer != InvalidBlockNumber ? read_page(index, newer, BUFFER_LOCK_EXCLUSIVE, vacuum.info->strategy)
                                               : InvalidBuffer;
    Buffer buffer = read_page(index, block, BUFFER_LOCK_EXCLUSIVE, vacuum.info->strategy);
    Page page = BufferGetPage(buffer);
    if (kind_of(page) != core::PageKind::bucket || bucket_page(page).header().stamp != place.ref.stamp)
      raise_corrupted(index, block, "is no page of the bucket that it ought to be of");
    clean(vacuum, buffer);
    const BlockNumber older = bucket_page(page).header().older;
    if (front != InvalidBuffer && bucket_page(page).count() == 0)
      leave_out(vacuum, front, buffer);
    else {
      UnlockReleaseBuffer(buffer);
      newer = block;
    }
    if (front != InvalidBuffer)
      UnlockReleaseBuffer(front);
    block = older;
  }
  return true;
}

std::uint32_t stamps_until_now(Relation index) {
  Buffer root = read_page(index, kRoot, BUFFER_LOCK_SHARE);
  check_root(index, BufferGetPage(root));
  const std::uint32_t next = root_page(BufferGetPage(root)).header().next_stamp;
  UnlockReleaseBuffer(root);
  return next;
}

/// The stamps of chains, in the order of their buckets.
struct Stamps {
  core::BucketRef *refs;
  std::size_t count, room;
  void add(const core::BucketRef &ref) {
    if (count == room) {
      room *= 2;
      refs = static_cast<core::BucketRef *>(repalloc_huge(refs, room * sizeof(core::BucketRef)));
    }
    refs[count++] = ref;
  }
  bool has(std::uint32_t low, std::uint32_t stamp) const {
    const core::BucketRef *end = refs + count;
    const core::BucketRef *found =
        std::lower_bound(static_cast<const core::BucketRef *>(refs), end, low,
                         [](const core::BucketRef &ref, std::uint32_t hash) { return ref.first < hash; });
    return found != end && found->first == low && found->stamp == stamp;
  }
};

/// Frees pages that nobody knows of: a crash, or an error, came between writing a chain and naming it. Chains as old as
/// the stamp `until` that are in the directory are in `known`: whoever wrote one of those had locked its bucket, which
/// was waited for.
void free_lost_pages(Vacuum &vacuum, const Stamps &known, std::uint32_t until) {
  Relation index = vacuum.index();
  const BlockNumber blocks = RelationGetNumberOfBlocks(index);
  for (BlockNumber block = kRoot + 1; block < blocks; ++block) {
    pg::vacuum_delay();
    Buffer buffer = read_page(index, block, BUFFER_LOCK_EXCLUSIVE, vacuum.info->strategy);
    Page page = BufferGetPage(buffer);
    if (kind_of(page) == core::PageKind::free) {
      give_back(index, buffer);
      ++vacuum.stats->pages_free;
      continue;
    }
    if (kind_of(page) == core::PageKind::bucket) {
      const core::BucketHeader &header = bucket_page(page).header();
      if (header.stamp < until && !known.has(header.low, header.stamp)) {
        free_pages(index, &buffer, 1);
        ++vacuum.stats->pages_newly_deleted;
        ++vacuum.stats->pages_free;
        continue;
      }
    }
    UnlockReleaseBuffer(buffer);
  }
}

} // namespace

IndexBulkDeleteResult *bulk_delete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats, IndexBulkDeleteCallback is_dead,
                                   void *state) {
  if (stats == nullptr)
    stats = static_cast<IndexBulkDeleteResult *>(palloc0(sizeof(IndexBulkDeleteResult)));
  Vacuum vacuum{info, stats, is_dead, state};
  stats->num_index_tuples = 0;
  stats->pages_free = 0;
  stats->estimated_count = false;
  const std::uint32_t until = stamps_until_now(info->index);
  Stamps known{static_cast<core::BucketRef *>(palloc(1024 * sizeof(core::BucketRef))), 0, 1024};
  for_each_bucket(info->index, [&](const Place &place) {
    pg::vacuum_delay();
    const bool done =
        place.ref.head == InvalidBlockNumber ||
        (place.ref.first == place.last ? vacuum_heavy_bucket(vacuum, place) : vacuum_bucket(vacuum, place));
    if (done)
      known.add(place.ref);
    return done;
  });
  free_lost_pages(vacuum, known, until);
  pfree(known.refs);
  return stats;
}

IndexBulkDeleteResult *vacuum_cleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats) {
  if (info->analyze_only)
    return stats;
  if (stats == nullptr) { // nothing was deleted, and nothing was looked at
    stats = static_cast<IndexBulkDeleteResult *>(palloc0(sizeof(IndexBulkDeleteResult)));
    stats->num_index_tuples = info->num_heap_tuples;
    stats->estimated_count = true;
  }
  IndexFreeSpaceMapVacuum(info->index);
  stats->num_pages = RelationGetNumberOfBlocks(info->index);
  return stats;
}

} // namespace attribution::touch
