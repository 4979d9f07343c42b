#include "engine/run.hpp"

#include "core/ladder.hpp"
#include "engine/decider.hpp"
#include "engine/enrichment.hpp"
#include "engine/installations.hpp"
#include "pg/by_index.hpp"
#include "pg/transaction.hpp"
#include "touch/read_ahead.hpp"

namespace attribution::engine {

namespace {

/// How many batches like this one are to come. The count is good for as many conversions as it found.
double batches_to_come(const Binding &binding, core::Micros since, core::Micros now, std::uint32_t claimed) {
  constexpr std::uint32_t kMost = 1 << 19; // 0.1 s
  static Oid queue = InvalidOid;
  static std::uint32_t due = 0;
  if (queue != binding.spec.storage->pending || due <= claimed) {
    const pg::ByIndex by_index;
    queue = binding.spec.storage->pending;
    due = count_due(binding, since, now, kMost);
  }
  due -= std::min(due, claimed);
  return static_cast<double>(due) / claimed;
}

/// The claims' next turns, or none.
void schedule(const Binding &binding, const Claims &claims, std::uint32_t done,
              const std::vector<std::optional<core::Micros>> &places, core::Micros now, BatchResult &result) {
  std::vector<Turn> turns;
  std::vector<std::uint32_t> closed;
  for (std::uint32_t claim = 0; claim < done; ++claim) {
    const core::Micros arrival = claims.arrivals[claim].value_or(now);
    const std::optional<core::Micros> due = core::next_rung(arrival, now, binding.spec.allowed_lateness);
    if (due && places[claim]) {
      turns.push_back({claim, *places[claim], arrival, *due});
      result.next_due = std::min(result.next_due, *due);
    } else
      closed.push_back(claim); // its time is over, or there is no such conversion
  }
  reschedule(binding, claims, turns);
  result.tally.closed += static_cast<std::int64_t>(close(binding, claims, closed));
}

/// Decides what is claimed, writes it, and says when it is its turn again.
void decide(const Binding &binding, Claims &claims, std::int64_t run, core::Micros now, const RunLimits &limits,
            BatchResult &result) {
  Claimed claimed;
  Crediting crediting(binding);
  Decided decided(binding, claimed.batch, crediting, limits.memory);
  std::vector<Kept> kept;
  const Ledger ledger(binding);
  {
    // Taken after the claim: who changed a claimed conversion before has committed, and is seen; who changes one from
    // now on waits for the claim's end, and queues it again.
    const pg::FreshSnapshot snapshot;
    {
      const pg::ByIndex by_index;
      read_claimed(binding, claims, limits.batch_bytes, claimed);
      Installations(binding, GetUserId()).tell(claimed.batch);
    }
    const core::Keep keep = keep_to_store(binding);
    IndexTouchSource source(binding, GetUserId(), claims.size(), stores_channels(binding), keep, limits.candidates,
                            limits.touch_index);
    Decider decider(binding, source, keep, limits.memory);
    decider.decide(claimed.batch, [&](std::uint32_t, const core::Decision &decision, TouchRowStore &rows) {
      decided.add(decision, rows);
    });
    result.ways = source.ways();
    if (decided.headers.size() < claimed.batch.size())
      claimed.shorten(static_cast<std::uint32_t>(decided.headers.size()));
    result.rest = result.rest || claimed.done < claims.size();
    const pg::ByIndex by_index;
    enrich(decided);
    kept = ledger.read(claims, claimed, decided);
  }
  const pg::ByIndex by_index;
  for (const Decided::Header &header : decided.headers)
    ++result.by_tier[header.attributed ? header.tier : binding.tiers.size()];
  const auto places = ledger.write(claims, claimed, decided, kept, run, result.tally);
  schedule(binding, claims, claimed.done, places, now, result);
}

} // namespace

bool is_of_the_data(int sqlstate) noexcept {
  switch (ERRCODE_TO_CATEGORY(sqlstate)) {
  case MAKE_SQLSTATE('2', '1', '0', '0', '0'): // cardinality violation
  case MAKE_SQLSTATE('2', '2', '0', '0', '0'): // data exception
  case MAKE_SQLSTATE('2', '3', '0', '0', '0'): // integrity constraint violation
  case MAKE_SQLSTATE('3', '8', '0', '0', '0'): // external routine exception
  case MAKE_SQLSTATE('3', '9', '0', '0', '0'): // external routine invocation exception
  case MAKE_SQLSTATE('4', '4', '0', '0', '0'): // WITH CHECK OPTION violation
  case MAKE_SQLSTATE('5', '4', '0', '0', '0'): // program limit exceeded
  case MAKE_SQLSTATE('P', '0', '0', '0', '0'): // raised by PL/pgSQL
    return true;
  default:
    return sqlstate == ERRCODE_CONFIGURATION_LIMIT_EXCEEDED; // a path beyond attribution.work_mem
  }
}

BatchResult run_batch(const Binding &binding, std::int64_t run, core::Micros since, core::Micros now,
                      const RunLimits &limits, bool isolate, bool everywhere) {
  BatchResult result;
  result.by_tier.assign(binding.tiers.size() + 1, 0);
  lock_partitions(binding.spec);
  const std::uint32_t most = isolate ? 1 : limits.conversions;
  Claims claims;
  {
    const pg::ByIndex by_index;
    claim(binding, since, now, most, claims);
  }
  if (everywhere)
    claims.elsewhere.assign(claims.size(), true);
  result.claimed = claims.size();
  result.reached = claims.reached;
  result.rest = claims.size() == most;
  if (claims.size() == 0)
    return result;
  if (!isolate) {
    const touch::Foresight foresight(result.rest ? batches_to_come(binding, claims.reached, now, claims.size()) : 0);
    decide(binding, claims, run, now, limits, result);
    return result;
  }
  // The claim outlives the subtransaction, so that it is the same conversion that is set aside.
  if (const std::optional<pg::Error> error =
          pg::in_subtransaction([&] { decide(binding, claims, run, now, limits, result); })) {
    if (!is_of_the_data(error->sqlstate))
      throw *error;
    result.tally = {};
    result.ways = {};
    result.by_tier.assign(result.by_tier.size(), 0);
    result.dead = binding.id.type.text(claims.ids.front());
    result.why = error->message;
    set_aside(binding, claims, error->sqlstate, error->message);
  }
  return result;
}

} // namespace attribution::engine
