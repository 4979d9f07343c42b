#include "touch/collect.hpp"

#include "touch/bucket.hpp"
#include "touch/key.hpp"

namespace attribution::touch {

namespace {

constexpr std::size_t kFirst = 64; ///< entries that memory is taken for at first
/// Entries of all indexes together before they are written. (4 MB)
constexpr std::size_t kMost = (std::size_t{4} << 20) / sizeof(core::TouchEntry);

/// What one index has collected. In memory of the transaction, like all it points to.
struct Collected {
  Oid index;
  Collected *next;
  SubTransactionId since; ///< in which the first of the entries came; those of its parents have been written
  std::size_t count, room;
  core::TouchEntry *entries;
  KeyHasher hasher;
};

Collected *all = nullptr;
std::size_t total = 0; ///< entries collected
bool closing = false;  ///< the transaction is about to commit: nothing waits any more

/// Where an index was found last: a command inserts into a few of them, row by row.
constexpr std::size_t kSlots = 64;
Collected *slots[kSlots];

Collected *find(Oid index) {
  Collected *&slot = slots[index % kSlots];
  if (slot == nullptr || slot->index != index)
    for (Collected *each = all; each != nullptr; each = each->next)
      if (each->index == index)
        return slot = each;
  return slot != nullptr && slot->index == index ? slot : nullptr;
}

Collected *begin(Relation index) {
  // Until the transaction ends, so that nobody moves the index to another file before the entries are there.
  LockRelationOid(RelationGetRelid(index), RowExclusiveLock);
  const KeyHasher hasher = KeyHasher::of(index);
  auto *entries =
      static_cast<core::TouchEntry *>(MemoryContextAlloc(TopTransactionContext, kFirst * sizeof(core::TouchEntry)));
  auto *collected = static_cast<Collected *>(MemoryContextAlloc(TopTransactionContext, sizeof(Collected)));
  *collected = {RelationGetRelid(index), all, InvalidSubTransactionId, 0, kFirst, entries, hasher};
  return all = slots[collected->index % kSlots] = collected;
}

void forget(Collected *collected) {
  total -= collected->count;
  collected->count = 0;
}

/// Writes the entries of an index. They are forgotten when all are there: after an error they may be written twice, and
/// an index may know a row twice, but not lack one.
void write_out(Collected *collected, Relation index) {
  std::sort(collected->entries, collected->entries + collected->count,
            [](const core::TouchEntry &a, const core::TouchEntry &b) { return a.hash < b.hash; });
  write_entries(index, collected->entries, collected->count);
  forget(collected);
}

void write_all() {
  for (Collected *each = all; each != nullptr; each = each->next) {
    if (each->count == 0)
      continue;
    Relation index = try_relation_open(each->index, RowExclusiveLock);
    if (index == nullptr) { // dropped by this transaction
      forget(each);
      continue;
    }
    write_out(each, index);
    relation_close(index, NoLock);
    if (each->room > kFirst) { // or each of many indexes would keep as much as one may take
      pfree(each->entries);
      each->room = kFirst;
      each->entries =
          static_cast<core::TouchEntry *>(MemoryContextAlloc(TopTransactionContext, kFirst * sizeof(core::TouchEntry)));
    }
  }
}

void transaction_ends(XactEvent event, void *) {
  switch (event) {
  case XACT_EVENT_PRE_COMMIT:
  case XACT_EVENT_PRE_PREPARE:
    closing = true;
    write_all();
    break;
  case XACT_EVENT_COMMIT:
  case XACT_EVENT_ABORT:
  case XACT_EVENT_PREPARE:
    closing = false;
    all = nullptr;
    total = 0;
    std::fill(std::begin(slots), std::end(slots), nullptr);
    break;
  default:
    break;
  }
}

void subtransaction_ends(SubXactEvent event, SubTransactionId mine, SubTransactionId, void *) {
  if (event == SUBXACT_EVENT_START_SUB)
    write_all();
  else if (event == SUBXACT_EVENT_ABORT_SUB) {
    // What a parent has collected was written at the beginning; if that failed, it is here still, and its own.
    for (Collected *each = all; each != nullptr; each = each->next)
      if (each->count > 0 && each->since >= mine)
        forget(each);
  }
}

} // namespace

bool insert(Relation index, Datum *values, bool *nulls, ItemPointer row, Relation, IndexUniqueCheck, bool,
            IndexInfo *) {
  Collected *collected = find(RelationGetRelid(index));
  if (collected == nullptr)
    collected = begin(index);
  if (collected->count == collected->room) {
    collected->entries = static_cast<core::TouchEntry *>(
        repalloc_huge(collected->entries, 2 * collected->room * sizeof(core::TouchEntry)));
    collected->room *= 2;
  }
  if (collected->count == 0)
    collected->since = GetCurrentSubTransactionId();
  collected->entries[collected->count++] = collected->hasher.entry(values, nulls, row);
  ++total;
  if (total >= kMost)
    write_all();
  else if (closing)
    write_out(collected, index);
  return false;
}

void write_collected(Relation index) {
  Collected *collected = find(RelationGetRelid(index));
  if (collected != nullptr && collected->count > 0)
    write_out(collected, index);
}

void write_collected() { write_all(); }

void forget_collected(Oid index) {
  if (Collected *collected = find(index))
    forget(collected);
}

void watch_transactions() {
  RegisterXactCallback(transaction_ends, nullptr);
  RegisterSubXactCallback(subtransaction_ends, nullptr);
}

} // namespace attribution::touch
