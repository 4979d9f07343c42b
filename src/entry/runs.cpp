// The functions that attribution.run() and its kin are made of: each does one transaction's worth of work.
#include "engine/run.hpp"
#include "entry/bound_rule.hpp"
#include "entry/settings.hpp"
#include "entry/wake.hpp"
#include "entry/workers.hpp"
#include "pg/resultset.hpp"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_require_own_transactions);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_run_batch);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_run_batch_size);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_queue);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_is_of_the_data);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_retry_dead_letters);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_raise);
}

namespace {

using namespace attribution;

Datum no_overrides() {
  return pg::call([] { return DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")); });
}

/// A rule that stores, for a caller who has its owner's privileges.
class StoringRule : public entry::BoundRule {
public:
  explicit StoringRule(Datum rule) : BoundRule(rule, no_overrides()) {
    const engine::RuleSpec &spec = binding().spec;
    if (!pg::call([&] { return has_privs_of_role(reader(), spec.owner); }))
      throw pg::Error(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be owner of rule \"" + spec.name + "\"");
    if (!spec.storage)
      throw pg::Error(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "rule \"" + spec.name + "\" stores no decisions", {},
                      "Its conversions are not a table, so that nothing can queue them: read them by attribute().");
    if (XactReadOnly)
      throw pg::Error(ERRCODE_READ_ONLY_SQL_TRANSACTION, "cannot store decisions in a read-only transaction");
    // What sees an old snapshot would take what it can't see for absent.
    if (IsolationUsesXactSnapshot())
      throw pg::Error(ERRCODE_ACTIVE_SQL_TRANSACTION, "decisions are stored in READ COMMITTED transactions only", {},
                      "SET default_transaction_isolation = 'read committed';");
  }
};

} // namespace

// _require_own_transactions(what): raises an error where a procedure could not commit, or would not see what is new.
Datum attribution_require_own_transactions(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    const Datum name = entry::required(fcinfo, 0, "procedure");
    const std::string what = pg::call([&] { return TextDatumGetCString(name); });
    if (IsTransactionBlock())
      throw pg::Error(ERRCODE_ACTIVE_SQL_TRANSACTION, what + " cannot run inside a transaction block", {},
                      "It commits batch by batch: CALL it outside of BEGIN .. COMMIT.");
    if (IsolationUsesXactSnapshot())
      throw pg::Error(ERRCODE_ACTIVE_SQL_TRANSACTION, what + " needs READ COMMITTED transactions", {},
                      "SET default_transaction_isolation = 'read committed';");
    return Datum(0);
  });
}

Datum attribution_run_batch_size(PG_FUNCTION_ARGS) {
  (void)fcinfo;
  return Int32GetDatum(static_cast<std::int32_t>(entry::run_batch_size()));
}

// _run_batch(rule, run, since, now, most, everywhere): decides one batch of what is due.
Datum attribution_run_batch(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    enum Column {
      kClaimed,
      kReached,
      kRest,
      kDecided,
      kChanged,
      kRestated,
      kWithdrawn,
      kKept,
      kClosed,
      kByTouchIndex,
      kBySql,
      kTiers,
      kCounts,
      kDead,
      kMessage
    };
    pg::ResultSet result(fcinfo, {INT4OID, TIMESTAMPTZOID, BOOLOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID,
                                  INT8OID, INT8OID, INT8OID, TEXTARRAYOID, INT8ARRAYOID, TEXTOID, TEXTOID});
    const StoringRule rule(entry::required(fcinfo, 0, "rule"));
    const engine::Binding &binding = rule.binding();
    std::uint32_t most = entry::run_batch_size();
    if (!PG_ARGISNULL(4))
      most = std::clamp(static_cast<std::uint32_t>(std::max(PG_GETARG_INT32(4), 1)), 1U, most);
    const engine::BatchResult done = engine::run_batch(
        binding, DatumGetInt64(entry::required(fcinfo, 1, "run")),
        DatumGetTimestampTz(entry::required(fcinfo, 2, "since")),
        DatumGetTimestampTz(entry::required(fcinfo, 3, "now")),
        {most, entry::batch_bytes(), entry::work_mem(), entry::candidate_bytes(), entry::is_touch_index_on()},
        !PG_ARGISNULL(4) && most == 1, DatumGetBool(entry::required(fcinfo, 5, "everywhere")));
    if (!entry::is_worker()) // who knows of it
      entry::announce(done.next_due);
    result.set(kClaimed, Int32GetDatum(static_cast<std::int32_t>(done.claimed)));
    result.set(kReached, TimestampTzGetDatum(done.reached));
    result.set(kRest, BoolGetDatum(done.rest));
    if (!done.why.empty()) {
      result.set_text(kDead, done.dead.c_str());
      result.set_text(kMessage, done.why.c_str());
    }
    result.set(kDecided, Int64GetDatum(done.tally.decided));
    result.set(kChanged, Int64GetDatum(done.tally.changed));
    result.set(kRestated, Int64GetDatum(done.tally.restated));
    result.set(kWithdrawn, Int64GetDatum(done.tally.withdrawn));
    result.set(kKept, Int64GetDatum(done.tally.kept));
    result.set(kClosed, Int64GetDatum(done.tally.closed));
    result.set(kByTouchIndex, Int64GetDatum(done.ways.touch_index));
    result.set(kBySql, Int64GetDatum(done.ways.sql));
    std::vector<std::string> tiers;
    std::vector<Datum> counts;
    for (std::size_t i = 0; i < done.by_tier.size(); ++i) {
      tiers.push_back(i < binding.tiers.size() ? binding.spec.tiers[i].name : "organic");
      counts.push_back(Int64GetDatum(done.by_tier[i]));
    }
    result.set(kTiers, engine::text_array(tiers).value);
    result.set(kCounts, pg::Type::of(INT8OID, InvalidOid).array(counts.data(), nullptr, counts.size()));
    result.put();
    return Datum(0);
  });
}

// _queue(rule, relation, decisions, missing, unqueued, reopen, from page, to page, since, until, now)
Datum attribution_queue(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    const StoringRule rule(entry::required(fcinfo, 0, "rule"));
    engine::Sweep sweep;
    sweep.relation = DatumGetObjectId(entry::required(fcinfo, 1, "relation"));
    sweep.decisions = DatumGetBool(entry::required(fcinfo, 2, "decisions"));
    sweep.missing = DatumGetBool(entry::required(fcinfo, 3, "missing"));
    sweep.unqueued = DatumGetBool(entry::required(fcinfo, 4, "unqueued"));
    sweep.reopen = DatumGetBool(entry::required(fcinfo, 5, "reopen"));
    if (!PG_ARGISNULL(6) && !PG_ARGISNULL(7))
      sweep.pages = {PG_GETARG_INT64(6), PG_GETARG_INT64(7)};
    sweep.since = DatumGetTimestampTz(entry::required(fcinfo, 8, "since"));
    sweep.until = DatumGetTimestampTz(entry::required(fcinfo, 9, "until"));
    return Int64GetDatum(engine::queue(rule.binding(), sweep, DatumGetTimestampTz(entry::required(fcinfo, 10, "now"))));
  });
}

// _is_of_the_data(sqlstate)
Datum attribution_is_of_the_data(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    const Datum given = entry::required(fcinfo, 0, "code");
    const std::string code = pg::call([&] { return TextDatumGetCString(given); });
    return BoolGetDatum(code.size() == 5 &&
                        engine::is_of_the_data(MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4])));
  });
}

// retry_dead_letters(rule, conversion_id)
Datum attribution_retry_dead_letters(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    const StoringRule rule(entry::required(fcinfo, 0, "rule"));
    const std::int64_t count =
        engine::retry(rule.binding(), {PG_ARGISNULL(1) ? Datum(0) : PG_GETARG_DATUM(1), PG_ARGISNULL(1)});
    if (count > 0)
      entry::announce(core::kMinusInfinity);
    return Int64GetDatum(count);
  });
}

// _raise(code, message, detail, hint): an error that was caught, raised again.
Datum attribution_raise(PG_FUNCTION_ARGS) {
  return pg::boundary([&]() -> Datum {
    const auto given = [&](int argument) -> std::string {
      return PG_ARGISNULL(argument) ? "" : pg::call([&] { return TextDatumGetCString(PG_GETARG_DATUM(argument)); });
    };
    const std::string code = given(0);
    const bool valid = code.size() == 5;
    throw pg::Error(valid ? MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]) : ERRCODE_INTERNAL_ERROR,
                    given(1), given(2), given(3));
  });
}
