#include "touch/recent.hpp"

#include "pg/compat.hpp"
#include "touch/page.hpp"

namespace attribution::touch {

namespace {

/// By relation and block: 2 MB at most, for the pages of 4 GB. Two pages may have the same place. 0: unknown.
constexpr std::size_t kPlaces = 1 << 19;
Buffer places[kPlaces];
bool is_any_known = false;

Buffer &place_of(Relation relation, BlockNumber block) {
  return places[(RelationGetRelid(relation) * 0x9e3779b1U + block) % kPlaces];
}

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
  place_of(relation, block) = PrefetchBuffer(relation, MAIN_FORKNUM, block).recent_buffer;
}

/// Begins to fetch a page; null if it is in no buffer yet.
Page begin_to_fetch(Relation relation, BlockNumber block) {
  const Buffer &place = place_of(relation, block);
  if (place == InvalidBuffer)
    request(relation, block);
  if (place == InvalidBuffer)
    return nullptr;
  __builtin_prefetch(GetBufferDescriptor(place - 1), 1);
  __builtin_prefetch(page_at(place));
  return page_at(place);
}

/// A page that has begun to be fetched; null if it is not where it was thought to be.
Page fetched(Relation relation, BlockNumber block) {
  const Buffer place = place_of(relation, block);
  if (place == InvalidBuffer)
    return nullptr;
  if (pg::seems_to_have(place, relation, block))
    return page_at(place);
  request(relation, block);
  return nullptr;
}

} // namespace

void fetch_page(Relation relation, BlockNumber block) {
  if (block == InvalidBlockNumber)
    return;
  if (const char *page = begin_to_fetch(relation, block))
    __builtin_prefetch(page + kLine);
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

void fetch_line_pointer(Relation table, const ItemPointerData &row) {
  if (Page page = begin_to_fetch(table, ItemPointerGetBlockNumberNoCheck(&row)))
    __builtin_prefetch(PageGetItemId(page, ItemPointerGetOffsetNumberNoCheck(&row)));
}

void fetch_row(Relation table, const ItemPointerData &row) {
  Page page = fetched(table, ItemPointerGetBlockNumberNoCheck(&row));
  if (page != nullptr && ItemPointerGetOffsetNumberNoCheck(&row) <= MaxHeapTuplesPerPage) {
    const char *tuple = page + ItemIdGetOffset(PageGetItemId(page, ItemPointerGetOffsetNumberNoCheck(&row)));
    __builtin_prefetch(tuple);
    __builtin_prefetch(tuple + kLine);
  }
}

Buffer read_recent(Relation relation, BlockNumber block) {
  // Only the long way tells the server that the page is in use, and worth keeping.
  constexpr unsigned kUnnoticed = 64;
  static unsigned reads = 0;
  if (RelationUsesLocalBuffers(relation))
    return ReadBuffer(relation, block);
  Buffer &place = place_of(relation, block);
  if (++reads % kUnnoticed != 0 && place != InvalidBuffer && pg::read_where_it_was(relation, block, place))
    return place;
  is_any_known = true;
  return place = ReadBuffer(relation, block);
}

std::string_view recent_places() {
  return is_any_known ? std::string_view(reinterpret_cast<const char *>(places), sizeof places) : std::string_view();
}

void take_over(std::string_view known) {
  if (known.size() == sizeof places)
    memcpy(places, known.data(), sizeof places);
}

} // namespace attribution::touch
