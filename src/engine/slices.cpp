#include "engine/slices.hpp"

namespace attribution::engine {

namespace {

/// Between two bounds of a histogram.
struct Cell {
  core::Micros until;
  double rows;
};

/// Adds a table's histogram of times.
void add_cells(const std::string &time, core::Micros since, core::Micros until, Oid table, std::vector<Cell> &cells) {
  AttStatsSlot slot{};
  double rows = 0;
  const bool known = pg::call([&] {
    HeapTuple entry = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
    if (!HeapTupleIsValid(entry))
      return false;
    const auto *about = reinterpret_cast<Form_pg_class>(GETSTRUCT(entry));
    rows = about->reltuples;
    const bool has_rows = about->relkind == RELKIND_RELATION && rows > 0;
    ReleaseSysCache(entry);
    if (!has_rows)
      return false;
    const AttrNumber number = get_attnum(table, time.c_str());
    HeapTuple statistics = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(table), Int16GetDatum(number), false);
    if (!HeapTupleIsValid(statistics))
      return false;
    const bool found = get_attstatsslot(&slot, statistics, STATISTIC_KIND_HISTOGRAM, InvalidOid, ATTSTATSSLOT_VALUES) &&
                       slot.valuetype == TIMESTAMPTZOID && slot.nvalues > 1;
    ReleaseSysCache(statistics);
    return found;
  });
  if (!known)
    return;
  for (int i = 1; i < slot.nvalues; ++i) {
    const core::Micros from = DatumGetTimestampTz(slot.values[i - 1]);
    const core::Micros to = DatumGetTimestampTz(slot.values[i]);
    if (to < since || from >= until)
      continue;
    // Of a cell at an end of the range its part.
    const double all = static_cast<double>(to) - static_cast<double>(from);
    const double part = static_cast<double>(std::min(to, until)) - static_cast<double>(std::max(from, since));
    cells.push_back({to, rows / (slot.nvalues - 1) * (all > 0 ? part / all : 1)});
  }
  pg::call([&] { free_attstatsslot(&slot); });
}

} // namespace

Slices slices_of(const Binding &binding, core::Micros since, core::Micros until, std::uint32_t most, double least) {
  std::vector<Cell> cells;
  List *tables = pg::call([&] {
    const char kind = get_rel_relkind(binding.conversions.oid);
    return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE
               ? find_all_inheritors(binding.conversions.oid, NoLock, nullptr)
               : NIL;
  });
  for (int i = 0; i < list_length(tables); ++i)
    add_cells(binding.time.name, since, until, list_nth_oid(tables, i), cells);
  std::sort(cells.begin(), cells.end(), [](const Cell &a, const Cell &b) { return a.until < b.until; });
  double all = 0;
  for (const Cell &cell : cells)
    all += cell.rows;

  Slices slices{{since}, all};
  const auto count = static_cast<std::uint32_t>(std::clamp(all / std::max(least, 1.0), 1.0, static_cast<double>(most)));
  double before = 0;
  for (const Cell &cell : cells) {
    before += cell.rows;
    if (slices.ends.size() < count && before >= all * static_cast<double>(slices.ends.size()) / count &&
        cell.until > slices.ends.back() && cell.until < until)
      slices.ends.push_back(cell.until);
  }
  slices.ends.push_back(until);
  return slices;
}

} // namespace attribution::engine
