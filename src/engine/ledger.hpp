// The decisions of a rule as they are kept: compared with what was just decided, and rewritten where that differs.
#pragma once

#include "engine/credits.hpp"
#include "engine/pending.hpp"
#include "engine/touch_rows.hpp"

namespace attribution::engine {

/// What was decided of a batch, as columns: so it goes into a statement's parameters.
class Decided {
public:
  /// `most`: bytes that credits may take.
  Decided(const Binding &binding, const Batch &batch, Crediting &crediting, std::size_t most);
  /// Adds the decision of the next conversion of the batch. Once there is no room for more, none is added.
  void add(const core::Decision &decision, TouchRowStore &rows);
  /// For columns that something else fills: all null.
  static void assign_nulls(BatchColumn &column, std::size_t count);
  bool is_full() const noexcept { return bytes_ >= most_; }

  struct Header {
    bool attributed;
    std::uint32_t tier;         ///< of the most credit, and of equal ones the newest; none for organic
    std::uint32_t first, count; ///< its credits
  };
  struct Credit {
    std::uint32_t conversion;
    std::int32_t position;
    bool organic;
    std::uint32_t tier;
    Datum touch_id;
    core::Micros touch_time;
    double credit;
  };

  const Binding &binding;
  const Batch &batch;
  Crediting &crediting;
  pg::Context memory;
  std::vector<Header> headers; ///< of the batch's conversions, in its order
  std::vector<Credit> credits;
  std::vector<BatchColumn> carried;       ///< of each credit, by RuleSpec::carry
  std::vector<BatchColumn> header_values; ///< of each header, by Binding::header_columns; enrich() fills its own
  std::vector<BatchColumn> credit_values; ///< of each credit, by Binding::credit_columns; enrich() fills them
  std::vector<Datum> tier_names;          ///< text

private:
  void add_path_summary(const core::Decision &decision, const TouchRowStore &rows);
  std::size_t most_, bytes_ = 0;
};

/// A decision that is kept.
struct Kept {
  std::uint32_t claim;
  core::Micros time;
  core::Micros decided_at;
  bool same_header;      ///< as what was decided
  std::uint32_t matched; ///< of its credits so many are as decided,
  std::uint32_t credits; ///< of so many
};

/// What a batch did.
struct Tally {
  std::int64_t decided = 0, changed = 0, restated = 0, withdrawn = 0, kept = 0, closed = 0;
};

class Ledger {
public:
  explicit Ledger(const Binding &binding);
  /// Reads what is kept of the claimed ids, in the active snapshot.
  std::vector<Kept> read(const Claims &claims, const Claimed &claimed, const Decided &decided) const;
  /// Writes what differs, with the superseded into history; what lies beyond the horizon is kept as it is.
  /// Returns the times at which the claims' decisions are now; nothing: there is none.
  std::vector<std::optional<core::Micros>> write(const Claims &claims, const Claimed &claimed, const Decided &decided,
                                                 const std::vector<Kept> &kept, std::int64_t run, Tally &tally) const;

private:
  void supersede(const Claims &claims, const std::vector<Kept> &gone, const std::vector<core::Micros> &at,
                 std::int64_t run) const;
  /// `at`: when each conversion of the batch is decided.
  void insert(const Decided &decided, const std::vector<std::uint32_t> &conversions,
              const std::vector<core::Micros> &at, std::int64_t run) const;
  void insert_headers(const Decided &decided, const std::vector<std::uint32_t> &conversions,
                      const std::vector<core::Micros> &at, std::int64_t run) const;
  void insert_credits(const Decided &decided, const std::vector<std::uint32_t> &conversions,
                      const std::vector<core::Micros> &at) const;
  /// Remembers who is new, of these conversions, for when the events are gone; and no longer what else was remembered
  /// of the claims `remembered`.
  void remember(const Claims &claims, const Claimed &claimed, const std::vector<std::uint32_t> &remembered,
                const std::vector<std::uint32_t> &conversions) const;

  const Binding &binding_;
  std::string decisions_, credits_, decisions_history_, credits_history_;
  std::string header_columns_, credit_columns_; ///< that are kept in history
  std::string collation_;                       ///< of conversion ids
};

} // namespace attribution::engine
