#include "engine/run.hpp"

#include "core/ladder.hpp"
#include "engine/decider.hpp"
#include "engine/installations.hpp"

namespace attribution::engine {

namespace {

/// The claims' next turns, or none.
void schedule(const Binding &binding, const Claims &claims, std::uint32_t done,
              const std::vector<std::optional<core::Micros>> &places, core::Micros now, Tally &tally) {
  std::vector<Turn> turns;
  std::vector<std::uint32_t> closed;
  for (std::uint32_t claim = 0; claim < done; ++claim) {
    const core::Micros arrival = claims.arrivals[claim].value_or(now);
    const std::optional<core::Micros> due = core::next_rung(arrival, now, binding.spec.allowed_lateness);
    if (due && places[claim])
      turns.push_back({claim, *places[claim], arrival, *due});
    else
      closed.push_back(claim); // its time is over, or there is no such conversion
  }
  reschedule(binding, claims, turns);
  close(binding, claims, closed);
  tally.closed += static_cast<std::int64_t>(closed.size());
}

} // namespace

BatchResult run_batch(const Binding &binding, std::int64_t run, core::Micros now, const RunLimits &limits) {
  BatchResult result;
  Claims claims;
  claim(binding, now, limits.conversions, claims);
  result.claimed = claims.size();
  result.by_tier.assign(binding.tiers.size() + 1, 0);
  if (claims.size() == 0)
    return result;

  Claimed claimed;
  Decided decided(binding, claimed.batch);
  std::vector<Kept> kept;
  const Ledger ledger(binding, limits.batch_bytes);
  {
    // Taken after the claim: who changed a claimed conversion before has committed, and is seen; who changes one from
    // now on waits for the claim's end, and queues it again.
    const pg::FreshSnapshot snapshot;
    read_claimed(binding, claims, limits.batch_bytes, claimed);
    Installations(binding, GetUserId()).tell(claimed.batch);
    SqlTouchSource source(binding, GetUserId());
    Decider decider(binding, source, core::Keep::winners, limits.memory);
    decider.decide(claimed.batch, [&](std::uint32_t, const core::Decision &decision, TouchRowStore &rows) {
      decided.add(decision, rows);
    });
    kept = ledger.read(claims, claimed, decided);
  }
  for (const Decided::Header &header : decided.headers)
    ++result.by_tier[header.attributed ? header.tier : binding.tiers.size()];
  const auto places = ledger.write(claims, claimed, decided, kept, run, result.tally);
  schedule(binding, claims, claimed.done, places, now, result.tally);
  return result;
}

} // namespace attribution::engine
