// Where in shared memory pages were seen last. A guess, and checked: it saves looking for a page in the server's table
// of buffers, and lets the processor fetch the memory before it is needed, or the disk, if effective_io_concurrency has
// it work ahead at all. (2,000 conversions visit some 9,000 pages of indexes and 1,300 of tables: 3.1 ms; 5.1 ms if
// nothing is fetched ahead.)
//
// Who fetches ahead reads pages that he has neither pinned nor locked, and that others may be writing: what he finds
// there says which memory to fetch next, and nothing else.
#pragma once

#include "core/key_search.hpp"
#include "pg/prelude.hpp"
#include "touch/read_ahead.hpp"

#include <span>

namespace attribution::touch {

/// Has the beginning of a page fetched, if it is in memory, or else read from the disk, with those around it if
/// `read_ahead` has it so. Returns whether it seems to be in memory.
bool fetch_page(Relation relation, BlockNumber block, ReadAhead *read_ahead = nullptr);

/// Some turns later: what a search for these keys reads of a page of entries. Returns the next page of the chain if it
/// may have any since then, else InvalidBlockNumber.
BlockNumber fetch_entries(Relation index, BlockNumber block, std::span<const core::Wanted> wanted, core::Micros since);

/// Has what leads to a row of a table fetched; some turns later the row. Returns whether it seems to be in memory.
bool fetch_line_pointer(Relation table, const ItemPointerData &row, ReadAhead &read_ahead);
void fetch_row(Relation table, const ItemPointerData &row);

/// How far ahead to fetch: as far as the processor needs it, and further where pages are not in memory, so that the
/// disk has many to read at once. (A million installs, two sessions, both caches emptied: 55.5 s; 59.0 if never
/// further.)
class Distance {
public:
  Distance(std::size_t least, std::size_t most) : least_(least), most_(most), distance_(least) {}
  operator std::size_t() const { return distance_; }
  void found(bool in_memory) {
    if (!in_memory)
      distance_ = std::min(2 * distance_, most_);
    else if (distance_ > least_)
      --distance_;
  }

private:
  std::size_t least_, most_, distance_;
};

/// A page of the main fork, pinned. What is in no buffer yet is read into one of the ring, if there is one.
Buffer read_recent(Relation relation, BlockNumber block, BufferAccessStrategy ring = nullptr);

/// The ring of a few buffers for who reads so many pages, here and there, of a relation that is too large to stay in
/// memory: null, for all buffers, if it is not, or if they are few. To be given to FreeAccessStrategy(). (Else they
/// turn out what the next batch needs: a million installs took 73.8 s, and 58.5 and 62.3 with it.)
BufferAccessStrategy ring_for(Relation relation, BlockNumber blocks, std::size_t pages);

/// Has all processes of the server know the same: from _PG_init, under shared_preload_libraries. Without it each knows
/// what it has seen itself, and a team goes by a copy of what its leader knows. (A backfill by three processes: 226 ms,
/// and 234 with a copy.)
void request_shared_places();

/// What this process knows, if it is alone with it.
std::string_view known_places();

/// Has this process go by a copy of that from now on, which it shares with others of the same server: what one has
/// seen, all have.
void share_places(std::span<char> copy);

/// The same for a scope. What was learnt meanwhile stays known.
class SharedPlaces {
public:
  explicit SharedPlaces(std::span<char> copy) { share_places(copy); }
  ~SharedPlaces();
  SharedPlaces(const SharedPlaces &) = delete;
  SharedPlaces &operator=(const SharedPlaces &) = delete;
};

} // namespace attribution::touch
