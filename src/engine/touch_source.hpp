// Where touchpoints come from: one narrow interface, whatever finds them.
#pragma once

#include "core/shortlist.hpp"
#include "engine/batch.hpp"
#include "engine/queries.hpp"

namespace attribution::engine {

/// The ends of a conversion's window. Finite, even at the ends of time: a predicate should not meet touchpoints at
/// infinity, which are never eligible.
inline core::Micros window_since(core::Micros time, core::Micros before) noexcept {
  return std::max(core::minus(time, before), core::kMinusInfinity + 1);
}
inline core::Micros window_until(core::Micros time, core::Micros after) noexcept {
  return std::min(core::plus(time, after), core::kInfinity - 1);
}

/// Takes candidates as they are found. Called inside PostgreSQL's executor: no exceptions.
class CandidateSink {
public:
  virtual ~CandidateSink() = default;
  /// `conversion` is a place in the batch; `touch.row` is not set yet; `row` has the columns of TouchColumn.
  /// False: stop, whatever is left.
  virtual bool offer(std::uint32_t conversion, const core::Touch &touch, TupleTableSlot *row) noexcept = 0;
  /// Whether a touchpoint of this tier and time could still matter.
  virtual bool wants(std::uint32_t conversion, const core::Touch &touch) const noexcept = 0;
};

/// Finds touchpoints whose match columns equal those of conversions. What it finds is a superset: eligibility is the
/// core's to judge, by the facts that come with each.
class TouchSource {
public:
  virtual ~TouchSource() = default;
  /// Finds those that may be eligible in a tier for the conversions `which` of a batch.
  virtual void gather(Batch &batch, const std::vector<std::uint32_t> &which, std::size_t tier, CandidateSink &sink) = 0;
  /// Finds the nearest in time of all that match one conversion within twice the lookback, with the facts that rule
  /// them out.
  virtual void gather_near(Batch &batch, std::uint32_t conversion, std::size_t tier, std::int64_t most,
                           CandidateSink &sink) = 0;
};

/// By plain SQL, with the planner's plan: always right, for anything that can be read.
class SqlTouchSource final : public TouchSource {
public:
  /// Prepares the queries for eligible touchpoints of all tiers, for about so many conversions at a time; `reader` must
  /// have SELECT on what they read. `channels`: whether to read those, too.
  SqlTouchSource(const Binding &binding, Oid reader, std::size_t conversions, bool channels = false);
  void gather(Batch &batch, const std::vector<std::uint32_t> &which, std::size_t tier, CandidateSink &sink) override;
  void gather_near(Batch &batch, std::uint32_t conversion, std::size_t tier, std::int64_t most,
                   CandidateSink &sink) override;
  /// The same as gather(), of rows of one table: of conversion which[i] the one that rows[i] names, if it lies in
  /// since .. until.
  void gather_found(Batch &batch, const std::vector<std::uint32_t> &which, std::size_t tier, Oid table,
                    const std::vector<Datum> &rows, core::Micros since, core::Micros until, CandidateSink &sink);
  /// Whether several processes may gather side by side.
  bool is_parallel_safe() const;
  /// Prepares the queries for near misses; without this each is prepared when first needed.
  void prepare_near_misses();

private:
  /// What a query asks for besides the conversions.
  struct Question {
    core::Micros before, after;
    core::Micros since = core::kMinusInfinity + 1, until = core::kInfinity - 1;
    pg::Param limit = {}, table = {}, rows = {};
  };
  pg::Plan prepare(std::size_t tier, Search search, pg::Planning planning) const;
  void run(const pg::Plan &plan, Batch &batch, const std::vector<std::uint32_t> &which, std::size_t tier,
           const Question &question, CandidateSink &sink);

  const Binding &binding_;
  Oid reader_;
  bool channels_;
  std::vector<pg::Plan> eligible_, near_, found_; ///< by tier
};

/// How touchpoints were found.
enum class Way : std::uint8_t { none, sql, touch_index };

/// By touch indexes where all partitions concerned have one, else by plain SQL. For Keep::winners the best few of each
/// conversion are looked at, and more only if those are not eligible.
class IndexTouchSource final : public TouchSource {
public:
  /// `reader`, `conversions`, `channels` are as for SqlTouchSource; `memory`: what candidates may take, in bytes.
  /// Without `enabled` it is all plain SQL.
  IndexTouchSource(const Binding &binding, Oid reader, std::size_t conversions, bool channels, core::Keep keep,
                   std::size_t memory, bool enabled)
      : binding_(binding), sql_(binding, reader, conversions, channels),
        channels_(channels && !binding.spec.channel.empty()), keep_(keep), memory_(memory), enabled_(enabled),
        last_(binding.tiers.size(), Way::none) {}
  void gather(Batch &batch, const std::vector<std::uint32_t> &which, std::size_t tier, CandidateSink &sink) override;
  void gather_near(Batch &batch, std::uint32_t conversion, std::size_t tier, std::int64_t most,
                   CandidateSink &sink) override {
    sql_.gather_near(batch, conversion, tier, most, sink);
  }
  bool is_parallel_safe() const { return sql_.is_parallel_safe(); }
  /// How often it went which way, by batch and tier.
  struct Ways {
    std::int64_t touch_index = 0, sql = 0;
  };
  const Ways &ways() const noexcept { return ways_; }
  /// By which the touchpoints of a tier were found the last time.
  Way last_way(std::size_t tier) const noexcept { return last_[tier]; }

private:
  const Binding &binding_;
  SqlTouchSource sql_;
  bool channels_;
  core::Keep keep_;
  std::size_t memory_;
  bool enabled_;
  Ways ways_;
  std::vector<Way> last_; ///< by tier
};

} // namespace attribution::engine
