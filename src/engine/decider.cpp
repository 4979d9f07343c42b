#include "engine/decider.hpp"

#include "core/eligibility.hpp"

namespace attribution::engine {

namespace {

/// Judges candidates as they come and keeps those that may still win.
class Judge final : public CandidateSink {
public:
  Judge(const Binding &binding, core::Keep keep, const Batch &batch, std::size_t memory, MemoryContext context)
      : rule_(binding.rule), batch_(batch), memory_(memory), pmr_(context),
        shortlists_(binding.rule, keep, batch.size(), &pmr_), rows_(binding, context) {}

  bool offer(std::uint32_t conversion, const core::Touch &candidate, TupleTableSlot *row) noexcept override {
    if (core::judge(rule_.tiers[candidate.tier], batch_.times[conversion], candidate) != core::Eligibility::eligible ||
        !shortlists_.wants(conversion, candidate))
      return true;
    core::Touch touch = candidate;
    touch.row = rows_.keep(candidate.tier, row);
    try {
      ++kept_;
      shortlists_.add(conversion, touch, rows_, [this](const core::Touch &loser) {
        rows_.release(loser);
        --kept_;
      });
    } catch (...) { // it must not pass through the executor; over() throws it on
      failure_ = std::current_exception();
      return false;
    }
    over_ = rows_.bytes() + kept_ * kTouchBytes > memory_;
    return !over_;
  }

  bool wants(std::uint32_t conversion, const core::Touch &touch) const noexcept override {
    return !over_ && !failure_ && shortlists_.wants(conversion, touch);
  }

  /// Whether the memory did not do.
  bool over() const {
    if (failure_)
      std::rethrow_exception(failure_);
    return over_;
  }
  const core::Shortlists &shortlists() const noexcept { return shortlists_; }
  TouchRowStore &rows() noexcept { return rows_; }

private:
  static constexpr std::size_t kTouchBytes = 2 * sizeof(core::Touch);
  const core::Rule &rule_;
  const Batch &batch_;
  std::size_t memory_;
  pg::ContextMemory pmr_;
  core::Shortlists shortlists_;
  TouchRowStore rows_;
  std::size_t kept_ = 0;
  bool over_ = false;
  std::exception_ptr failure_;
};

} // namespace

Decider::Decider(const Binding &binding, TouchSource &source, core::Keep keep, std::size_t memory)
    : binding_(binding), source_(source), keep_(keep), memory_(memory) {}

void Decider::decide(Batch &batch, const DecisionSink &sink) { decide(batch, 0, batch.size(), sink); }

void Decider::decide(Batch &batch, std::uint32_t from, std::uint32_t to, const DecisionSink &sink) {
  if (decide_at_once(batch, from, to, sink))
    return;
  if (to - from == 1)
    throw pg::Error(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
                    "touchpoints of conversion " + std::string(binding_.id.type.text(batch.ids[from])) +
                        " do not fit into attribution.work_mem",
                    {}, "Raise attribution.work_mem, or shorten the lookback window.");
  const std::uint32_t middle = from + (to - from) / 2;
  decide(batch, from, middle, sink);
  decide(batch, middle, to, sink);
}

bool Decider::decide_at_once(Batch &batch, std::uint32_t from, std::uint32_t to, const DecisionSink &sink) {
  pg::Context context("attribution touchpoints");
  Judge judge(binding_, keep_, batch, memory_, context);
  for (std::size_t tier = 0; tier < binding_.tiers.size(); ++tier) {
    std::vector<std::uint32_t> which;
    for (std::uint32_t conversion = from; conversion < to; ++conversion)
      if (!judge.shortlists().settled(conversion) && batch.has_key(binding_.tiers[tier], conversion))
        which.push_back(conversion);
    if (!which.empty())
      source_.gather(batch, which, tier, judge);
    if (judge.over())
      return false;
  }

  constexpr std::uint32_t kAhead = 8;
  pg::Context scratch("attribution decision");
  std::vector<core::Touch> touches;
  for (std::uint32_t conversion = from; conversion < to; ++conversion) {
    pg::check_for_interrupts();
    // What is kept lies in memory as it was found, which was in no order of conversions: it is asked for some turns
    // before. (50 of 440 ms for 200,000 conversions.)
    if (conversion + 2 * kAhead < to)
      __builtin_prefetch(judge.shortlists().any(conversion + 2 * kAhead));
    if (conversion + kAhead < to)
      if (const core::Touch *next = judge.shortlists().any(conversion + kAhead))
        judge.rows().prefetch(*next);
    judge.shortlists().collect(conversion, touches);
    {
      pg::Within within(scratch);
      sink(conversion, core::decide(binding_.rule, touches, judge.rows()), judge.rows());
    }
    scratch.reset();
  }
  return true;
}

} // namespace attribution::engine
