#include "touch/recent.hpp"

#include "pg/compat.hpp"
#include "touch/page.hpp"

namespace attribution::touch {

namespace {

/// By relation and block: 1 MB at most, for the pages of 2 GB. Two pages may have the same place.
constexpr std::size_t kPlaces = 1 << 18;
Buffer places[kPlaces];

Buffer &place_of(Relation index, BlockNumber block) {
  return places[(RelationGetRelid(index) * 0x9e3779b1U + block) % kPlaces];
}

} // namespace

void fetch_ahead(Relation index, BlockNumber block) {
  if (block == InvalidBlockNumber)
    return;
  const Buffer buffer = place_of(index, block);
  if (buffer <= 0) // unknown, or of a temporary table
    return;
  // The lines that a search begins with: who may read, the headers, the first hashes. The processor sees where the
  // rest is.
  constexpr Size kLine = 64;
  constexpr Size kLines = 14;
  __builtin_prefetch(GetBufferDescriptor(buffer - 1), 1);
  const char *page = BufferBlocks + static_cast<Size>(buffer - 1) * BLCKSZ;
  for (Size line = 0; line < kLines; ++line)
    __builtin_prefetch(page + line * kLine);
}

Buffer read_recent(Relation index, BlockNumber block) {
  // Only the long way tells the server that the page is in use, and worth keeping.
  constexpr unsigned kUnnoticed = 32;
  static unsigned reads = 0;
  Buffer &place = place_of(index, block);
  if (++reads % kUnnoticed != 0 && place != InvalidBuffer && pg::read_where_it_was(index, block, place)) {
    LockBuffer(place, BUFFER_LOCK_SHARE);
    return place;
  }
  return place = read_page(index, block, BUFFER_LOCK_SHARE);
}

} // namespace attribution::touch
