#include "touch/leaves.hpp"

#include "touch/build.hpp"

namespace attribution::touch {

namespace {

struct Search {
  const Sought &sought;
  Snapshot snapshot;
  Leaf *leaves;
  int count, room;
  bool failed;
};

/// Whether a partial index has all rows that can matter: those with no NULL in the key.
bool is_implied(Relation table, Relation index, const Sought &sought) {
  List *predicate = RelationGetIndexPredicate(index);
  if (predicate == NIL)
    return true;
  List *known = NIL;
  for (int i = 0; i < sought.count; ++i) {
    const AttrNumber attribute = get_attnum(RelationGetRelid(table), sought.columns[i]);
    const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(table), attribute - 1);
    NullTest *test = makeNode(NullTest);
    test->arg =
        reinterpret_cast<Expr *>(makeVar(1, attribute, column->atttypid, column->atttypmod, column->attcollation, 0));
    test->nulltesttype = IS_NOT_NULL;
    test->location = -1;
    known = lappend(known, test);
  }
  return predicate_implied_by(predicate, known, false);
}

/// Fills in the columns of a leaf's index, if it is over those that are asked for.
bool fits(Relation table, Relation index, const Sought &sought, Snapshot snapshot, Leaf *leaf) {
  const Form_pg_index form = index->rd_index;
  if (!is_touch(index) || !form->indisvalid || !form->indisready || form->indnatts != sought.count + 1)
    return false;
  // As the planner has it: one that was built over broken HOT chains is not for snapshots from before.
  if (form->indcheckxmin &&
      !TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data), snapshot->xmin))
    return false;
  if (form->indkey.values[sought.count] != get_attnum(RelationGetRelid(table), sought.time))
    return false;
  bool taken[INDEX_MAX_KEYS] = {};
  for (int key = 0; key < sought.count; ++key) {
    int place = 0;
    while (place < sought.count &&
           (taken[place] || form->indkey.values[key] == 0 ||
            form->indkey.values[key] != get_attnum(RelationGetRelid(table), sought.columns[place])))
      ++place;
    if (place == sought.count)
      return false;
    const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(table), form->indkey.values[key] - 1);
    if (index->rd_indcollation[key] != column->attcollation)
      return false;
    taken[place] = true;
    leaf->columns[key] = place;
  }
  return is_implied(table, index, sought);
}

void add_leaf(Search &search, Relation table, core::Micros since, core::Micros until) {
  if (table->rd_rel->relkind != RELKIND_RELATION && table->rd_rel->relkind != RELKIND_MATVIEW) {
    search.failed = true;
    return;
  }
  Leaf leaf{RelationGetRelid(table), InvalidOid, since, until, {}};
  List *indexes = RelationGetIndexList(table);
  ListCell *cell = nullptr;
  foreach (cell, indexes) {
    Relation index = index_open(lfirst_oid(cell), AccessShareLock);
    if (!OidIsValid(leaf.index) && fits(table, index, search.sought, search.snapshot, &leaf))
      leaf.index = RelationGetRelid(index);
    index_close(index, RelationGetRelid(index) == leaf.index ? NoLock : AccessShareLock);
  }
  list_free(indexes);
  if (!OidIsValid(leaf.index)) {
    search.failed = true;
    return;
  }
  if (search.count == search.room) {
    search.room *= 2;
    search.leaves = static_cast<Leaf *>(repalloc(search.leaves, static_cast<Size>(search.room) * sizeof(Leaf)));
  }
  search.leaves[search.count++] = leaf;
}

void add_leaves(Search &search, Oid relation, core::Micros since, core::Micros until);

/// The partitions of a table by ranges of the time have those ranges; others the one of their parent.
void add_partitions(Search &search, Relation parent, core::Micros since, core::Micros until) {
  PartitionKey key = RelationGetPartitionKey(parent);
  PartitionDesc partitions = RelationGetPartitionDesc(parent, true);
  if (partitions->nparts == 0)
    return; // there are no bounds, either
  PartitionBoundInfo bounds = partitions->boundinfo;
  const bool by_time = get_partition_strategy(key) == PARTITION_STRATEGY_RANGE && get_partition_natts(key) == 1 &&
                       get_partition_col_attnum(key, 0) == get_attnum(RelationGetRelid(parent), search.sought.time);
  if (!by_time) {
    for (int i = 0; i < partitions->nparts; ++i)
      add_leaves(search, partitions->oids[i], since, until);
    return;
  }
  const auto bound = [bounds](int i) {
    switch (bounds->kind[i][0]) {
    case PARTITION_RANGE_DATUM_MINVALUE:
      return core::kMinusInfinity;
    case PARTITION_RANGE_DATUM_MAXVALUE:
      return core::kInfinity;
    default:
      return core::Micros{DatumGetTimestampTz(bounds->datums[i][0])};
    }
  };
  for (int i = 0; i <= bounds->ndatums; ++i) {
    if (bounds->indexes[i] < 0)
      continue;
    const core::Micros first = i == 0 ? core::kMinusInfinity : bound(i - 1);
    const core::Micros past = i == bounds->ndatums ? core::kInfinity : bound(i);
    add_leaves(search, partitions->oids[bounds->indexes[i]], std::max(since, first),
               std::min(until, past == core::kInfinity ? past : past - 1));
  }
  if (bounds->default_index >= 0)
    add_leaves(search, partitions->oids[bounds->default_index], since, until);
}

void add_leaves(Search &search, Oid oid, core::Micros since, core::Micros until) {
  if (search.failed || until < search.sought.since || since > search.sought.until)
    return;
  CHECK_FOR_INTERRUPTS();
  Relation relation = table_open(oid, AccessShareLock);
  if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
    add_partitions(search, relation, since, until);
  else if (relation->rd_rel->relhassubclass)
    search.failed = true;
  else
    add_leaf(search, relation, since, until);
  table_close(relation, NoLock);
}

} // namespace

Leaf *find_leaves(const Sought &sought, Snapshot snapshot, int *count) {
  const char kind = get_rel_relkind(sought.relation);
  if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_MATVIEW)
    return nullptr;
  if (check_enable_rls(sought.relation, GetUserId(), true) == RLS_ENABLED)
    return nullptr;
  constexpr int kFirst = 16;
  Search search{sought, snapshot, static_cast<Leaf *>(palloc(kFirst * sizeof(Leaf))), 0, kFirst, false};
  add_leaves(search, sought.relation, core::kMinusInfinity, core::kInfinity);
  *count = search.count;
  return search.failed ? nullptr : search.leaves;
}

} // namespace attribution::touch
