// The index access method "touch", as PostgreSQL sees it.
#include "pg/resultset.hpp"
#include "touch/build.hpp"
#include "touch/check.hpp"
#include "touch/collect.hpp"
#include "touch/options.hpp"
#include "touch/scan.hpp"
#include "touch/vacuum.hpp"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_touch_handler);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_touch_index_check);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_touch_index_report);
}

namespace {

using namespace attribution;

/// Operator classes are ours; what others add to the family is for them to know.
bool validate(Oid) { return true; }

} // namespace

Datum attribution_touch_handler(PG_FUNCTION_ARGS) {
  (void)fcinfo;
  IndexAmRoutine *routine = makeNode(IndexAmRoutine);
  routine->amstrategies = touch::kGreater;
  routine->amcanmulticol = true;
  routine->amusemaintenanceworkmem = false;
  routine->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
  routine->ambuild = touch::build;
  routine->ambuildempty = touch::build_empty;
  routine->aminsert = touch::insert;
  routine->ambulkdelete = touch::bulk_delete;
  routine->amvacuumcleanup = touch::vacuum_cleanup;
  routine->amcostestimate = touch::estimate_cost;
  routine->amoptions = touch::parse_options;
  routine->amvalidate = validate;
  routine->ambeginscan = touch::begin_scan;
  routine->amrescan = touch::rescan;
  routine->amgetbitmap = touch::get_bitmap;
  routine->amendscan = touch::end_scan;
  PG_RETURN_POINTER(routine);
}

// touch_index_check(index)
Datum attribution_touch_index_check(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    pg::ResultSet result(fcinfo, {TEXTOID});
    const Oid index = PG_GETARG_OID(0);
    List *problems = pg::call([&] { return touch::check(index); });
    ListCell *cell = nullptr;
    foreach (cell, problems) {
      result.set_text(0, static_cast<const char *>(lfirst(cell)));
      result.put();
    }
    return Datum(0);
  });
}

// _touch_index_report(index)
Datum attribution_touch_index_report(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    pg::ResultSet result(fcinfo,
                         {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID});
    const Oid index = PG_GETARG_OID(0);
    const touch::Report report = pg::call([&] { return touch::report(index); });
    std::size_t column = 0;
    for (const std::int64_t value :
         {report.pages, report.directory_pages, report.bucket_pages, report.free_pages, report.buckets, report.entries,
          report.null_entries, report.longest_chain, report.heavy_buckets, report.longest_heavy_chain})
      result.set(column++, Int64GetDatum(value));
    result.put();
    return Datum(0);
  });
}
