// Rows that may be the touchpoint of a conversion, as a touch index names them: the best few of each conversion.
#pragma once

#include "core/key_search.hpp"
#include "pg/prelude.hpp"

#include <span>

namespace attribution::touch {

/// A hash that fits is no proof, nor is it that there still is such a row.
struct Candidate {
  core::Micros time;
  std::uint32_t conversion;
  std::uint32_t place; ///< of who wants it, among all of them
  ItemPointerData row;
};

/// Takes entries of an index, of rows that are there or not: called inside PostgreSQL, so nothing of it is destroyed
/// after an ERROR. For some twice.
class EntryTaker {
public:
  virtual ~EntryTaker() = default;
  virtual void take(const core::Wanted &wanted, const core::TouchEntry &entry) noexcept = 0;
};

/// Takes rows that were found, where they lie: called inside PostgreSQL, so nothing of it is destroyed after an ERROR.
class RowTaker {
public:
  virtual ~RowTaker() = default;
  /// What is palloc'ed is gone with the next row. Returns false to end it early.
  virtual bool take(const Candidate &candidate, TupleTableSlot *row) noexcept = 0;
  /// Some turns before: a candidate whose row may be there. First it is far, and then near.
  virtual void expect(const Candidate &, [[maybe_unused]] bool near) const noexcept {}
};

/// The best candidates of each who is wanted: the newest, or the oldest. In the memory context it is made in, also what
/// it needs later.
class Candidates {
public:
  /// `bytes`: how much the list should take, with the copy by which it is put in order.
  Candidates(bool newest, std::size_t bytes);

  /// Begins with an empty list. `most`: how many of each; more where they share a microsecond with the last of them.
  void begin(std::span<const core::Wanted> wanted, std::uint32_t most);

  std::span<const core::Wanted> wanted() const { return wanted_; }
  /// An entry for one of those.
  void add(const core::Wanted &wanted, const core::TouchEntry &entry) {
    const auto place = static_cast<std::uint32_t>(&wanted - wanted_.data());
    Margin &margin = margins_[place];
    if (is_better(margin.worst, entry.time)) {
      margin.left_out = true;
      return;
    }
    Candidate candidate{entry.time, wanted.conversion, place, {}};
    ItemPointerSet(&candidate.row, entry.block, entry.offset);
    if (most_ == 1 && margin.count > 0 && entry.time != margin.worst) {
      // Those that shared the time of the one in its place are left, and are found to be worse by keep_best().
      margin.left_out = true;
      margin.worst = entry.time;
      list_[margin.at] = candidate;
      return;
    }
    if (count_ == room_)
      make_room();
    if (++margin.count > most_)
      has_surplus_ = true;
    if (most_ == 1) {
      margin.worst = entry.time;
      margin.at = static_cast<std::uint32_t>(count_);
    }
    list_[count_++] = candidate;
  }

  /// Whether the list has taken its share.
  bool is_full() {
    if (count_ >= full_)
      keep_best();
    return count_ >= full_;
  }

  /// Looks up the rows, in the order in which they lie in the table; of each the version that `snapshot` shows. Rows
  /// that are not there are left out; the others are handed to `taker`, if there is one, and returned.
  std::span<const Candidate> look_up(Oid table, Snapshot snapshot, RowTaker *taker);

  /// The time that those who were left out do not reach; none if nobody was. Of who is wanted at a place.
  const core::Micros *beyond(std::size_t place) const {
    return margins_[place].left_out ? &margins_[place].worst : nullptr;
  }

private:
  struct Margin {
    core::Micros worst;       ///< worse ones are left out
    std::uint32_t at;         ///< in the list the last, where one is enough
    std::uint32_t count : 31; ///< in the list
    std::uint32_t left_out : 1;
  };

  bool is_better(core::Micros a, core::Micros b) const { return newest_ ? a > b : a < b; }
  core::Micros worst_of_all() const { return newest_ ? core::kMinusInfinity : core::kInfinity; }
  void keep_best();
  void make_room();
  void sort_by_row();

  MemoryContext memory_;
  bool newest_;
  std::size_t full_;
  std::span<const core::Wanted> wanted_;
  std::uint32_t most_ = 0;
  Margin *margins_ = nullptr; ///< by place among those who are wanted
  std::size_t margins_room_ = 0;
  Candidate *list_ = nullptr;
  Candidate *spare_ = nullptr; ///< for putting it in order; as large
  std::size_t count_ = 0, room_ = 0;
  bool has_surplus_ = false; ///< somebody has more than `most_`
};

/// Looks for candidates in a touch index, until the list is full; returns how many of those it began with have theirs
/// in it. What this transaction has inserted is found as well.
std::size_t find_candidates(Oid index, Snapshot snapshot, Candidates &candidates);

/// Hands a taker all entries of a touch index that somebody wants. Every row that `snapshot` shows has one.
void find_entries(Oid index, std::span<const core::Wanted> wanted, Snapshot snapshot, EntryTaker &taker);

} // namespace attribution::touch
