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
  /// Some turns before: a candidate whose row may be there.
  virtual void expect(const Candidate &) const noexcept {}
};

/// The best candidates of each conversion: the newest, or the oldest. In the memory context it is made in.
class Candidates {
public:
  /// `most`: how many of a conversion; more where they share a microsecond with the last of them. `bytes`: how much the
  /// list should take.
  Candidates(std::uint32_t conversions, bool newest, std::uint32_t most, std::size_t bytes);

  void add(const core::Wanted &wanted, const core::TouchEntry &entry) {
    Margin &margin = margins_[wanted.conversion];
    if (is_better(margin.worst, entry.time)) {
      margin.left_out = true;
      return;
    }
    Candidate candidate{entry.time, wanted.conversion, {}};
    ItemPointerSet(&candidate.row, entry.block, entry.offset);
    if (most_ == 1 && margin.count > 0 && entry.time != margin.worst) {
      // Those that shared the time of the one in its place are left, and are found to be worse by keep_best().
      margin.left_out = true;
      margin.worst = entry.time;
      list_[margin.place] = candidate;
      return;
    }
    if (count_ == room_)
      make_room();
    if (++margin.count > most_)
      has_surplus_ = true;
    if (most_ == 1) {
      margin.worst = entry.time;
      margin.place = static_cast<std::uint32_t>(count_);
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

  /// The time that those who were left out do not reach; none if nobody was.
  const core::Micros *beyond(std::uint32_t conversion) const {
    return margins_[conversion].left_out ? &margins_[conversion].worst : nullptr;
  }

private:
  struct Margin {
    core::Micros worst;  ///< worse ones are left out
    std::uint32_t count; ///< in the list
    std::uint32_t place; ///< there, of the last, where one is enough
    bool left_out;
  };

  bool is_better(core::Micros a, core::Micros b) const { return newest_ ? a > b : a < b; }
  void keep_best();
  void make_room();

  std::uint32_t most_;
  bool newest_;
  Margin *margins_;
  Candidate *list_;
  std::size_t count_ = 0, room_, full_;
  bool has_surplus_ = false; ///< somebody has more than `most_`
};

/// Looks for candidates in a touch index, until the list is full; returns how many of those who are wanted have theirs
/// in it. What this transaction has inserted is found as well.
std::size_t find_candidates(Oid index, std::span<const core::Wanted> wanted, Snapshot snapshot, Candidates &candidates);

/// Hands a taker all entries of a touch index that somebody wants. Every row that `snapshot` shows has one.
void find_entries(Oid index, std::span<const core::Wanted> wanted, Snapshot snapshot, EntryTaker &taker);

} // namespace attribution::touch
