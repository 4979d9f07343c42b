#include "touch/leaves.hpp"

#include "touch/build.hpp"

namespace attribution::touch {

namespace {

struct Search {
  const Sought &sought;
  Snapshot snapshot;
  Relation relation; ///< the one that is asked for
  Leaf *leaves;
  int count, room;
  bool failed;
};

/// What is asked for, in the terms of one table.
struct Asked {
  Expr *keys[INDEX_MAX_KEYS];
  int count;
  List *conditions;
  AttrNumber time;
};

Asked ask(const Search &search, Relation table) {
  const Sought &sought = search.sought;
  const Oid oid = RelationGetRelid(table);
  const auto here = [&](List *list) {
    return list == NIL || table == search.relation ? list : map_partition_varattnos(list, 1, table, search.relation);
  };
  Asked asked{{}, sought.count, here(sought.conditions), get_attnum(oid, sought.time)};
  List *expressions = here(sought.expressions);
  for (int i = 0; i < sought.count; ++i) {
    if (expressions != NIL) {
      asked.keys[i] = static_cast<Expr *>(list_nth(expressions, i));
      continue;
    }
    const AttrNumber attribute = get_attnum(oid, sought.columns[i]);
    const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(table), attribute - 1);
    asked.keys[i] =
        reinterpret_cast<Expr *>(makeVar(1, attribute, column->atttypid, column->atttypmod, column->attcollation, 0));
  }
  return asked;
}

/// Whether a partial index has all rows that can matter: those that meet the conditions, with no NULL in the key.
bool is_implied(Relation index, const Asked &asked) {
  List *predicate = RelationGetIndexPredicate(index);
  if (predicate == NIL)
    return true;
  List *known = list_copy(asked.conditions);
  for (int i = 0; i < asked.count; ++i) {
    NullTest *test = makeNode(NullTest);
    test->arg = asked.keys[i];
    test->nulltesttype = IS_NOT_NULL;
    test->location = -1;
    known = lappend(known, test);
  }
  return predicate_implied_by(predicate, known, false);
}

/// Whether a key column of an index, which is an expression where it is no attribute, is this key.
bool is_key(AttrNumber attribute, const void *expression, Oid collation, const Expr *key) {
  if (collation != exprCollation(reinterpret_cast<const Node *>(key)))
    return false;
  return attribute == 0 ? equal(expression, key)
                        : IsA(key, Var) && reinterpret_cast<const Var *>(key)->varattno == attribute;
}

/// Fills in the columns of a leaf's index, if it is over those that are asked for.
bool fits(Relation index, const Asked &asked, Snapshot snapshot, Leaf *leaf) {
  const Form_pg_index form = index->rd_index;
  if (!is_touch(index) || !form->indisvalid || !form->indisready || form->indnatts != asked.count + 1)
    return false;
  // As the planner has it: one that was built over broken HOT chains is not for snapshots from before.
  if (form->indcheckxmin &&
      !TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data), snapshot->xmin))
    return false;
  if (form->indkey.values[asked.count] != asked.time)
    return false;
  List *expressions = RelationGetIndexExpressions(index);
  int next = 0;
  bool taken[INDEX_MAX_KEYS] = {};
  for (int key = 0; key < asked.count; ++key) {
    const AttrNumber attribute = form->indkey.values[key];
    const void *expression = attribute == 0 ? list_nth(expressions, next++) : nullptr;
    int place = 0;
    while (place < asked.count &&
           (taken[place] || !is_key(attribute, expression, index->rd_indcollation[key], asked.keys[place])))
      ++place;
    if (place == asked.count)
      return false;
    taken[place] = true;
    leaf->columns[key] = place;
  }
  return is_implied(index, asked);
}

void add_leaf(Search &search, Relation table, core::Micros since, core::Micros until) {
  if (table->rd_rel->relkind != RELKIND_RELATION && table->rd_rel->relkind != RELKIND_MATVIEW) {
    search.failed = true;
    return;
  }
  const Asked asked = ask(search, table);
  Leaf leaf{RelationGetRelid(table), InvalidOid, since, until, {}};
  List *indexes = RelationGetIndexList(table);
  ListCell *cell = nullptr;
  foreach (cell, indexes) {
    Relation index = index_open(lfirst_oid(cell), AccessShareLock);
    if (!OidIsValid(leaf.index) && fits(index, asked, search.snapshot, &leaf))
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
  Search search{sought,
                snapshot,
                table_open(sought.relation, AccessShareLock),
                static_cast<Leaf *>(palloc(kFirst * sizeof(Leaf))),
                0,
                kFirst,
                false};
  add_leaves(search, sought.relation, core::kMinusInfinity, core::kInfinity);
  table_close(search.relation, NoLock);
  *count = search.count;
  return search.failed ? nullptr : search.leaves;
}

} // namespace attribution::touch
