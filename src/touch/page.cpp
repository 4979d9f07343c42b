#include "touch/page.hpp"

#include "pg/compat.hpp"

namespace attribution::touch {

Buffer allocate_page(Relation index) {
  for (;;) {
    const BlockNumber block = GetFreeIndexPage(index);
    if (block == InvalidBlockNumber)
      return pg::extend(index);
    Buffer buffer = ReadBuffer(index, block);
    // The map of free pages is a hint. Who holds the lock may be making use of the page.
    if (ConditionalLockBuffer(buffer)) {
      if (kind_of(BufferGetPage(buffer)) == core::PageKind::free)
        return buffer;
      LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
    }
    ReleaseBuffer(buffer);
  }
}

void give_back(Relation index, Buffer buffer) {
  const BlockNumber block = BufferGetBlockNumber(buffer);
  UnlockReleaseBuffer(buffer);
  RecordFreeIndexPage(index, block);
}

void raise_corrupted(Relation index, BlockNumber block, const char *what) {
  ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                  errmsg("index \"%s\" is corrupted: block %u %s", RelationGetRelationName(index), block, what),
                  errhint("REINDEX INDEX makes it anew.")));
  pg_unreachable();
}

void check_root(Relation index, Page page) {
  if (kind_of(page) != core::PageKind::root || root_page(page).header().magic != core::kMagic)
    raise_corrupted(index, kRoot, "is not the root of a touch index");
  if (root_page(page).header().version != core::kFormatVersion)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("index \"%s\" is in format %u, which this version of attribution does not read",
                           RelationGetRelationName(index), root_page(page).header().version),
                    errdetail("It reads format %u.", core::kFormatVersion), errhint("REINDEX INDEX makes it anew.")));
}

void close_page(Page page) {
  constexpr std::size_t kBegin = MAXALIGN(SizeOfPageHeaderData);
  std::size_t lower = kContents;
  std::size_t upper = kContents;
  switch (kind_of(page)) {
  case core::PageKind::root:
    lower = root_page(page).lower();
    break;
  case core::PageKind::directory:
    lower = directory_page(page).lower();
    break;
  case core::PageKind::bucket:
    lower = bucket_page(page).lower();
    upper = bucket_page(page).upper();
    break;
  case core::PageKind::free:
    lower = sizeof(core::PageKind);
    break;
  }
  PageHeader header = reinterpret_cast<PageHeader>(page);
  header->pd_lower = static_cast<LocationIndex>(kBegin + lower);
  header->pd_upper = static_cast<LocationIndex>(kBegin + upper);
}

void free_pages(Relation index, Buffer *buffers, int count) {
  Change change(index);
  for (int i = 0; i < count; ++i) {
    Page page = change.renew(buffers[i]);
    *reinterpret_cast<core::PageKind *>(contents(page)) = core::PageKind::free;
    close_page(page);
  }
  change.finish();
  for (int i = 0; i < count; ++i)
    give_back(index, buffers[i]);
}

} // namespace attribution::touch
