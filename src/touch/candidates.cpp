#include "touch/candidates.hpp"

#include "pg/compat.hpp"
#include "touch/collect.hpp"
#include "touch/visit.hpp"

namespace attribution::touch {

namespace {

/// Orders as ItemPointerCompare() does.
std::uint64_t place_of(const ItemPointerData &row) {
  return std::uint64_t{ItemPointerGetBlockNumberNoCheck(&row)} << 16 | ItemPointerGetOffsetNumberNoCheck(&row);
}

/// Has the page of a heap at hand, the short way: without a look at whether it could be pruned, which whoever updates
/// its rows takes.
void turn_to(IndexFetchTableData *fetch, BlockNumber block, BufferAccessStrategy ring) {
  Buffer &at_hand = pg::page_at_hand(fetch);
  if (BufferIsValid(at_hand)) {
    if (BufferGetBlockNumber(at_hand) == block)
      return;
    ReleaseBuffer(at_hand);
    at_hand = InvalidBuffer;
  }
  at_hand = read_recent(fetch->rel, block, ring);
}

} // namespace

Candidates::Candidates(std::uint32_t conversions, bool newest, std::uint32_t most, std::size_t bytes)
    : most_(most), newest_(newest), room_(1024), full_(std::max<std::size_t>(bytes / sizeof(Candidate), 1)) {
  margins_ =
      static_cast<Margin *>(MemoryContextAllocHuge(CurrentMemoryContext, std::max(conversions, 1U) * sizeof(Margin)));
  std::fill_n(margins_, conversions, Margin{newest ? core::kMinusInfinity : core::kInfinity, 0, 0, false});
  list_ = static_cast<Candidate *>(palloc(room_ * sizeof(Candidate)));
}

void Candidates::keep_best() {
  if (!has_surplus_)
    return;
  std::sort(list_, list_ + count_, [this](const Candidate &a, const Candidate &b) {
    return a.conversion != b.conversion ? a.conversion < b.conversion : is_better(a.time, b.time);
  });
  std::size_t kept = 0;
  for (std::size_t first = 0; first < count_;) {
    Margin &margin = margins_[list_[first].conversion];
    std::size_t i = first;
    for (; i < count_ && list_[i].conversion == list_[first].conversion; ++i) {
      if (i - first < most_)
        margin.worst = list_[i].time;
      else if (list_[i].time != margin.worst) {
        margin.left_out = true;
        continue;
      }
      list_[kept++] = list_[i];
    }
    if (i - first < most_)
      margin.worst = newest_ ? core::kMinusInfinity : core::kInfinity;
    margin.place = static_cast<std::uint32_t>(kept) - 1;
    margin.count = static_cast<std::uint32_t>(std::min<std::size_t>(i - first, most_));
    first = i;
  }
  count_ = kept;
  has_surplus_ = false;
}

void Candidates::make_room() {
  keep_best();
  if (count_ < room_ / 2)
    return;
  room_ *= 2;
  list_ = static_cast<Candidate *>(repalloc_huge(list_, room_ * sizeof(Candidate)));
}

std::span<const Candidate> Candidates::look_up(Oid table_oid, Snapshot snapshot, RowTaker *taker) {
  keep_best();
  std::sort(list_, list_ + count_, [](const Candidate &a, const Candidate &b) {
    const std::uint64_t x = place_of(a.row);
    const std::uint64_t y = place_of(b.row);
    return x != y ? x < y : a.conversion < b.conversion;
  });
  Relation table = table_open(table_oid, NoLock);
  TupleTableSlot *slot = table_slot_create(table, nullptr);
  IndexFetchTableData *fetch = table_index_fetch_begin(table);
  const BlockNumber blocks = RelationGetNumberOfBlocks(table);
  BufferAccessStrategy ring = ring_for(table, blocks, count_);
  MemoryContext one_row = AllocSetContextCreate(CurrentMemoryContext, "attribution row", ALLOCSET_SMALL_SIZES);
  MemoryContext outer = MemoryContextSwitchTo(one_row);
  constexpr std::size_t kAhead = 8;
  // Another access method keeps its rows in ways of its own.
  const bool is_heap = table->rd_tableam == GetHeapamTableAmRoutine();
  const auto has_row = [blocks](const Candidate &one) { return ItemPointerGetBlockNumber(&one.row) < blocks; };
  const auto may_fetch = [&](const Candidate &one) { return is_heap && has_row(one); };
  std::size_t kept = 0;
  ItemPointerData asked{};
  bool found = false;
  for (std::size_t i = 0; i < count_; ++i) {
    CHECK_FOR_INTERRUPTS();
    if (i + 2 * kAhead < count_ && may_fetch(list_[i + 2 * kAhead]))
      fetch_line_pointer(table, list_[i + 2 * kAhead].row);
    if (i + kAhead < count_) {
      if (may_fetch(list_[i + kAhead]))
        fetch_row(table, list_[i + kAhead].row);
      if (taker != nullptr)
        taker->expect(list_[i + kAhead]);
    }
    Candidate &candidate = list_[i];
    if (i == 0 || !ItemPointerEquals(&asked, &candidate.row)) {
      asked = candidate.row;
      ItemPointerData row = asked;
      bool again = false;
      found = has_row(candidate);
      if (found) {
        if (is_heap)
          turn_to(fetch, ItemPointerGetBlockNumber(&row), ring);
        found = table_index_fetch_tuple(fetch, &row, snapshot, slot, &again, nullptr);
      }
    } else if (list_[i].conversion == list_[i - 1].conversion)
      continue; // its bucket was gone through twice
    if (!found)
      continue;
    list_[kept++] = {candidate.time, candidate.conversion, slot->tts_tid};
    if (taker != nullptr) {
      MemoryContextReset(one_row);
      if (!taker->take(list_[kept - 1], slot))
        break;
    }
  }
  MemoryContextSwitchTo(outer);
  MemoryContextDelete(one_row);
  table_index_fetch_end(fetch);
  ExecDropSingleTupleTableSlot(slot);
  FreeAccessStrategy(ring);
  table_close(table, NoLock);
  return {list_, count_ = kept};
}

namespace {

/// Visits an index, once what this transaction has collected for it is written.
template <class F, class Full>
std::size_t search(Oid oid, std::span<const core::Wanted> wanted, Snapshot snapshot, F f, Full full) {
  Relation index = index_open(oid, NoLock);
  write_collected(index);
  PredicateLockRelation(index, snapshot);
  pgstat_count_index_scan(index);
  const std::size_t done = visit(index, wanted, f, full);
  index_close(index, NoLock);
  return done;
}

} // namespace

std::size_t find_candidates(Oid index, std::span<const core::Wanted> wanted, Snapshot snapshot,
                            Candidates &candidates) {
  return search(
      index, wanted, snapshot,
      [&](const core::Wanted &who, const core::TouchEntry &entry) { candidates.add(who, entry); },
      [&] { return candidates.is_full(); });
}

void find_entries(Oid index, std::span<const core::Wanted> wanted, Snapshot snapshot, EntryTaker &taker) {
  (void)search(
      index, wanted, snapshot, [&](const core::Wanted &who, const core::TouchEntry &entry) { taker.take(who, entry); },
      [] { return false; });
}

} // namespace attribution::touch
