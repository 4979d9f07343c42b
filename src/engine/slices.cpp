#include "engine/slices.hpp"

namespace attribution::engine {

namespace {

/// Between two bounds of a histogram.
struct Cell {
  core::Micros until;
  double rows;
};

/// What PostgreSQL knows of the times in a table.
struct Times {
  double rows = 0;          ///< in the table
  double correlation = 0;   ///< with the order in which they lie there
  AttStatsSlot histogram{}; ///< to be freed; of none nothing is known
};

Times times_in(Oid table, const std::string &time) {
  Times times;
  pg::call([&] {
    HeapTuple entry = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
    if (!HeapTupleIsValid(entry))
      return;
    const auto *about = reinterpret_cast<Form_pg_class>(GETSTRUCT(entry));
    times.rows = about->reltuples;
    const bool has_rows = about->relkind == RELKIND_RELATION && times.rows > 0;
    ReleaseSysCache(entry);
    if (!has_rows)
      return;
    const AttrNumber number = get_attnum(table, time.c_str());
    HeapTuple statistics = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(table), Int16GetDatum(number), false);
    if (!HeapTupleIsValid(statistics))
      return;
    (void)get_attstatsslot(&times.histogram, statistics, STATISTIC_KIND_HISTOGRAM, InvalidOid, ATTSTATSSLOT_VALUES);
    if (times.histogram.valuetype != TIMESTAMPTZOID)
      times.histogram.nvalues = 0;
    AttStatsSlot order{};
    if (get_attstatsslot(&order, statistics, STATISTIC_KIND_CORRELATION, InvalidOid, ATTSTATSSLOT_NUMBERS)) {
      times.correlation = order.numbers[0];
      free_attstatsslot(&order);
    }
    ReleaseSysCache(statistics);
  });
  return times;
}

/// Adds the part of a histogram that lies in a range.
void add_cells(const Times &times, core::Micros since, core::Micros until, std::vector<Cell> &cells) {
  const AttStatsSlot &slot = times.histogram;
  for (int i = 1; i < slot.nvalues; ++i) {
    const core::Micros from = DatumGetTimestampTz(slot.values[i - 1]);
    const core::Micros to = DatumGetTimestampTz(slot.values[i]);
    if (to < since || from >= until)
      continue;
    // Of a cell at an end of the range its part.
    const double all = static_cast<double>(to) - static_cast<double>(from);
    const double part = static_cast<double>(std::min(to, until)) - static_cast<double>(std::max(from, since));
    cells.push_back({to, times.rows / (slot.nvalues - 1) * (all > 0 ? part / all : 1)});
  }
}

/// So many slices of the same time.
std::vector<ConversionRange> by_pages(Oid table, core::Micros since, core::Micros until, std::uint32_t count) {
  const BlockNumber blocks = pg::call([table] {
    ::Relation relation = table_open(table, AccessShareLock);
    const BlockNumber all = RelationGetNumberOfBlocks(relation);
    table_close(relation, NoLock);
    return all;
  });
  std::vector<ConversionRange> ranges;
  BlockNumber first = 0;
  for (std::uint32_t i = 1; i < count; ++i) {
    const auto past = static_cast<BlockNumber>(std::uint64_t{blocks} * i / count);
    ranges.push_back({since, until, first, past});
    first = past;
  }
  ranges.push_back({since, until, first, InvalidBlockNumber});
  return ranges;
}

} // namespace

Slices slices_of(const Binding &binding, core::Micros since, core::Micros until, Oid reader, std::uint32_t most,
                 double least) {
  std::vector<Cell> cells;
  double rows = 0;
  double correlation = 1;
  const List *tables = pg::call([&] {
    const char kind = get_rel_relkind(binding.conversions.oid);
    return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE
               ? find_all_inheritors(binding.conversions.oid, NoLock, nullptr)
               : NIL;
  });
  for (int i = 0; i < list_length(tables); ++i) {
    Times times = times_in(list_nth_oid(tables, i), binding.time.name);
    add_cells(times, since, until, cells);
    rows += std::max(times.rows, 0.0);
    correlation = times.correlation;
    pg::call([&] { free_attstatsslot(&times.histogram); });
  }
  std::sort(cells.begin(), cells.end(), [](const Cell &a, const Cell &b) { return a.until < b.until; });
  double all = 0;
  for (const Cell &cell : cells)
    all += cell.rows;

  const auto count = static_cast<std::uint32_t>(std::clamp(all / std::max(least, 1.0), 1.0, static_cast<double>(most)));
  constexpr double kNearly = 0.95;
  // A place is asked for like a column, which who may read some columns alone may not.
  const auto may_read = [&](Oid user) {
    return pg::call([&] { return pg_class_aclcheck(binding.conversions.oid, user, ACL_SELECT); }) == ACLCHECK_OK;
  };
  if (count > 1 && list_length(tables) == 1 && binding.id_is_unique && all >= kNearly * rows &&
      correlation >= kNearly && may_read(reader) && may_read(GetUserId()))
    return {by_pages(binding.conversions.oid, since, until, count), all};

  Slices slices{{}, all};
  core::Micros from = since;
  double before = 0;
  for (const Cell &cell : cells) {
    before += cell.rows;
    if (slices.count() + 1 < count && before >= all * (slices.count() + 1) / count && cell.until > from &&
        cell.until < until) {
      slices.ranges.push_back({from, cell.until});
      from = cell.until;
    }
  }
  slices.ranges.push_back({from, until});
  return slices;
}

} // namespace attribution::engine
