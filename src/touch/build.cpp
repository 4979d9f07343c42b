#include "touch/build.hpp"

#include "pg/compat.hpp"
#include "touch/bucket.hpp"
#include "touch/collect.hpp"
#include "touch/key.hpp"
#include "touch/options.hpp"

namespace attribution::touch {

namespace {

/// Entries that do not fit into memory are spread over so many files by the upper bits of their hashes.
constexpr int kFiles = 256;

/// The buckets of an index that is being built, in order.
struct Buckets {
  core::BucketRef *refs;
  std::size_t count, room;
};

struct Build {
  Relation index;
  KeyHasher hasher;
  MemoryContext memory;
  core::TouchEntry *entries;
  std::size_t count, room, most;
  BufFile **files; ///< none, as long as all fits into memory
  std::size_t *in_file;
  double rows;
  Buckets buckets;
  std::uint32_t next_stamp;
};

/// Puts the entries in memory into the files.
void spill(Build &build) {
  MemoryContext outer = MemoryContextSwitchTo(build.memory);
  if (build.files == nullptr) {
    build.files = static_cast<BufFile **>(palloc0(kFiles * sizeof(BufFile *)));
    build.in_file = static_cast<std::size_t *>(palloc0(kFiles * sizeof(std::size_t)));
  }
  for (std::size_t i = 0; i < build.count; ++i) {
    const std::uint32_t file = build.entries[i].hash / (std::uint32_t{1} << 24);
    if (build.files[file] == nullptr)
      build.files[file] = BufFileCreateTemp(false);
    BufFileWrite(build.files[file], &build.entries[i], sizeof(core::TouchEntry));
    ++build.in_file[file];
  }
  build.count = 0;
  MemoryContextSwitchTo(outer);
}

void take_row(Relation, ItemPointer row, Datum *values, bool *nulls, bool, void *state) {
  Build &build = *static_cast<Build *>(state);
  ++build.rows;
  if (build.count == build.room) {
    if (build.room < build.most) {
      build.room = std::min(build.room * 2, build.most);
      build.entries =
          static_cast<core::TouchEntry *>(repalloc_huge(build.entries, build.room * sizeof(core::TouchEntry)));
    } else
      spill(build);
  }
  build.entries[build.count++] = build.hasher.entry(values, nulls, row);
}

/// Writes the bucket of the range first .. last.
void add_bucket(Build &build, std::uint32_t first, std::uint32_t last, core::TouchEntry *entries, std::size_t count) {
  Buckets &buckets = build.buckets;
  if (buckets.count == buckets.room) {
    buckets.room *= 2;
    buckets.refs = static_cast<core::BucketRef *>(repalloc_huge(buckets.refs, buckets.room * sizeof(core::BucketRef)));
  }
  const std::uint32_t stamp = build.next_stamp++;
  buckets.refs[buckets.count++] = {first, write_chain(build.index, first, last, stamp, entries, count), stamp};
}

/// How many pages of entries a bucket begins with: one, which is all that is read for a key until more come. (2,000
/// conversions: 3.6 ms; with two, 4.0 ms.) Half of what it may have, where there would be too many buckets, or nearly.
int first_pages(const Build &build) {
  constexpr std::size_t kManyBuckets =
      core::RootPage::capacity(kContents) * core::DirectoryPage::capacity(kContents) / 4;
  const bool is_large = build.rows > static_cast<double>(kManyBuckets * core::BucketPage::capacity(kContents));
  return is_large ? std::max(bucket_pages(build.index) / 2, 1) : 1;
}

/// How many entries a bucket begins with, if it has several keys.
std::size_t first_entries(const Build &build) {
  return core::BucketPage::capacity(kContents) *
         static_cast<std::size_t>(first_pages(build) * fillfactor(build.index)) / 100;
}

/// Writes the buckets of the range low .. high, whose entries are sorted by hash.
void add_buckets(Build &build, std::uint32_t low, std::uint32_t high, core::TouchEntry *entries, std::size_t count) {
  const std::size_t many = first_entries(build);
  const auto add = [&](std::uint32_t first, std::uint32_t last, std::size_t at, std::size_t end) {
    std::sort(entries + at, entries + end, core::is_older);
    add_bucket(build, first, last, entries + at, end - at);
  };
  std::size_t at = 0;
  while (count - at > many) {
    CHECK_FOR_INTERRUPTS();
    // As many keys as fit, up to the one that does not.
    const std::uint32_t cut = entries[at + many].hash;
    std::size_t end = at + many;
    while (end > at && entries[end - 1].hash == cut)
      --end;
    if (end > at || low < cut) {
      add(low, cut - 1, at, end);
      low = cut;
      at = end;
      continue;
    }
    // One with more entries than that has a bucket of its own.
    while (end < count && entries[end].hash == cut)
      ++end;
    add(low, cut, at, end);
    at = end;
    if (cut == high)
      return;
    low = cut + 1;
  }
  add(low, high, at, count);
}

/// The same, with a bucket for keys with a NULL.
void add_buckets_to_the_end(Build &build, std::uint32_t low, core::TouchEntry *entries, std::size_t count) {
  std::size_t nulls = 0;
  while (nulls < count && entries[count - nulls - 1].hash == core::kNullKey)
    ++nulls;
  add_buckets(build, low, core::kNullKey - 1, entries, count - nulls);
  std::sort(entries + count - nulls, entries + count, core::is_older);
  add_bucket(build, core::kNullKey, core::kNullKey, entries + count - nulls, nulls);
}

void sort_by_hash(core::TouchEntry *entries, std::size_t count) {
  std::sort(entries, entries + count,
            [](const core::TouchEntry &a, const core::TouchEntry &b) { return a.hash < b.hash; });
}

constexpr std::uint32_t first_of_file(int file) { return static_cast<std::uint32_t>(file) << 24; }

/// Reads up to `most` entries, and sorts them.
std::size_t read_file(Build &build, int file, std::size_t most) {
  const std::size_t count = std::min(build.in_file[file], most);
  if (count > 0)
    pg::read_exactly(build.files[file], build.entries, count * sizeof(core::TouchEntry));
  build.in_file[file] -= count;
  sort_by_hash(build.entries, count);
  return count;
}

/// Writes the buckets of what was spilled, file by file. One that does not fit into memory has a bucket to begin with,
/// and its entries are put there when the index is complete.
void add_buckets_of_files(Build &build) {
  for (int file = 0; file < kFiles; ++file) {
    if (build.in_file[file] > 0 && BufFileSeek(build.files[file], 0, 0, SEEK_SET) != 0)
      ereport(ERROR, (errcode_for_file_access(), errmsg("could not rewind a temporary file")));
    const std::size_t count = build.in_file[file] > build.most ? 0 : read_file(build, file, build.most);
    if (file < kFiles - 1)
      add_buckets(build, first_of_file(file), first_of_file(file + 1) - 1, build.entries, count);
    else
      add_buckets_to_the_end(build, first_of_file(file), build.entries, count);
  }
}

void write_rest_of_files(Build &build) {
  for (int file = 0; file < kFiles; ++file) {
    while (build.in_file[file] > 0)
      write_entries(build.index, build.entries, read_file(build, file, build.most));
    if (build.files[file] != nullptr)
      BufFileClose(build.files[file]);
  }
}

/// Writes the directory of a finished index, and the root, which is locked.
void write_directory(const Build &build, Buffer root) {
  // With room for buckets that are cut.
  const std::size_t many = core::DirectoryPage::capacity(kContents) * 3 / 4;
  const Buckets &buckets = build.buckets;
  Change root_change(build.index);
  Page root_copy = root_change.renew(root);
  const core::RootPage refs = root_page(root_copy);
  begin(refs);
  refs.header().next_stamp = build.next_stamp;
  for (std::size_t at = 0; at < buckets.count;) {
    const std::size_t end = std::min(at + many, buckets.count);
    Buffer buffer = allocate_page(build.index);
    Change change(build.index);
    Page page = change.renew(buffer);
    const core::DirectoryPage directory = directory_page(page);
    directory.begin(buckets.refs[at].first, end < buckets.count ? buckets.refs[end].first - 1 : core::kNullKey);
    memcpy(directory.refs(), buckets.refs + at, (end - at) * sizeof(core::BucketRef));
    directory.header().count = static_cast<std::uint16_t>(end - at);
    close_page(page);
    change.finish();
    if (refs.count() == refs.capacity())
      ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                      errmsg("index \"%s\" would have more buckets than a touch index can",
                             RelationGetRelationName(build.index)),
                      errhint("Raise bucket_pages, or partition the table.")));
    refs.insert(refs.count(), {directory.header().low, BufferGetBlockNumber(buffer)});
    UnlockReleaseBuffer(buffer);
    at = end;
  }
  close_page(root_copy);
  root_change.finish();
}

} // namespace

bool is_touch(Relation index) { return index->rd_indam != nullptr && index->rd_indam->ambuild == build; }

IndexBuildResult *build(Relation table, Relation index, IndexInfo *info) {
  if (RelationGetNumberOfBlocks(index) != 0)
    elog(ERROR, "index \"%s\" already contains data", RelationGetRelationName(index));
  forget_collected(RelationGetRelid(index)); // the scan sees those rows as well
  Build build{};
  build.index = index;
  build.hasher = KeyHasher::of(index);
  build.memory = AllocSetContextCreate(CurrentMemoryContext, "touch index build", ALLOCSET_DEFAULT_SIZES);
  build.next_stamp = 1;
  MemoryContext outer = MemoryContextSwitchTo(build.memory);
  build.most = std::max<std::size_t>(
      std::size_t{1024} * static_cast<std::size_t>(maintenance_work_mem) / sizeof(core::TouchEntry), 1024);
  build.room = 1024;
  build.entries = static_cast<core::TouchEntry *>(palloc(build.room * sizeof(core::TouchEntry)));
  build.buckets.room = 1024;
  build.buckets.refs = static_cast<core::BucketRef *>(palloc(build.buckets.room * sizeof(core::BucketRef)));

  MemoryContextSwitchTo(outer); // rows are evaluated in memory of the scan's own
  (void)table_index_build_scan(table, index, info, true, true, take_row, &build, nullptr);
  MemoryContextSwitchTo(build.memory);

  Buffer root = allocate_page(index);
  if (BufferGetBlockNumber(root) != kRoot)
    elog(ERROR, "the root of index \"%s\" came to be block %u", RelationGetRelationName(index),
         BufferGetBlockNumber(root));
  LockBuffer(root, BUFFER_LOCK_UNLOCK); // building takes long, and can be cancelled
  if (build.files != nullptr) {
    spill(build);
    add_buckets_of_files(build);
  } else {
    sort_by_hash(build.entries, build.count);
    add_buckets_to_the_end(build, 0, build.entries, build.count);
  }
  LockBuffer(root, BUFFER_LOCK_EXCLUSIVE);
  write_directory(build, root);
  UnlockReleaseBuffer(root);
  if (build.files != nullptr)
    write_rest_of_files(build);

  MemoryContextSwitchTo(outer);
  MemoryContextDelete(build.memory);
  auto *result = static_cast<IndexBuildResult *>(palloc(sizeof(IndexBuildResult)));
  result->heap_tuples = result->index_tuples = build.rows;
  return result;
}

void build_empty(Relation index) {
  // Two pages, as a build from no rows makes them, in the fork that a crash leaves.
  constexpr BlockNumber kDirectory = kRoot + 1;
  for (BlockNumber block = kRoot; block <= kDirectory; ++block) {
    Buffer buffer = ReadBufferExtended(index, INIT_FORKNUM, P_NEW, RBM_NORMAL, nullptr);
    LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
    START_CRIT_SECTION();
    Page page = BufferGetPage(buffer);
    PageInit(page, BLCKSZ, 0);
    if (block == kRoot) {
      begin(root_page(page));
      root_page(page).insert(0, {0, kDirectory});
    } else {
      directory_page(page).begin(0, core::kNullKey);
      directory_page(page).insert(0, {0, InvalidBlockNumber, 0});
      directory_page(page).insert(1, {core::kNullKey, InvalidBlockNumber, 0});
    }
    close_page(page);
    MarkBufferDirty(buffer);
    log_newpage_buffer(buffer, true);
    END_CRIT_SECTION();
    UnlockReleaseBuffer(buffer);
  }
}

} // namespace attribution::touch
