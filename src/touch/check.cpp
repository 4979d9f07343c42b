#include "touch/check.hpp"

#include "touch/bucket.hpp"
#include "touch/build.hpp"
#include "touch/collect.hpp"
#include "touch/key.hpp"

namespace attribution::touch {

namespace {

constexpr int kMostProblems = 100; ///< that are told of
constexpr int kBloomKb = 64 * 1024;

struct Check {
  Relation index;
  List *problems;
  bloom_filter *entries;
  KeyHasher hasher;
};

void add_problem(Check &check, char *problem) {
  if (list_length(check.problems) < kMostProblems)
    check.problems = lappend(check.problems, problem);
}

/// An entry without the bytes that pad it.
struct Fingerprint {
  std::uint8_t bytes[core::BucketPage::kEntrySize];
  explicit Fingerprint(const core::TouchEntry &entry) {
    memcpy(bytes, &entry.time, 8);
    memcpy(bytes + 8, &entry.hash, 4);
    memcpy(bytes + 12, &entry.block, 4);
    memcpy(bytes + 16, &entry.offset, 2);
  }
};

/// A touch index, opened for reading, with its table.
Relation open_index(Oid oid) {
  Relation index = index_open(oid, AccessShareLock);
  if (index->rd_rel->relkind != RELKIND_INDEX || !is_touch(index))
    ereport(ERROR,
            (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a touch index", RelationGetRelationName(index)),
             errhint("Of a partitioned one, name the index of a partition.")));
  if (RELATION_IS_OTHER_TEMP(index))
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("cannot read temporary tables of other sessions")));
  write_collected(index);
  return index;
}

/// Of a page of a chain: is it right by itself, and behind the one in front of it (null for the head).
void check_page(Check &check, const Place &place, const core::BucketPage &page, const core::BucketHeader *newer) {
  const core::BucketHeader &header = page.header();
  const auto expect = [&](bool right, const char *what) {
    if (!right)
      add_problem(check, psprintf("bucket %u, page at depth %d: %s", place.ref.first, header.depth, what));
  };
  expect(page.is_sound(), "entries do not fit what the page says of itself");
  expect(header.low == place.ref.first && header.high == place.last, "has another range than its bucket");
  expect(((header.flags & core::kIsHead) != 0) == (newer == nullptr), "is marked as the head, or should be");
  if (newer != nullptr) {
    expect(newer->older_newest >= header.newest && newer->older_newest >= header.older_newest,
           "is more recent than the page in front of it says");
    expect(header.low == header.high || header.depth + 1 == newer->depth, "is not where its depth says");
  }
  if (header.older == InvalidBlockNumber)
    expect(header.low == header.high || header.depth == 1, "ends a chain that is shorter than it says");
}

void check_buckets(Check &check) {
  for_each_bucket(check.index, [&](const Place &place) {
    core::BucketHeader newer{};
    bool is_head = true;
    return walk(check.index, place, nullptr, [&](const core::BucketPage &page) {
      check_page(check, place, page, is_head ? nullptr : &newer);
      for (std::size_t i = 0; i < page.count(); ++i) {
        Fingerprint print(page.entry(i));
        bloom_add_element(check.entries, print.bytes, sizeof print.bytes);
      }
      newer = page.header();
      is_head = false;
      return true;
    });
  });
}

void check_directory(Check &check) {
  Buffer root = read_page(check.index, kRoot, BUFFER_LOCK_SHARE);
  check_root(check.index, BufferGetPage(root));
  if (!is_sound(root_page(BufferGetPage(root))))
    add_problem(check, pstrdup("the root's references are not in order"));
  Page copy = static_cast<Page>(palloc(BLCKSZ));
  memcpy(copy, BufferGetPage(root), BLCKSZ);
  UnlockReleaseBuffer(root);
  const core::RootPage refs = root_page(copy);
  for (std::size_t i = 0; i < refs.count(); ++i) {
    CHECK_FOR_INTERRUPTS();
    Buffer buffer = read_page(check.index, refs.refs()[i].block, BUFFER_LOCK_SHARE);
    const core::DirectoryPage page = directory_page(BufferGetPage(buffer));
    if (kind_of(BufferGetPage(buffer)) != core::PageKind::directory || !page.is_sound() ||
        page.header().low != refs.refs()[i].first)
      add_problem(check, psprintf("block %u is not the directory page that the root says", refs.refs()[i].block));
    UnlockReleaseBuffer(buffer);
  }
}

void check_row(Relation, ItemPointer row, Datum *values, bool *nulls, bool, void *state) {
  Check &check = *static_cast<Check *>(state);
  Fingerprint print(check.hasher.entry(values, nulls, row));
  if (bloom_lacks_element(check.entries, print.bytes, sizeof print.bytes))
    add_problem(check, psprintf("row (%u,%u) of the table has no entry", ItemPointerGetBlockNumber(row),
                                ItemPointerGetOffsetNumber(row)));
}

} // namespace

List *check(Oid oid) {
  Relation index = open_index(oid);
  Relation table = table_open(index->rd_index->indrelid, AccessShareLock);
  // Taken first: what it shows had its entries before they are looked through here.
  Snapshot snapshot = RegisterSnapshot(GetTransactionSnapshot());
  if (index->rd_index->indcheckxmin &&
      !TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data), snapshot->xmin))
    ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                    errmsg("index \"%s\" can't be checked with this snapshot", RelationGetRelationName(index)),
                    errhint("Try again when transactions that are older than the index have ended.")));
  Check state{index, NIL, nullptr, KeyHasher::of(index)};
  const auto rows = static_cast<std::int64_t>(std::max(table->rd_rel->reltuples, 1.0F));
  state.entries = bloom_create(std::max<std::int64_t>(rows, 1000), kBloomKb, 0);
  check_directory(state);
  if (state.problems == NIL)
    check_buckets(state);
  if (index->rd_index->indisvalid && state.problems == NIL) {
    IndexInfo *info = BuildIndexInfo(index);
    info->ii_Concurrent = true; // what is seen by the snapshot counts, not what is not yet dead
    info->ii_Unique = false;
    TableScanDesc scan = table_beginscan_strat(table, snapshot, 0, nullptr, true, true);
    (void)table_index_build_scan(table, index, info, true, false, check_row, &state, scan);
  }
  bloom_free(state.entries);
  UnregisterSnapshot(snapshot);
  table_close(table, AccessShareLock);
  index_close(index, AccessShareLock);
  return state.problems;
}

Report report(Oid oid) {
  Relation index = open_index(oid);
  Report sum{};
  sum.pages = static_cast<std::int64_t>(RelationGetNumberOfBlocks(index));
  BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
  for_each_bucket(index, [&](const Place &place) {
    std::int64_t pages = 0;
    std::int64_t entries = 0;
    if (!walk(index, place, strategy, [&](const core::BucketPage &page) {
          ++pages;
          entries += static_cast<std::int64_t>(page.count());
          return true;
        }))
      return false;
    ++sum.buckets;
    sum.bucket_pages += pages;
    sum.entries += entries;
    if (place.ref.first == core::kNullKey)
      sum.null_entries = entries;
    else if (place.ref.first < place.last)
      sum.longest_chain = std::max(sum.longest_chain, pages);
    else if (pages > 0) {
      ++sum.heavy_buckets;
      sum.longest_heavy_chain = std::max(sum.longest_heavy_chain, pages);
    }
    return true;
  });
  Buffer root = read_page(index, kRoot, BUFFER_LOCK_SHARE);
  sum.directory_pages = static_cast<std::int64_t>(root_page(BufferGetPage(root)).count());
  UnlockReleaseBuffer(root);
  sum.free_pages = std::max<std::int64_t>(sum.pages - 1 - sum.directory_pages - sum.bucket_pages, 0);
  index_close(index, AccessShareLock);
  return sum;
}

} // namespace attribution::touch
