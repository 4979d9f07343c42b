#include "engine/pending.hpp"

#include "engine/expression.hpp"
#include "engine/given.hpp"
#include "engine/queries.hpp"
#include "engine/row_times.hpp"
#include "pg/by_index.hpp"

namespace attribution::engine {

namespace {

constexpr long kFetch = 1000;
/// Of an id with more rows than this, its decision is looked for at all times, instead of at each of theirs.
constexpr std::size_t kMostPlaces = 100;

std::string pending_of(const Binding &binding) { return relation_name(binding.spec.storage->pending); }

void warn_of_strange(const Binding &binding, const Sweep &sweep, const pg::Rows &rows) {
  bool null = true;
  const std::int64_t count = DatumGetInt64(rows.get(0, 1, &null));
  if (count == 0)
    return;
  const std::string rule = binding.spec.name, relation = relation_name(sweep.relation);
  pg::call([&] {
    ereport(WARNING, (errmsg("rule \"%s\": %lld rows of %s are passed over: they have no id, or an infinite time",
                             rule.c_str(), static_cast<long long>(count), relation.c_str()),
                      errhint("Correct them, or leave them out by the rule's filter.")));
  });
}

pg::Param place_of(const Claims &claims, std::uint32_t claim) { return {PointerGetDatum(&claims.rows[claim]), false}; }

Given ids_of(const Binding &binding, const Claims &claims) {
  Given given(all_of(claims.size()));
  given.add_int4("\"?number\"", [](std::uint32_t claim) { return static_cast<std::int32_t>(claim); })
      .add("\"?id\"", binding.id.type, [&](std::uint32_t claim) {
        return pg::Param{claims.ids[claim], false};
      });
  return given;
}

/// Where the times of their rows are known, each is looked for at its times only. (An id without a time is looked for
/// in each partition: that was a fifth of a run, of 17 partitions that were empty but for two.)
Given rows_of(const Binding &binding, const Claims &claims, const std::vector<RowTime> &times) {
  Given given(all_of(times.size()));
  given.add_int4("\"?number\"", [&](std::uint32_t i) { return static_cast<std::int32_t>(times[i].which); })
      .add("\"?id\"", binding.id.type,
           [&](std::uint32_t i) {
             return pg::Param{claims.ids[times[i].which], false};
           })
      .add_time("\"?time\"", [&](std::uint32_t i) { return times[i].time; });
  return given;
}

std::string conversions_of(const Binding &binding, Given &given, bool timed) {
  const std::string rows = given.rows();
  return conversions_claimed(binding, rows, given.also(TEXTARRAYOID, text_array(binding.spec.empty)), timed);
}

/// Takes the rows of claimed ids, those of an id one after the other, by time.
class Reader final : public pg::CheckedReceiver {
public:
  Reader(const Binding &binding, Claims &claims, std::size_t bytes, Claimed &claimed)
      : binding_(binding), claims_(claims), bytes_(bytes), claimed_(claimed),
        number_column_(claimed_number_column(binding)) {}

private:
  void take(TupleTableSlot *slot) override {
    const pg::Row row(*slot);
    bool null = true;
    const std::uint32_t number = static_cast<std::uint32_t>(DatumGetInt32(row.get(number_column_, &null)));
    const core::Micros time = DatumGetTimestampTz(row.get(kConversionTime, &null));
    // Without a time: in the query that would be a reason to go by an index of the times, and read it all.
    if (null || number >= claimed_.done)
      return;
    Batch &batch = claimed_.batch;
    if (claimed_.claims.empty() || claimed_.claims.back() != number) {
      if (batch.size() > 0 && batch.bytes >= bytes_) {
        claimed_.done = number;
        return;
      }
      batch.add(binding_, row);
      claimed_.claims.push_back(number);
      places_of_claim_ = 0;
    } else if (time == batch.times.back()) {
      replace_if_less(binding_, batch, row);
      return;
    } else if (time == claimed_.places.back().time)
      return;
    if (++places_of_claim_ <= kMostPlaces)
      claimed_.places.push_back({number, time});
    else
      claims_.elsewhere[number] = true;
  }

  const Binding &binding_;
  Claims &claims_;
  std::size_t bytes_;
  Claimed &claimed_;
  int number_column_;
  std::size_t places_of_claim_ = 0;
};

} // namespace

void claim(const Binding &binding, core::Micros since, core::Micros now, std::uint32_t most, Claims &claims) {
  // By id, as the indexes are that all of them are looked up in, and entered into.
  const pg::Plan plan = pg::Plan::kept(
      "WITH claimed AS (SELECT conversion_id, conversion_time, elsewhere, arrived_at, due, ctid FROM " +
          pending_of(binding) +
          " WHERE due >= $1 AND due <= $2 ORDER BY due LIMIT $3 FOR UPDATE SKIP LOCKED)"
          " SELECT * FROM claimed ORDER BY conversion_id",
      // Told the times, the planner would look for the end of their index, past all who have left the queue.
      {TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID}, pg::Planning::once);
  plan.expect({binding.id.type.oid, TIMESTAMPTZOID, BOOLOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIDOID});
  const pg::Rows rows =
      plan.execute({at_time(since), at_time(now), {Int32GetDatum(static_cast<std::int32_t>(most)), false}});
  pg::Within within(claims.memory);
  for (std::uint64_t row = 0; row < rows.count; ++row) {
    bool null = true;
    claims.ids.push_back(binding.id.type.copy(rows.get(row, 1, &null)));
    claims.times.push_back(DatumGetTimestampTz(rows.get(row, 2, &null)));
    claims.elsewhere.push_back(binding.spec.storage->refiltered || DatumGetBool(rows.get(row, 3, &null)));
    const Datum arrival = rows.get(row, 4, &null);
    claims.arrivals.push_back(null ? std::nullopt : std::optional<core::Micros>(DatumGetTimestampTz(arrival)));
    claims.reached = std::max(claims.reached, DatumGetTimestampTz(rows.get(row, 5, &null)));
    claims.rows.push_back(*reinterpret_cast<ItemPointerData *>(DatumGetPointer(rows.get(row, 6, &null))));
  }
}

std::uint32_t count_due(const Binding &binding, core::Micros since, core::Micros now, std::uint32_t most) {
  const pg::Plan plan = pg::Plan::kept("SELECT pg_catalog.count(*)::int4 FROM (SELECT FROM " + pending_of(binding) +
                                           " WHERE due >= $1 AND due <= $2 LIMIT $3) AS due",
                                       {TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID}, pg::Planning::once);
  bool null = true;
  return static_cast<std::uint32_t>(DatumGetInt32(
      plan.execute({at_time(since), at_time(now), {Int32GetDatum(static_cast<std::int32_t>(most)), false}})
          .get(0, 1, &null)));
}

void Claimed::shorten(std::uint32_t conversions) {
  done = claims[conversions];
  claims.resize(conversions);
  while (batch.size() > conversions)
    batch.remove_last();
  std::erase_if(places, [this](const Place &place) { return place.claim >= done; });
}

void read_claimed(const Binding &binding, Claims &claims, std::size_t bytes, Claimed &claimed) {
  // A hash join reads the table. (2,000 of 52,000: 7.4 ms, by the index 2.1.) Without an index it is the way all the
  // same.
  const pg::ByIndex by_index("enable_hashjoin");
  const auto times = find_row_times({binding.conversions.oid, binding.id.name.c_str(), binding.time.name.c_str()},
                                    binding.id.type, claims.ids);
  Given given = times ? rows_of(binding, claims, *times) : ids_of(binding, claims);
  pg::Cursor cursor = given.open(conversions_of(binding, given, times.has_value()));
  Reader reader(binding, claims, bytes, claimed);
  claimed.done = claims.size();
  for (bool more = true; more; reader.check())
    more = cursor.run(kFetch, reader) == kFetch && claimed.done == claims.size();
  // The pending row's own time last, unless a row is still there.
  std::vector<char> still(claims.size(), false);
  for (const Claimed::Place &place : claimed.places)
    if (place.time == claims.times[place.claim])
      still[place.claim] = true;
  for (std::uint32_t i = 0; i < claimed.done; ++i)
    if (!still[i])
      claimed.places.push_back({i, claims.times[i]});
}

void check_claimed(const Binding &binding) {
  Given given = ids_of(binding, Claims());
  (void)given.prepared(conversions_of(binding, given, false));
}

void reschedule(const Binding &binding, const Claims &claims, const std::vector<Turn> &turns) {
  if (turns.empty())
    return;
  Given given(all_of(turns.size()));
  given.add("place", type_of(TIDOID), [&](std::uint32_t i) { return place_of(claims, turns[i].claim); })
      .add_time("at", [&](std::uint32_t i) { return turns[i].time; })
      .add_time("arrived_at", [&](std::uint32_t i) { return turns[i].arrival; })
      .add_time("due", [&](std::uint32_t i) { return turns[i].due; });
  given.execute(joined({"UPDATE ", pending_of(binding),
                        (" AS pending SET conversion_time = given.at, elsewhere = false, arrived_at = given.arrived_at,"
                         " due = given.due, failed_at = NULL, sqlstate = NULL, message = NULL FROM "),
                        given.rows(), " WHERE pending.ctid = given.place"}),
                pg::Planning::once);
}

std::uint64_t close(const Binding &binding, const Claims &claims, const std::vector<std::uint32_t> &which) {
  if (which.empty())
    return 0;
  // (2,000: 0.6 ms. By a join with as many places, each is a scan of its own: 1.8 ms.)
  std::vector<Datum> places;
  places.reserve(which.size());
  for (const std::uint32_t claim : which)
    places.push_back(place_of(claims, claim).value);
  pg::Context memory("attribution places");
  const pg::Within within(memory);
  const pg::Type place = type_of(TIDOID);
  const pg::Plan plan =
      pg::Plan::kept("DELETE FROM " + pending_of(binding) + " AS pending WHERE pending.ctid = ANY ($1)",
                     {place.array_oid()}, pg::Planning::once);
  return plan.execute({{place.array(places.data(), nullptr, places.size()), false}}).count;
}

void set_aside(const Binding &binding, const Claims &claims, int sqlstate, const std::string &message) {
  const auto text = [](const char *value) {
    return pg::Param{pg::call([&] { return CStringGetTextDatum(value); }), false};
  };
  const pg::Plan plan(
      joined({"UPDATE ", pending_of(binding),
              (" AS pending SET due = 'infinity', failed_at = pg_catalog.clock_timestamp(), sqlstate = $2,"
               " message = $3 WHERE pending.conversion_id = $1"),
              pg::collate(id_collation(binding))}),
      {binding.id.type.oid, TEXTOID, TEXTOID});
  plan.execute(
      {{claims.ids.front(), false}, text(pg::call([&] { return unpack_sql_state(sqlstate); })), text(message.c_str())});
}

std::int64_t retry(const Binding &binding, pg::Param id) {
  const pg::Plan plan(
      joined({"UPDATE ", pending_of(binding),
              (" AS pending SET due = pg_catalog.clock_timestamp() WHERE pending.due = 'infinity' AND ($1 IS NULL"
               " OR pg_catalog.concat(pending.conversion_id) COLLATE pg_catalog.\"C\" = $1)")}),
      {TEXTOID});
  return static_cast<std::int64_t>(plan.execute({id}).count);
}

std::int64_t queue(const Binding &binding, const Sweep &sweep, core::Micros now) {
  const std::string collation = pg::collate(id_collation(binding));
  const std::string row = sweep.decisions ? "decision" : "conversion";
  const std::string id = row + "." + (sweep.decisions ? "conversion_id" : binding.id.quoted) + collation;
  const std::string at = row + "." + (sweep.decisions ? "conversion_time" : binding.time.quoted);
  const std::string filter = binding.spec.filter.empty() ? "" : " AND " + embed(binding.spec.filter);

  // Who may read a partitioned table need not be allowed to read its partitions. Then it is read as a whole, as far as
  // the times go.
  const bool directly = sweep.decisions || pg::call([&] {
                          return pg_class_aclcheck(sweep.relation, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
                        });
  if (!directly && sweep.pages && sweep.pages->first > 0)
    return 0;
  std::string where = at + " >= $1 AND (" + at + " < $2 OR $2 = 'infinity')";
  if (sweep.pages && directly)
    where += " AND " + row + ".ctid >= '(" + std::to_string(sweep.pages->first) + ",0)' AND " + row + ".ctid < '(" +
             std::to_string(sweep.pages->second) + ",0)'";
  if (sweep.decisions) // what lies before the horizon is not for recomputation
    where += " AND " + at + " >= $4";
  else
    where += filter + " AND $4 IS NOT NULL";
  const std::string from = directly ? "ONLY " + relation_name(sweep.relation) : binding.conversions.name;
  const std::vector<Oid> types = {TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
  const std::vector<pg::Param> params = {at_time(sweep.since), at_time(sweep.until), at_time(now),
                                         at_time(binding.spec.horizon.value_or(core::kMinusInfinity))};
  if (!sweep.decisions) {
    // From before the trigger, which refuses them.
    const std::string strange = "(" + id + " IS NULL OR NOT pg_catalog.isfinite(" + at + "))";
    warn_of_strange(binding, sweep,
                    pg::Plan("SELECT pg_catalog.count(*) FROM " + from + " AS " + row + " WHERE " + where +
                                 " AND $3 IS NOT NULL AND " + strange,
                             types)
                        .execute(params));
    where += " AND NOT " + strange;
  }
  if (sweep.missing && sweep.decisions)
    where += " AND NOT EXISTS (SELECT FROM (SELECT conversion." + binding.id.quoted + " AS id, conversion." +
             binding.time.quoted + " AS at FROM " + binding.conversions.name + " AS conversion WHERE true" + filter +
             ") AS present WHERE present.id" + collation + " = " + id + " AND present.at = " + at + ")";
  else if (sweep.missing)
    where += " AND NOT EXISTS (SELECT FROM " + relation_name(binding.spec.storage->decisions) +
             " AS decision WHERE decision.conversion_id = " + id + " AND decision.conversion_time = " + at + ")";

  // A conversion that is queued has all its rows read; its decision is looked for only where the queue says.
  if (sweep.unqueued)
    where += " AND NOT EXISTS (SELECT FROM " + pending_of(binding) + " AS queued WHERE queued.conversion_id = " + id +
             (sweep.decisions ? " AND (queued.elsewhere OR queued.conversion_time = " + at + ")" : "") + ")";

  // An open conversion keeps its ladder, and comes now.
  const std::string arrival = sweep.reopen ? "LEAST(found.at, $3)" : "'-infinity'";
  const pg::Plan plan(
      "INSERT INTO " + pending_of(binding) +
          " AS pending (conversion_id, conversion_time, elsewhere, queued_at, arrived_at, due)"
          " SELECT found.id, found.at, found.elsewhere, pg_catalog.clock_timestamp(), " +
          arrival +
          // Each its own time, so that a run that has got so far need not pass over the others again.
          ", $3 - pg_catalog.row_number() OVER (ORDER BY found.id) * interval '1 microsecond' FROM (SELECT " + id +
          " AS id, pg_catalog.min(" + at + ") AS at, pg_catalog.min(" + at + ") <> pg_catalog.max(" + at +
          ") AS elsewhere FROM " + from + " AS " + row + " WHERE " + where +
          " GROUP BY 1) AS found ORDER BY found.id ON CONFLICT (conversion_id) DO UPDATE SET"
          " conversion_time = LEAST(pending.conversion_time, excluded.conversion_time),"
          " elsewhere = pending.elsewhere OR excluded.elsewhere OR pending.conversion_time <> excluded.conversion_time,"
          " due = CASE WHEN pending.arrived_at IS NULL AND pg_catalog.isfinite(pending.due) THEN pending.due"
          " ELSE LEAST(pending.due, excluded.due) END",
      types);
  return static_cast<std::int64_t>(plan.execute(params).count);
}

} // namespace attribution::engine
