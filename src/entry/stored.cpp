// The functions that read what a rule has stored. Its tables are its owner's, who may shape them at will: whoever reads
// them here, a superuser perhaps, must not run the owner's code with his own rights. So they are read as the owner, by
// a caller who may SELECT from them himself.
#include "engine/queries.hpp"
#include "entry/bound_rule.hpp"
#include "pg/resultset.hpp"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_decisions_as_of);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_stored);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_backlog);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_outcomes);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_oldest_pending);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_next_due);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_dead_letters);
}

namespace {

using namespace attribution;

/// A rule's tables, with its owner as the present user, for the rest of the call.
class StoredRule {
public:
  explicit StoredRule(Datum rule) : tables_(find(rule)), owner_(tables_.owner) {}

  std::string decisions() const { return engine::relation_name(tables_.decisions); }
  std::string credits() const { return engine::relation_name(tables_.credits); }
  std::string decisions_history() const { return engine::relation_name(tables_.decisions_history); }
  std::string credits_history() const { return engine::relation_name(tables_.credits_history); }
  /// Whether decisions may have several credits.
  bool divides() const noexcept { return tables_.divides; }
  std::string pending() const { return engine::relation_name(tables_.pending); }
  Oid reader() const noexcept { return owner_.caller(); }

private:
  struct Tables {
    Oid owner, decisions, credits, decisions_history, credits_history, pending;
    bool divides;
  };
  static Tables find(Datum rule) {
    const pg::Rows rows =
        pg::query("SELECT r.owner::oid, k.decisions::oid, k.credits::oid, k.decisions_history::oid,"
                  " k.credits_history::oid, k.pending::oid, attribution._divides(r.rule) FROM attribution.rule AS r,"
                  " attribution._kept(r.rule) AS k WHERE r.rule = $1",
                  {TEXTOID}, {{rule, false}});
    if (rows.count == 0) {
      const char *name = pg::call([&] { return TextDatumGetCString(rule); });
      throw pg::Error(ERRCODE_UNDEFINED_OBJECT, "rule \"" + std::string(name) + "\" does not exist", {},
                      "attribution.rules lists the rules there are.");
    }
    bool null = true;
    const auto oid = [&](int column) { return DatumGetObjectId(rows.get(0, column, &null)); };
    return {oid(1), oid(2), oid(3), oid(4), oid(5), oid(6), DatumGetBool(rows.get(0, 7, &null))};
  }

  pg::Spi spi_;
  pg::KeptPlans kept_;
  Tables tables_;
  pg::AsOwner owner_;
};

/// Hands the rows of a query on, column by column.
void relay(const std::string &sql, const std::vector<Oid> &types, const std::vector<pg::Param> &params, Oid reader,
           pg::ResultSet &result) {
  constexpr long kFetch = 1000;
  const pg::Plan plan(sql, types);
  plan.check_reader(reader);
  pg::Cursor cursor(plan, params);
  for (pg::Rows rows = cursor.fetch(kFetch); rows.count > 0; rows = cursor.fetch(kFetch)) {
    for (std::uint64_t row = 0; row < rows.count; ++row) {
      pg::check_for_interrupts();
      for (int column = 1; column <= rows.table->tupdesc->natts; ++column) {
        bool null = true;
        const Datum value = rows.get(row, column, &null);
        if (!null)
          result.set(static_cast<std::size_t>(column) - 1, value);
      }
      result.put();
    }
    pg::call([&] { SPI_freetuptable(rows.table); });
  }
}

} // namespace

// decisions_as_of(rule, at)
Datum attribution_decisions_as_of(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    pg::ResultSet result(fcinfo, {TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID,
                                  FLOAT8OID, NUMERICOID, INT4OID, TIMESTAMPTZOID});
    const Datum at = entry::required(fcinfo, 1, "at");
    const StoredRule rule(entry::required(fcinfo, 0, "rule"));
    const auto select = [](const std::string &headers, const std::string &credits, const char *where) {
      return "SELECT pg_catalog.concat(d.conversion_id), d.conversion_time, d.outcome, d.kind, c.tier, "
             "c.credit_position,"
             " CASE WHEN c.touch_id IS NOT NULL THEN pg_catalog.concat(c.touch_id) END, c.touch_time, c.credit, "
             "d.value,"
             " d.rule_version, d.decided_at FROM " +
             headers + " AS d JOIN " + credits +
             " AS c ON c.conversion_id = d.conversion_id AND c.conversion_time = d.conversion_time"
             " AND c.decided_at = d.decided_at WHERE d.decided_at <= $1" +
             where;
    };
    relay(select(rule.decisions(), rule.credits(), "") + " UNION ALL " +
              select(rule.decisions_history(), rule.credits_history(), " AND d.superseded_at > $1"),
          {TIMESTAMPTZOID}, {{at, false}}, rule.reader(), result);
    return Datum(0);
  });
}

// _stored(rule, since, until, by): what is decided, with the touchpoint of the most credit and its carried columns
// `by`.
Datum attribution_stored(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    pg::ResultSet result(
        fcinfo, {TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, NUMERICOID, TEXTARRAYOID});
    const pg::Param since{entry::required(fcinfo, 1, "since"), false};
    const pg::Param until{entry::required(fcinfo, 2, "until"), false};
    const Datum by = entry::required(fcinfo, 3, "by");
    const StoredRule rule(entry::required(fcinfo, 0, "rule"));
    Datum *names = nullptr;
    bool *nulls = nullptr;
    int count = 0;
    pg::call([&] {
      deconstruct_array(DatumGetArrayTypeP(by), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR, &names, &nulls, &count);
    });
    std::string carried;
    for (int i = 0; i < count; ++i)
      carried += (i == 0 ? "CASE WHEN c." : ", CASE WHEN c.") + pg::quoted(NameStr(*DatumGetName(names[i]))) +
                 " IS NOT NULL THEN pg_catalog.concat(c." + pg::quoted(NameStr(*DatumGetName(names[i]))) + ") END";
    const std::string same = " AS c WHERE c.conversion_id = d.conversion_id AND c.conversion_time = d.conversion_time";
    const std::string credits =
        rule.divides()
            ? "(SELECT CASE WHEN pg_catalog.count(*) > 1 THEN pg_catalog.string_agg(pg_catalog.concat(c.tier, '/',"
              " c.touch_id, '/', c.touch_time, '/', c.credit, ' '), '' ORDER BY c.credit_position) END FROM " +
                  rule.credits() + same + ")"
            : "NULL::text";
    relay("SELECT pg_catalog.concat(d.conversion_id), d.conversion_time, c.tier,"
          " CASE WHEN c.touch_id IS NOT NULL THEN pg_catalog.concat(c.touch_id) END, c.touch_time, " +
              credits + ", d.value, CASE WHEN c.tier IS NULL THEN '{}' ELSE ARRAY[" + carried + "]::text[] END FROM " +
              rule.decisions() + " AS d CROSS JOIN LATERAL (SELECT * FROM " + rule.credits() + same +
              (rule.divides() ? " ORDER BY c.credit DESC, c.credit_position DESC LIMIT 1"
                              : " AND c.credit_position = 1") +
              ") AS c WHERE d.conversion_time >= $1 AND (d.conversion_time < $2 OR $2 = 'infinity')",
          {TIMESTAMPTZOID, TIMESTAMPTZOID}, {since, until}, rule.reader(), result);
    return Datum(0);
  });
}

// _backlog(rule)
Datum attribution_backlog(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    pg::ResultSet result(fcinfo, {INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, INTERVALOID, TIMESTAMPTZOID, INT8OID});
    const StoredRule rule(entry::required(fcinfo, 0, "rule"));
    relay("SELECT pg_catalog.count(*) FILTER (WHERE arrived_at IS NULL AND alive), pg_catalog.count(*) FILTER (WHERE"
          " arrived_at IS NOT NULL AND alive), pg_catalog.count(*) FILTER (WHERE due <= pg_catalog.clock_timestamp()),"
          " pg_catalog.min(queued_at) FILTER (WHERE arrived_at IS NULL AND alive), pg_catalog.clock_timestamp() -"
          " pg_catalog.min(queued_at) FILTER (WHERE arrived_at IS NULL AND alive), pg_catalog.min(due) FILTER (WHERE "
          "alive),"
          " pg_catalog.count(*) FILTER (WHERE NOT alive) FROM (SELECT arrived_at, queued_at::timestamptz AS queued_at,"
          " due::timestamptz AS due, due::timestamptz < 'infinity' AS alive FROM " +
              rule.pending() + ") AS pending",
          {}, {}, rule.reader(), result);
    return Datum(0);
  });
}

// _dead_letters(rule)
Datum attribution_dead_letters(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    pg::ResultSet result(fcinfo, {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID});
    const StoredRule rule(entry::required(fcinfo, 0, "rule"));
    relay(
        "SELECT pg_catalog.concat(conversion_id), conversion_time::timestamptz, failed_at::timestamptz, sqlstate::text,"
        " message::text FROM " +
            rule.pending() + " WHERE due::timestamptz = 'infinity'",
        {}, {}, rule.reader(), result);
    return Datum(0);
  });
}

// _outcomes(rule)
Datum attribution_outcomes(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    pg::ResultSet result(fcinfo, {TEXTOID, TEXTOID, TEXTOID, INT8OID, NUMERICOID});
    const StoredRule rule(entry::required(fcinfo, 0, "rule"));
    relay("SELECT outcome, kind, tier, pg_catalog.count(*), pg_catalog.sum(value) FROM " + rule.decisions() +
              " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
          {}, {}, rule.reader(), result);
    return Datum(0);
  });
}

namespace {

/// The one time that a query over a rule's queue gives: no privilege on the queue is needed to learn it.
Datum one_time(FunctionCallInfo fcinfo, const char *select, const std::vector<Oid> &types,
               const std::vector<pg::Param> &params, const char *where) {
  bool null = true;
  Datum time = 0;
  {
    const StoredRule rule(entry::required(fcinfo, 0, "rule"));
    time = pg::Plan::kept(select + rule.pending() + where, types, pg::Planning::once).execute(params).get(0, 1, &null);
  }
  if (null)
    PG_RETURN_NULL();
  return time;
}

} // namespace

// _oldest_pending(rule)
Datum attribution_oldest_pending(PG_FUNCTION_ARGS) {
  return pg::boundary([&]() -> Datum {
    return one_time(fcinfo, "SELECT pg_catalog.min(conversion_time::timestamptz) FROM ", {}, {},
                    " WHERE due::timestamptz < 'infinity'");
  });
}

// _next_due(rule, since)
Datum attribution_next_due(PG_FUNCTION_ARGS) {
  return pg::boundary([&]() -> Datum {
    return one_time(fcinfo, "SELECT pg_catalog.min(due::timestamptz) FROM ", {TIMESTAMPTZOID},
                    {{entry::required(fcinfo, 1, "since"), false}},
                    " WHERE due::timestamptz >= $1 AND due::timestamptz < 'infinity'");
  });
}
