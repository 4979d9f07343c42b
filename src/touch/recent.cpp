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

Page page_at(Buffer buffer) {
  return buffer == InvalidBuffer ? nullptr : static_cast<Page>(BufferBlocks + static_cast<Size>(buffer - 1) * BLCKSZ);
}
/// Where a page may be; null if that is unknown.
Page page_of(Relation relation, BlockNumber block) {
  return block == InvalidBlockNumber ? nullptr : page_at(place_of(relation, block));
}

constexpr std::size_t kLine = 64;

} // namespace

void fetch_page(Relation relation, BlockNumber block) {
  if (block == InvalidBlockNumber)
    return;
  const Buffer buffer = place_of(relation, block);
  const char *page = page_at(buffer);
  if (page == nullptr)
    return;
  __builtin_prefetch(GetBufferDescriptor(buffer - 1), 1);
  __builtin_prefetch(page);
  __builtin_prefetch(page + kLine);
}

BlockNumber fetch_entries(Relation index, BlockNumber block, std::span<const core::Wanted> wanted, core::Micros since) {
  Page page = page_of(index, block);
  if (page == nullptr)
    return InvalidBlockNumber;
  const core::BucketPage bucket = bucket_page(page);
  // Of a page in order the lines where the keys should be; or else, and for many keys, the first: the processor sees
  // then where the rest is.
  constexpr std::size_t kFew = 4;
  constexpr std::size_t kFirst = 14;
  if (wanted.size() <= kFew && bucket.is_sorted())
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
  const Buffer buffer = place_of(table, ItemPointerGetBlockNumberNoCheck(&row));
  if (Page page = page_at(buffer)) {
    __builtin_prefetch(GetBufferDescriptor(buffer - 1), 1);
    __builtin_prefetch(page);
    __builtin_prefetch(PageGetItemId(page, ItemPointerGetOffsetNumberNoCheck(&row)));
  }
}

void fetch_row(Relation table, const ItemPointerData &row) {
  Page page = page_of(table, ItemPointerGetBlockNumberNoCheck(&row));
  if (page != nullptr && ItemPointerGetOffsetNumberNoCheck(&row) <= MaxHeapTuplesPerPage) {
    const char *tuple = page + ItemIdGetOffset(PageGetItemId(page, ItemPointerGetOffsetNumberNoCheck(&row)));
    __builtin_prefetch(tuple);
    __builtin_prefetch(tuple + kLine);
  }
}

Buffer read_recent(Relation relation, BlockNumber block) {
  // Only the long way tells the server that the page is in use, and worth keeping.
  constexpr unsigned kUnnoticed = 128;
  static unsigned reads = 0;
  Buffer &place = place_of(relation, block);
  if (++reads % kUnnoticed != 0 && place != InvalidBuffer && pg::read_where_it_was(relation, block, place))
    return place;
  const Buffer buffer = ReadBuffer(relation, block);
  if (!BufferIsLocal(buffer)) { // those of temporary tables are elsewhere
    place = buffer;
    is_any_known = true;
  }
  return buffer;
}

std::string_view recent_places() {
  return is_any_known ? std::string_view(reinterpret_cast<const char *>(places), sizeof places) : std::string_view();
}

void take_over(std::string_view known) {
  if (known.size() == sizeof places)
    memcpy(places, known.data(), sizeof places);
}

} // namespace attribution::touch
