#include "touch/scan.hpp"

#include "core/key_search.hpp"
#include "touch/bucket.hpp"
#include "touch/collect.hpp"
#include "touch/key.hpp"

namespace attribution::touch {

namespace {

/// What a scan looks for. The rows that are found are checked by whoever reads them: hashes are no proof.
struct Query {
  bool nothing; ///< no row can fit
  bool any_key; ///< some key column is not given
  core::Wanted wanted;
};

/// The hash function for a value that is compared with a key column: of its own type, which may be another one of the
/// same operator family.
FmgrInfo *hash_function_for(Relation index, const ScanKeyData &key) {
  const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(index), key.sk_attno - 1);
  const Oid other = key.sk_subtype;
  return hash_function(OidIsValid(other) && !IsPolymorphicType(other) ? other : column->atttypid,
                       NameStr(column->attname));
}

void narrow_time(core::Wanted &wanted, const ScanKeyData &key) {
  const core::Micros time = DatumGetTimestampTz(key.sk_argument);
  switch (key.sk_strategy) {
  case kEqual:
    wanted.since = std::max(wanted.since, time);
    wanted.until = std::min(wanted.until, time);
    break;
  case kLess: // one too many at the end, and the row is checked
  case kLessOrEqual:
    wanted.until = std::min(wanted.until, time);
    break;
  default:
    wanted.since = std::max(wanted.since, time);
  }
}

Query query_of(IndexScanDesc scan) {
  Query query{false, false, {0, 0, core::kMinusInfinity, core::kInfinity}};
  const int columns = RelationGetDescr(scan->indexRelation)->natts - 1;
  const ScanKeyData *given[INDEX_MAX_KEYS] = {};
  for (int i = 0; i < scan->numberOfKeys; ++i) {
    const ScanKeyData &key = scan->keyData[i];
    if ((key.sk_flags & SK_ISNULL) != 0)
      query.nothing = true;
    else if (key.sk_attno <= columns) {
      if (key.sk_strategy == kEqual)
        given[key.sk_attno - 1] = &key;
    } else if (!OidIsValid(key.sk_subtype) || key.sk_subtype == TIMESTAMPTZOID)
      narrow_time(query.wanted, key);
  }
  if (query.nothing)
    return query;
  std::uint32_t hash = 0;
  for (int i = 0; i < columns; ++i) {
    if (given[i] == nullptr) {
      query.any_key = true;
      return query;
    }
    FmgrInfo *function = hash_function_for(scan->indexRelation, *given[i]);
    hash = core::combine(hash, DatumGetUInt32(FunctionCall1Coll(function, scan->indexRelation->rd_indcollation[i],
                                                                given[i]->sk_argument)));
  }
  query.wanted.hash = core::key_hash(hash);
  return query;
}

/// A few places at a time.
class Places {
public:
  explicit Places(TIDBitmap *bitmap) : bitmap_(bitmap) {}
  void add(const core::TouchEntry &entry) {
    if (count_ == lengthof(places_))
      flush();
    places_[count_++] = place_of(entry);
  }
  void flush() {
    tbm_add_tuples(bitmap_, places_, static_cast<int>(count_), true);
    total_ += static_cast<std::int64_t>(count_);
    count_ = 0;
  }
  std::int64_t total() const { return total_; }

private:
  TIDBitmap *bitmap_;
  ItemPointerData places_[64];
  std::size_t count_ = 0;
  std::int64_t total_ = 0;
};

} // namespace

IndexScanDesc begin_scan(Relation index, int keys, int orderings) {
  write_collected(index); // a parallel query begins its scans here, in the leader, before there are workers
  return RelationGetIndexScan(index, keys, orderings);
}

void rescan(IndexScanDesc scan, ScanKey keys, int, ScanKey, int) {
  write_collected(scan->indexRelation);
  if (keys != nullptr && scan->numberOfKeys > 0)
    memmove(scan->keyData, keys, static_cast<std::size_t>(scan->numberOfKeys) * sizeof(ScanKeyData));
}

void end_scan(IndexScanDesc) {}

std::int64_t get_bitmap(IndexScanDesc scan, TIDBitmap *bitmap) {
  Relation index = scan->indexRelation;
  const Query query = query_of(scan);
  if (query.nothing)
    return 0;
  Places places(bitmap);
  const core::Wanted &wanted = query.wanted;
  const auto take = [&](const core::BucketPage &page) {
    const core::BucketHeader &header = page.header();
    if (header.newest >= wanted.since && header.oldest <= wanted.until) {
      std::uint16_t found[core::KeySearch::kMostEntries];
      const std::size_t count =
          query.any_key ? page.count() : core::find_hash(page.hashes(), page.count(), wanted.hash, found);
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t at = query.any_key ? i : found[i];
        if (wanted.since <= page.time(at) && page.time(at) <= wanted.until)
          places.add(page.entry(at));
      }
    }
    return header.older_newest >= wanted.since;
  };
  // What is found twice, because a chain is another's by now, is in the bitmap once.
  if (query.any_key)
    for_each_bucket(index, [&](const Place &place) { return walk(index, place, nullptr, take); });
  else
    while (!walk(index, locate(index, wanted.hash), nullptr, take)) {
    }
  places.flush();
  return places.total();
}

void estimate_cost(PlannerInfo *root, IndexPath *path, double loop_count, Cost *startup, Cost *total,
                   Selectivity *selectivity, double *correlation, double *pages) {
  const IndexOptInfo *index = path->indexinfo;
  bool given[INDEX_MAX_KEYS] = {};
  ListCell *cell = nullptr;
  foreach (cell, path->indexclauses) {
    const IndexClause *clause = lfirst_node(IndexClause, cell);
    // Whatever there is on a key column is '='.
    given[clause->indexcol] = true;
  }
  bool any_key = false;
  for (int i = 0; i < index->nkeycolumns - 1; ++i)
    any_key = any_key || !given[i];

  GenericCosts costs{};
  if (any_key) // all of it is read
    costs.numIndexTuples = index->tuples;
  genericcostestimate(root, path, loop_count, &costs);
  // The root and a page of the directory, which are in memory; and the entries of the bucket, many at a time.
  const Cost descent = 2 * 50.0 * cpu_operator_cost;
  *startup = costs.indexStartupCost + descent;
  *total = costs.indexTotalCost + descent;
  *selectivity = costs.indexSelectivity;
  *correlation = costs.indexCorrelation;
  *pages = costs.numIndexPages;
}

} // namespace attribution::touch
