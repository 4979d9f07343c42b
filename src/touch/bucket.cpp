#include "touch/bucket.hpp"

#include "touch/options.hpp"

namespace attribution::touch {

namespace {

/// The directory page that is about a hash, locked.
Buffer read_directory(Relation index, std::uint32_t hash, int mode) {
  for (;;) {
    CHECK_FOR_INTERRUPTS();
    Buffer root = read_page(index, kRoot, BUFFER_LOCK_SHARE);
    check_root(index, BufferGetPage(root));
    const core::RootPage page = root_page(BufferGetPage(root));
    const BlockNumber block = page.refs()[page.find(hash)].block;
    UnlockReleaseBuffer(root);
    Buffer buffer = read_page(index, block, mode);
    if (kind_of(BufferGetPage(buffer)) != core::PageKind::directory)
      raise_corrupted(index, block, "is no page of the directory");
    // One that was cut in two meanwhile may be about other hashes now.
    if (directory_page(BufferGetPage(buffer)).covers(hash))
      return buffer;
    UnlockReleaseBuffer(buffer);
  }
}

/// The directory page with the reference to a chain that is locked, and the reference's place there.
Buffer lock_ref(Relation index, const core::BucketRef &ref, std::size_t *at) {
  Buffer buffer = read_directory(index, ref.first, BUFFER_LOCK_EXCLUSIVE);
  const core::DirectoryPage page = directory_page(BufferGetPage(buffer));
  *at = page.find(ref.first);
  const core::BucketRef &found = page.refs()[*at];
  if (found.first != ref.first || found.head != ref.head || found.stamp != ref.stamp)
    raise_corrupted(index, BufferGetBlockNumber(buffer), "does not have the bucket that it ought to");
  return buffer;
}

Place place_on(const core::DirectoryPage &page, std::uint32_t hash) {
  const std::size_t at = page.find(hash);
  return {page.refs()[at], page.last(at)};
}

core::BucketRef ref_of(Buffer head) {
  const core::BucketHeader &header = bucket_page(BufferGetPage(head)).header();
  return {header.low, BufferGetBlockNumber(head), header.stamp};
}

/// Begins the chain of a bucket without entries. Returns how many it took; none if another was faster.
std::size_t begin_chain(Relation index, const Place &place, const core::TouchEntry *entries, std::size_t count) {
  Buffer buffer = allocate_page(index);
  Buffer directory = read_directory(index, place.ref.first, BUFFER_LOCK_EXCLUSIVE);
  const core::DirectoryPage refs = directory_page(BufferGetPage(directory));
  const std::size_t at = refs.find(place.ref.first);
  std::size_t written = 0;
  if (refs.refs()[at].first == place.ref.first && refs.last(at) == place.last &&
      refs.refs()[at].head == InvalidBlockNumber) {
    // Under the directory's lock: VACUUM goes by the stamps that were there before it read the directory.
    const std::uint32_t stamp = next_stamp(index);
    Change change(index);
    Page page = change.renew(buffer);
    core::BucketPageWriter bucket = bucket_writer(page);
    bucket.begin(place.ref.first, place.last, stamp);
    written = bucket.append({entries, count});
    close_page(page);
    directory_page(change.edit(directory)).refs()[at] = {place.ref.first, BufferGetBlockNumber(buffer), stamp};
    change.finish();
    UnlockReleaseBuffer(buffer);
  } else
    give_back(index, buffer);
  UnlockReleaseBuffer(directory);
  return written;
}

/// Adds entries to a head with room.
std::size_t append(Relation index, Buffer head, const core::TouchEntry *entries, std::size_t count) {
  Change change(index);
  Page page = change.edit(head);
  const std::size_t written = bucket_writer(page).append({entries, count});
  close_page(page);
  change.finish();
  return written;
}

/// Puts a new head in front of one that is full.
std::size_t add_page(Relation index, Buffer head, const core::TouchEntry *entries, std::size_t count) {
  Buffer buffer = allocate_page(index);
  std::size_t at = 0;
  Buffer directory = lock_ref(index, ref_of(head), &at);
  Change change(index);
  Page older = change.edit(head);
  core::BucketHeader &header = bucket_writer(older).header();
  header.flags &= static_cast<std::uint16_t>(~core::kIsHead);
  Page page = change.renew(buffer);
  core::BucketPageWriter bucket = bucket_writer(page);
  bucket.begin(header.low, header.high, header.stamp);
  bucket.put_before(BufferGetBlockNumber(head), header);
  const std::size_t written = bucket.append({entries, count});
  close_page(page);
  directory_page(change.edit(directory)).refs()[at].head = BufferGetBlockNumber(buffer);
  change.finish();
  UnlockReleaseBuffer(directory);
  UnlockReleaseBuffer(buffer);
  return written;
}

/// Cuts a directory page that is full in two. Returns false if the root is full as well: an index of about a billion
/// entries; its chains grow longer from there on.
bool cut_directory(Relation index, Buffer directory) {
  Buffer buffer = allocate_page(index);
  Buffer root = read_page(index, kRoot, BUFFER_LOCK_EXCLUSIVE);
  const core::RootPage old_refs = root_page(BufferGetPage(root));
  if (old_refs.count() == old_refs.capacity()) {
    UnlockReleaseBuffer(root);
    give_back(index, buffer);
    return false;
  }
  Change change(index);
  Page upper = change.renew(buffer);
  Page lower = change.edit(directory);
  directory_page(lower).split(directory_page(upper));
  close_page(lower);
  close_page(upper);
  Page page = change.edit(root);
  const core::RootPage refs = root_page(page);
  const std::uint32_t first = directory_page(upper).header().low;
  refs.insert(refs.find(first) + 1, {first, BufferGetBlockNumber(buffer)});
  close_page(page);
  change.finish();
  UnlockReleaseBuffer(root);
  UnlockReleaseBuffer(buffer);
  return true;
}

/// Locks the reference of a chain in a directory page that has room for another one, which it gets if need be; none if
/// it can't.
Buffer lock_ref_with_room(Relation index, const core::BucketRef &ref, std::size_t *at) {
  for (;;) {
    Buffer directory = lock_ref(index, ref, at);
    const core::DirectoryPage page = directory_page(BufferGetPage(directory));
    if (page.count() < page.capacity())
      return directory;
    const bool is_cut = cut_directory(index, directory);
    UnlockReleaseBuffer(directory);
    if (!is_cut)
      return InvalidBuffer;
  }
}

/// To be asked before anything is written that needs it.
bool has_room(Relation index, const core::BucketRef &ref) {
  std::size_t at = 0;
  Buffer directory = lock_ref_with_room(index, ref, &at);
  if (directory == InvalidBuffer)
    return false;
  UnlockReleaseBuffer(directory);
  return true;
}

void free_chain(Relation index, Buffer head, const Chain &chain) {
  Buffer buffers[MAX_GENERIC_XLOG_PAGES] = {head};
  int count = 1;
  BlockNumber first = BufferGetBlockNumber(head);
  BlockNumber last = first;
  for (std::size_t i = 0; i < chain.pages; ++i) {
    if (count == MAX_GENERIC_XLOG_PAGES) {
      free_pages(index, buffers, count);
      count = 0;
    }
    buffers[count++] = read_page(index, chain.blocks[i], BUFFER_LOCK_EXCLUSIVE);
    first = std::min(first, chain.blocks[i]);
    last = std::max(last, chain.blocks[i]);
  }
  free_pages(index, buffers, count);
  FreeSpaceMapVacuumRange(index, first, last + 1); // or nobody finds them before the next VACUUM
}

/// Cuts the bucket of a head, which is locked and will be free. Returns false, and changes nothing, if it can't be.
bool cut(Relation index, Buffer head) {
  const core::BucketRef ref = ref_of(head);
  const std::uint32_t last = bucket_page(BufferGetPage(head)).header().high;
  if (!has_room(index, ref))
    return false;
  Chain chain = read_chain(index, head);
  MemoryContext outer = MemoryContextSwitchTo(chain.memory);
  auto *hashes = static_cast<std::uint32_t *>(palloc(chain.count * sizeof(std::uint32_t)));
  for (std::size_t i = 0; i < chain.count; ++i)
    hashes[i] = chain.entries[i].hash;
  std::sort(hashes, hashes + chain.count);
  const std::uint32_t middle = core::choose_cut({hashes, chain.count}, ref.first, last);
  bool is_cut = false;
  if (middle != 0) {
    core::TouchEntry *end = chain.entries + chain.count;
    core::TouchEntry *upper =
        std::partition(chain.entries, end, [middle](const core::TouchEntry &e) { return e.hash < middle; });
    std::sort(chain.entries, upper, core::is_older);
    std::sort(upper, end, core::is_older);
    const std::uint32_t stamps[] = {next_stamp(index), next_stamp(index)};
    const BlockNumber heads[] = {
        write_chain(index, ref.first, middle - 1, stamps[0], chain.entries,
                    static_cast<std::size_t>(upper - chain.entries)),
        write_chain(index, middle, last, stamps[1], upper, static_cast<std::size_t>(end - upper))};
    std::size_t at = 0;
    Buffer directory = lock_ref_with_room(index, ref, &at);
    is_cut = directory != InvalidBuffer;
    if (is_cut) {
      Change change(index);
      Page page = change.edit(directory);
      const core::DirectoryPage refs = directory_page(page);
      refs.refs()[at] = {ref.first, heads[0], stamps[0]};
      refs.insert(at + 1, {middle, heads[1], stamps[1]});
      close_page(page);
      change.finish();
      UnlockReleaseBuffer(directory);
      free_chain(index, head, chain);
    }
    // Else others have taken the room meanwhile: the new chains stay, unknown to all, until VACUUM comes across them.
  }
  MemoryContextSwitchTo(outer);
  MemoryContextDelete(chain.memory);
  return is_cut;
}

/// Adds entries of one bucket: as many as go into a page. Returns how many; 0 if the bucket is to be looked for anew.
std::size_t write_some(Relation index, const Place &place, const core::TouchEntry *entries, std::size_t count) {
  if (place.ref.head == InvalidBlockNumber)
    return begin_chain(index, place, entries, count);
  Buffer head = lock_head(index, place);
  if (head == InvalidBuffer)
    return 0;
  const core::BucketPage page = bucket_page(BufferGetPage(head));
  std::size_t written = 0;
  if (page.room() > 0)
    written = append(index, head, entries, count);
  else if (page.header().depth >= bucket_pages(index) && page.header().low < page.header().high && cut(index, head))
    return 0;
  else
    written = add_page(index, head, entries, count);
  UnlockReleaseBuffer(head);
  return written;
}

} // namespace

Place locate(Relation index, std::uint32_t hash) {
  Buffer buffer = read_directory(index, hash, BUFFER_LOCK_SHARE);
  const Place place = place_on(directory_page(BufferGetPage(buffer)), hash);
  UnlockReleaseBuffer(buffer);
  return place;
}

Place Locator::operator()(std::uint32_t hash) {
  const core::DirectoryPage copy(copy_, sizeof copy_);
  if (!known_ || !copy.covers(hash)) {
    Buffer buffer = read_directory(index_, hash, BUFFER_LOCK_SHARE);
    Page page = BufferGetPage(buffer);
    memcpy(copy_, contents(page), directory_page(page).lower());
    UnlockReleaseBuffer(buffer);
    known_ = true;
  }
  return place_on(copy, hash);
}

void write_entries(Relation index, const core::TouchEntry *entries, std::size_t count) {
  // So many buckets ahead their heads are fetched.
  constexpr std::size_t kAhead = 16;
  struct Stop {
    Place place;
    std::size_t end; ///< of the entries that go there
  };
  Stop stops[kAhead];
  std::size_t planned = 0, done = 0;  // stops
  std::size_t known = 0, written = 0; // entries
  Locator locate(index);
  while (written < count) {
    CHECK_FOR_INTERRUPTS();
    for (; planned - done < kAhead && known < count; ++planned) {
      const Place place = locate(entries[known].hash);
      while (known < count && entries[known].hash <= place.last)
        ++known;
      stops[planned % kAhead] = {place, known};
      fetch_page(index, place.ref.head);
    }
    const Stop &stop = stops[done % kAhead];
    written += write_some(index, stop.place, entries + written, stop.end - written);
    if (written == stop.end)
      ++done;
    else { // it has another head or another range by now
      locate.forget();
      known = written;
      planned = done;
    }
  }
}

Buffer lock_head(Relation index, const Place &place) {
  Buffer buffer = read_recent(index, place.ref.head);
  LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
  Page page = BufferGetPage(buffer);
  if (kind_of(page) == core::PageKind::bucket) {
    const core::BucketHeader &header = bucket_page(page).header();
    if (header.stamp == place.ref.stamp && (header.flags & core::kIsHead) != 0)
      return buffer;
  }
  UnlockReleaseBuffer(buffer);
  return InvalidBuffer;
}

std::uint32_t next_stamp(Relation index) {
  Buffer root = read_page(index, kRoot, BUFFER_LOCK_EXCLUSIVE);
  Change change(index);
  const std::uint32_t stamp = root_page(change.edit(root)).header().next_stamp++;
  change.finish();
  UnlockReleaseBuffer(root);
  return stamp;
}

BlockNumber write_chain(Relation index, std::uint32_t low, std::uint32_t high, std::uint32_t stamp,
                        core::TouchEntry *entries, std::size_t count) {
  BlockNumber head = InvalidBlockNumber;
  core::BucketHeader older{};
  for (std::size_t at = 0; at < count;) {
    Buffer buffer = allocate_page(index);
    Change change(index);
    Page page = change.renew(buffer);
    core::BucketPageWriter bucket = bucket_writer(page);
    bucket.begin(low, high, stamp);
    if (head != InvalidBlockNumber)
      bucket.put_before(head, older);
    at += bucket.fill({entries + at, count - at});
    if (at < count)
      bucket.header().flags &= static_cast<std::uint16_t>(~core::kIsHead);
    older = bucket.header();
    close_page(page);
    change.finish();
    head = BufferGetBlockNumber(buffer);
    UnlockReleaseBuffer(buffer);
  }
  return head;
}

Chain read_chain(Relation index, Buffer head) {
  Chain chain{};
  chain.memory = AllocSetContextCreate(CurrentMemoryContext, "touch index bucket", ALLOCSET_DEFAULT_SIZES);
  const core::BucketPage first = bucket_page(BufferGetPage(head));
  // A chain whose depth is beyond what the header can say is one of a single key, which is never read as a whole.
  const std::size_t pages = first.header().depth;
  chain.entries = static_cast<core::TouchEntry *>(
      MemoryContextAllocHuge(chain.memory, pages * core::BucketPage::capacity(kContents) * sizeof(core::TouchEntry)));
  chain.blocks = static_cast<BlockNumber *>(MemoryContextAlloc(chain.memory, pages * sizeof(BlockNumber)));
  const auto take = [&chain](const core::BucketPage &page) {
    for (std::size_t i = 0; i < page.count(); ++i)
      chain.entries[chain.count++] = page.entry(i);
  };
  take(first);
  for (BlockNumber block = first.header().older; block != InvalidBlockNumber;) {
    if (chain.pages + 1 == pages)
      raise_corrupted(index, BufferGetBlockNumber(head), "heads a chain that is longer than it says");
    Buffer buffer = read_page(index, block, BUFFER_LOCK_SHARE);
    if (kind_of(BufferGetPage(buffer)) != core::PageKind::bucket)
      raise_corrupted(index, block, "is no page of a bucket");
    const core::BucketPage page = bucket_page(BufferGetPage(buffer));
    take(page);
    chain.blocks[chain.pages++] = block;
    block = page.header().older;
    UnlockReleaseBuffer(buffer);
  }
  return chain;
}

void rewrite(Relation index, Buffer head, const Chain &chain) {
  const core::BucketRef ref = ref_of(head);
  const std::uint32_t last = bucket_page(BufferGetPage(head)).header().high;
  std::sort(chain.entries, chain.entries + chain.count, core::is_older);
  const std::uint32_t stamp = next_stamp(index);
  const BlockNumber anew = write_chain(index, ref.first, last, stamp, chain.entries, chain.count);
  std::size_t at = 0;
  Buffer directory = lock_ref(index, ref, &at);
  Change change(index);
  directory_page(change.edit(directory)).refs()[at] = {ref.first, anew, stamp};
  change.finish();
  UnlockReleaseBuffer(directory);
  free_chain(index, head, chain);
}

} // namespace attribution::touch
