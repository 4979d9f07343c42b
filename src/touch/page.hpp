// The pages of a touch index in PostgreSQL's buffers.
//
// All of src/touch is called by PostgreSQL and calls it: an ERROR passes straight through, so nothing here has a
// destructor that matters, and nothing throws. Memory is palloc'ed; locks and pins are let go of by the abort.
#pragma once

#include "core/touch_page.hpp"
#include "pg/prelude.hpp"

namespace attribution::touch {

inline constexpr BlockNumber kRoot = 0;
static_assert(core::kNoBlock == InvalidBlockNumber);

inline constexpr std::size_t kContents = BLCKSZ - MAXALIGN(SizeOfPageHeaderData);
inline std::byte *contents(Page page) { return reinterpret_cast<std::byte *>(PageGetContents(page)); }
inline core::BucketPage bucket_page(Page page) { return {contents(page), kContents}; }
inline core::BucketPageWriter bucket_writer(Page page) { return {contents(page), kContents}; }
inline core::DirectoryPage directory_page(Page page) { return {contents(page), kContents}; }
inline core::RootPage root_page(Page page) { return {contents(page), kContents}; }

/// What a page is; one that was never written is free.
inline core::PageKind kind_of(Page page) {
  return PageIsNew(page) ? core::PageKind::free : *reinterpret_cast<const core::PageKind *>(contents(page));
}

/// A page of the main fork, pinned and locked.
inline Buffer read_page(Relation index, BlockNumber block, int mode, BufferAccessStrategy strategy = nullptr) {
  Buffer buffer = ReadBufferExtended(index, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
  LockBuffer(buffer, mode);
  return buffer;
}

/// A page to write to, locked, of which nothing need be kept: a free one, or a new one at the end.
Buffer allocate_page(Relation index);

/// Gives back what allocate_page() gave, unused.
void give_back(Relation index, Buffer buffer);

/// Raises an error about a page that can't be what it ought to be.
[[noreturn]] void raise_corrupted(Relation index, BlockNumber block, const char *what);

/// Raises an error unless a page is the root of a touch index in a format that this code knows.
void check_root(Relation index, Page page);

/// Changes of up to four pages that become durable together, or not at all. The buffers are locked exclusively, and
/// stay so.
class Change {
public:
  explicit Change(Relation index) : state_(GenericXLogStart(index)) {}
  /// What is to be changed of a page: a copy.
  Page edit(Buffer buffer) { return GenericXLogRegisterBuffer(state_, buffer, 0); }
  /// A page that begins empty, whatever was there.
  Page renew(Buffer buffer) {
    Page page = GenericXLogRegisterBuffer(state_, buffer, GENERIC_XLOG_FULL_IMAGE);
    PageInit(page, BLCKSZ, 0);
    return page;
  }
  void finish() { GenericXLogFinish(state_); }

private:
  GenericXLogState *state_;
};

/// Says which bytes of an edited page are in use: the others are neither logged nor kept. Last, before
/// Change::finish().
void close_page(Page page);

/// Makes pages free, up to four at a time; they are locked exclusively, and are unlocked and unpinned.
void free_pages(Relation index, Buffer *buffers, int count);

} // namespace attribution::touch
