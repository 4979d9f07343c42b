// Where touchpoints come from: one narrow interface, whatever finds them.
#pragma once

#include "engine/batch.hpp"
#include "engine/queries.hpp"

namespace attribution::engine {

/// Takes candidates as they are found. Called inside PostgreSQL's executor: no exceptions.
class CandidateSink {
public:
  virtual ~CandidateSink() = default;
  /// `conversion` is a place in the batch; `touch.row` is not set yet; `row` has the columns of TouchColumn.
  /// False: stop, whatever is left.
  virtual bool offer(std::uint32_t conversion, const core::Touch &touch, TupleTableSlot *row) noexcept = 0;
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
  /// have SELECT on what they read.
  SqlTouchSource(const Binding &binding, Oid reader, std::size_t conversions);
  void gather(Batch &batch, const std::vector<std::uint32_t> &which, std::size_t tier, CandidateSink &sink) override;
  void gather_near(Batch &batch, std::uint32_t conversion, std::size_t tier, std::int64_t most,
                   CandidateSink &sink) override;
  /// Prepares the queries for near misses; without this each is prepared when first needed.
  void prepare_near_misses();

private:
  pg::Plan prepare(std::size_t tier, Search search, pg::Planning planning) const;
  void run(const pg::Plan &plan, Batch &batch, const std::vector<std::uint32_t> &which, std::size_t tier,
           core::Micros before, core::Micros after, pg::Param limit, CandidateSink &sink);

  const Binding &binding_;
  Oid reader_;
  std::vector<pg::Plan> eligible_, near_; ///< by tier
};

} // namespace attribution::engine
