// The queue of a rule: one row for each conversion that waits for a decision, or is open to another.
#pragma once

#include "engine/batch.hpp"

namespace attribution::engine {

/// Pending rows that this transaction has locked: nobody else decides these conversions.
struct Claims {
  Claims() : memory("attribution claims") {}
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(ids.size()); }

  pg::Context memory; ///< owns the ids
  std::vector<Datum> ids;
  std::vector<ItemPointerData> rows;                 ///< where they are, until a trigger of ours changes one
  std::vector<core::Micros> times;                   ///< a time at which a row or a decision of the id is, or was
  std::vector<char> elsewhere;                       ///< its decision may be at any other time as well
  std::vector<std::optional<core::Micros>> arrivals; ///< nothing: not decided yet
  core::Micros reached = core::kMinusInfinity;       ///< when the last of them was due
};

/// Locks what is due from `since` until `now`, the longest due first, passing over what others have locked.
void claim(const Binding &binding, core::Micros since, core::Micros now, std::uint32_t most, Claims &claims);

/// How many rows are due from `since` until `now`, claimed or not; `most` if they are more.
std::uint32_t count_due(const Binding &binding, core::Micros since, core::Micros now, std::uint32_t most);

/// What the claimed ids stand for.
struct Claimed {
  Batch batch;                       ///< the conversions, at most one for each id
  std::vector<std::uint32_t> claims; ///< of each conversion of the batch
  std::uint32_t done = 0;            ///< claims from here on were not read: the batch is full
  struct Place {
    std::uint32_t claim;
    core::Micros time;
  };
  std::vector<Place> places; ///< where rows of the ids are, or were: their decisions can be nowhere else

  /// Leaves all but so many conversions for another time.
  void shorten(std::uint32_t conversions);
};

/// Reads the conversions of the claimed ids, of several rows with one id the earliest, up to about `bytes` of them.
void read_claimed(const Binding &binding, Claims &claims, std::size_t bytes, Claimed &claimed);

/// Raises the error that reading them would, if it can be told without any.
void check_claimed(const Binding &binding);

/// A claimed conversion's next turn.
struct Turn {
  std::uint32_t claim;
  core::Micros time; ///< of its decision
  core::Micros arrival;
  core::Micros due;
};
void reschedule(const Binding &binding, const Claims &claims, const std::vector<Turn> &turns);
/// Takes claims off the queue. What a trigger of this transaction has queued again stays, as it does in reschedule().
/// Returns how many it took.
std::uint64_t close(const Binding &binding, const Claims &claims, const std::vector<std::uint32_t> &which);

/// Sets the one claim aside: it is due never, until it is changed or retried.
void set_aside(const Binding &binding, const Claims &claims, int sqlstate, const std::string &message);
/// Queues what was set aside again; `id`: the text of one id, or null for all. Returns how many.
std::int64_t retry(const Binding &binding, pg::Param id);

/// What to queue of a relation, a chunk of its pages at a time.
struct Sweep {
  Oid relation = InvalidOid; ///< a table without partitions: of the conversion table, or of the decisions
  bool decisions = false;    ///< it is one of decisions
  bool missing = false;      ///< only conversions without a decision; only decisions without a conversion
  bool unqueued = false;     ///< only what is not in the queue
  bool reopen = false;       ///< as if it had arrived when it happened; otherwise long ago, so that it closes at once
  std::optional<std::pair<std::int64_t, std::int64_t>> pages; ///< from, to; nothing: all
  core::Micros since = core::kMinusInfinity, until = core::kInfinity;
};
/// Returns how many it queued.
std::int64_t queue(const Binding &binding, const Sweep &sweep, core::Micros now);

} // namespace attribution::engine
