#include "touch/recent.hpp"

#include "pg/compat.hpp"
#include "pg/shared_memory.hpp"
#include "touch/page.hpp"

#include <atomic>
#include <utility>

namespace attribution::touch {

namespace {

/// By relation and block: 4 MB at most, for the pages of 8 GB. Two pages may have the same place. 0: unknown.
constexpr std::size_t kPlaces = 1 << 20;
constexpr std::size_t kBytes = kPlaces * sizeof(Buffer);
Buffer own_places[kPlaces];
Buffer *home = own_places; ///< or of all processes
Buffer *places = home;     ///< or those of a team

/// Where a page was last. Others may be writing what they have seen.
class Place {
public:
  Place(Relation relation, BlockNumber block)
      : place_(places[(RelationGetRelid(relation) * 0x9e3779b1U + block) % kPlaces]) {}
  Buffer get() const { return place_.load(std::memory_order_relaxed); }
  Buffer set(Buffer buffer) const {
    place_.store(buffer, std::memory_order_relaxed);
    return buffer;
  }

private:
  std::atomic_ref<Buffer> place_;
};

constexpr std::size_t kLine = 64;

Page page_at(Buffer buffer) { return static_cast<Page>(BufferBlocks + static_cast<Size>(buffer - 1) * BLCKSZ); }

/// Looks for a page in the server's table of buffers, and has the disk read it if it is in none.
void request(Relation relation, BlockNumber block) {
  static Oid last_relation = InvalidOid;
  static BlockNumber last_block = InvalidBlockNumber;
  if (effective_io_concurrency == 0 || RelationUsesLocalBuffers(relation) ||
      (block == last_block && RelationGetRelid(relation) == last_relation))
    return;
  last_relation = RelationGetRelid(relation);
  last_block = block;
  Place(relation, block).set(PrefetchBuffer(relation, MAIN_FORKNUM, block).recent_buffer);
}

/// Begins to fetch a page; null if it is in no buffer yet.
Page begin_to_fetch(Relation relation, BlockNumber block, ReadAhead *read_ahead = nullptr) {
  const Place place(relation, block);
  if (place.get() == InvalidBuffer && (read_ahead == nullptr || !read_ahead->covers(block)))
    request(relation, block);
  const Buffer buffer = place.get();
  if (buffer == InvalidBuffer)
    return nullptr;
  __builtin_prefetch(GetBufferDescriptor(buffer - 1), 1);
  __builtin_prefetch(page_at(buffer));
  return page_at(buffer);
}

/// A page that has begun to be fetched; null if it is not where it was thought to be.
Page fetched(Relation relation, BlockNumber block) {
  const Buffer buffer = Place(relation, block).get();
  if (buffer == InvalidBuffer)
    return nullptr;
  if (pg::seems_to_have(buffer, relation, block))
    return page_at(buffer);
  request(relation, block);
  return nullptr;
}

} // namespace

bool fetch_page(Relation relation, BlockNumber block, ReadAhead *read_ahead) {
  if (block == InvalidBlockNumber)
    return true;
  const char *page = begin_to_fetch(relation, block, read_ahead);
  if (page != nullptr)
    __builtin_prefetch(page + kLine);
  return page != nullptr;
}

BlockNumber fetch_entries(Relation index, BlockNumber block, std::span<const core::Wanted> wanted, core::Micros since) {
  Page page = block == InvalidBlockNumber ? nullptr : fetched(index, block);
  if (page == nullptr)
    return InvalidBlockNumber;
  const core::BucketPage bucket = bucket_page(page);
  // Of a page in order the lines where the keys should be; or else, and for many keys, the first: the processor sees
  // then where the rest is.
  constexpr std::size_t kFirst = 14;
  if (wanted.size() <= core::KeySearch::kFew && bucket.is_sorted())
    for (const core::Wanted &one : wanted) {
      const auto *place = reinterpret_cast<const char *>(bucket.hashes() + bucket.about(one.hash));
      __builtin_prefetch(place - kLine);
      __builtin_prefetch(place);
      __builtin_prefetch(place + kLine);
    }
  else
    for (std::size_t line = 2; line < kFirst; ++line)
      __builtin_prefetch(page + line * kLine);
  return bucket.header().older_newest >= since ? bucket.header().older : InvalidBlockNumber;
}

bool fetch_line_pointer(Relation table, const ItemPointerData &row, ReadAhead &read_ahead) {
  Page page = begin_to_fetch(table, ItemPointerGetBlockNumberNoCheck(&row), &read_ahead);
  if (page != nullptr)
    __builtin_prefetch(PageGetItemId(page, ItemPointerGetOffsetNumberNoCheck(&row)));
  return page != nullptr;
}

void fetch_row(Relation table, const ItemPointerData &row) {
  Page page = fetched(table, ItemPointerGetBlockNumberNoCheck(&row));
  if (page != nullptr && ItemPointerGetOffsetNumberNoCheck(&row) <= MaxHeapTuplesPerPage) {
    const char *tuple = page + ItemIdGetOffset(PageGetItemId(page, ItemPointerGetOffsetNumberNoCheck(&row)));
    __builtin_prefetch(tuple);
    __builtin_prefetch(tuple + kLine);
  }
}

Buffer read_recent(Relation relation, BlockNumber block, BufferAccessStrategy ring) {
  if (RelationUsesLocalBuffers(relation))
    return ReadBuffer(relation, block);
  const Place place(relation, block);
  const Buffer buffer = place.get();
  if (buffer != InvalidBuffer && pg::read_where_it_was(relation, block, buffer))
    return buffer;
  if (ring != nullptr)
    return ReadBufferExtended(relation, MAIN_FORKNUM, block, RBM_NORMAL, ring);
  return place.set(ReadBuffer(relation, block));
}

BufferAccessStrategy ring_for(Relation relation, BlockNumber blocks, std::size_t pages) {
  const auto buffers = static_cast<std::size_t>(NBuffers);
  const bool is_large = blocks > buffers / 2 && pages > buffers / 32;
  return is_large && !RelationUsesLocalBuffers(relation) ? GetAccessStrategy(BAS_BULKREAD) : nullptr;
}

void request_shared_places() {
  pg::request_shared_piece({"attribution places", kBytes, nullptr,
                            [](void *memory, LWLock *) { home = places = static_cast<Buffer *>(memory); }});
}

std::string_view known_places() {
  return home == own_places ? std::string_view(reinterpret_cast<const char *>(own_places), kBytes) : std::string_view();
}

void share_places(std::span<char> copy) {
  if (copy.size() == kBytes) // not so of another build of this library
    places = reinterpret_cast<Buffer *>(copy.data());
}

SharedPlaces::~SharedPlaces() {
  if (const Buffer *shared = std::exchange(places, home); shared != home)
    memcpy(home, shared, kBytes);
}

} // namespace attribution::touch
