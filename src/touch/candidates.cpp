#include "touch/candidates.hpp"

#include "core/radix_sort.hpp"
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

Candidates::Candidates(bool newest, std::size_t bytes)
    : memory_(CurrentMemoryContext), newest_(newest), full_(std::max<std::size_t>(bytes / (2 * sizeof(Candidate)), 1)) {
}

void Candidates::begin(std::span<const core::Wanted> wanted, std::uint32_t most) {
  if (wanted.size() > margins_room_) {
    if (margins_ != nullptr)
      pfree(margins_);
    margins_room_ = wanted.size();
    margins_ = static_cast<Margin *>(MemoryContextAllocHuge(memory_, margins_room_ * sizeof(Margin)));
  }
  std::fill_n(margins_, wanted.size(), Margin{worst_of_all(), 0, 0, 0});
  wanted_ = wanted;
  most_ = most;
  count_ = 0;
  has_surplus_ = false;
}

void Candidates::keep_best() {
  if (!has_surplus_)
    return;
  std::sort(list_, list_ + count_, [this](const Candidate &a, const Candidate &b) {
    return a.place != b.place ? a.place < b.place : is_better(a.time, b.time);
  });
  std::size_t kept = 0;
  for (std::size_t first = 0; first < count_;) {
    Margin &margin = margins_[list_[first].place];
    std::size_t i = first;
    for (; i < count_ && list_[i].place == list_[first].place; ++i) {
      if (i - first < most_)
        margin.worst = list_[i].time;
      else if (list_[i].time != margin.worst) {
        margin.left_out = true;
        continue;
      }
      list_[kept++] = list_[i];
    }
    if (i - first < most_)
      margin.worst = worst_of_all();
    margin.at = static_cast<std::uint32_t>(kept) - 1;
    margin.count = static_cast<std::uint32_t>(std::min<std::size_t>(i - first, most_));
    first = i;
  }
  count_ = kept;
  has_surplus_ = false;
}

void Candidates::make_room() {
  constexpr std::size_t kFirstRoom = 1024;
  keep_best();
  if (room_ > 0 && count_ < room_ / 2)
    return;
  room_ = std::max(2 * room_, kFirstRoom);
  const std::size_t bytes = room_ * sizeof(Candidate);
  list_ =
      static_cast<Candidate *>(list_ == nullptr ? MemoryContextAllocHuge(memory_, bytes) : repalloc_huge(list_, bytes));
  if (spare_ != nullptr)
    pfree(spare_);
  spare_ = static_cast<Candidate *>(MemoryContextAllocHuge(memory_, bytes));
}

/// In the order in which the rows lie in the table; those of one row in that of who wants it.
void Candidates::sort_by_row() {
  core::radix_sort(std::span(list_, count_), spare_, [](const Candidate &one) { return place_of(one.row); });
  for (std::size_t first = 0, end = 0; first < count_; first = end) {
    for (end = first + 1; end < count_ && place_of(list_[end].row) == place_of(list_[first].row);)
      ++end;
    if (end - first > 1)
      std::sort(list_ + first, list_ + end, [](const Candidate &a, const Candidate &b) { return a.place < b.place; });
  }
}

std::span<const Candidate> Candidates::look_up(Oid table_oid, Snapshot snapshot, RowTaker *taker) {
  keep_best();
  sort_by_row();
  Relation table = table_open(table_oid, NoLock);
  TupleTableSlot *slot = table_slot_create(table, nullptr);
  IndexFetchTableData *fetch = table_index_fetch_begin(table);
  const BlockNumber blocks = RelationGetNumberOfBlocks(table);
  BufferAccessStrategy ring = ring_for(table, blocks, count_);
  ReadAhead read_ahead(table, blocks, count_);
  MemoryContext one_row = AllocSetContextCreate(CurrentMemoryContext, "attribution row", ALLOCSET_SMALL_SIZES);
  MemoryContext outer = MemoryContextSwitchTo(one_row);
  constexpr std::size_t kAhead = 8;
  constexpr std::size_t kFarAhead = 128;
  Distance distance(2 * kAhead, kFarAhead);
  std::size_t asked_for = 0;
  // Another access method keeps its rows in ways of its own.
  const bool is_heap = table->rd_tableam == GetHeapamTableAmRoutine();
  const auto has_row = [blocks](const Candidate &one) { return ItemPointerGetBlockNumber(&one.row) < blocks; };
  const auto may_fetch = [&](const Candidate &one) { return is_heap && has_row(one); };
  std::size_t kept = 0;
  ItemPointerData asked{};
  bool found = false;
  for (std::size_t i = 0; i < count_; ++i) {
    CHECK_FOR_INTERRUPTS();
    for (; asked_for <= i + distance && asked_for < count_; ++asked_for) {
      if (may_fetch(list_[asked_for]))
        distance.found(fetch_line_pointer(table, list_[asked_for].row, read_ahead));
      if (taker != nullptr)
        taker->expect(list_[asked_for], false);
    }
    if (i + kAhead < count_) {
      if (may_fetch(list_[i + kAhead]))
        fetch_row(table, list_[i + kAhead].row);
      if (taker != nullptr)
        taker->expect(list_[i + kAhead], true);
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
    } else if (list_[i].place == list_[i - 1].place)
      continue; // its bucket was gone through twice
    if (!found)
      continue;
    list_[kept] = candidate;
    list_[kept++].row = slot->tts_tid;
    if (taker != nullptr) {
      MemoryContextReset(one_row);
      if (!taker->take(list_[kept - 1], slot))
        break;
    }
  }
  MemoryContextSwitchTo(outer);
  MemoryContextDelete(one_row);
  table_index_fetch_end(fetch);
  read_ahead.close();
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

std::size_t find_candidates(Oid index, Snapshot snapshot, Candidates &candidates) {
  return search(
      index, candidates.wanted(), snapshot,
      [&](const core::Wanted &who, const core::TouchEntry &entry) { candidates.add(who, entry); },
      [&] { return candidates.is_full(); });
}

void find_entries(Oid index, std::span<const core::Wanted> wanted, Snapshot snapshot, EntryTaker &taker) {
  (void)search(
      index, wanted, snapshot, [&](const core::Wanted &who, const core::TouchEntry &entry) { taker.take(who, entry); },
      [] { return false; });
}

} // namespace attribution::touch
