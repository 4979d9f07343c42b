#include "pg/shared_memory.hpp"

#include <utility>

namespace attribution::pg {

namespace {

constexpr std::size_t kMost = 4;
SharedPiece pieces[kMost];
std::size_t count = 0;
shmem_request_hook_type next_request_hook = nullptr;
shmem_startup_hook_type next_startup_hook = nullptr;

void reserve() {
  if (next_request_hook != nullptr)
    next_request_hook();
  for (const SharedPiece &piece : std::span(pieces, count)) {
    RequestAddinShmemSpace(MAXALIGN(piece.size));
    if (piece.lock != nullptr)
      RequestNamedLWLockTranche(piece.lock, 1);
  }
}

void make() {
  if (next_startup_hook != nullptr)
    next_startup_hook();
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  for (const SharedPiece &piece : std::span(pieces, count)) {
    bool found = false;
    void *memory = ShmemInitStruct(piece.name, piece.size, &found);
    if (!found)
      memset(memory, 0, piece.size);
    piece.made(memory, piece.lock == nullptr ? nullptr : &GetNamedLWLockTranche(piece.lock)->lock);
  }
  LWLockRelease(AddinShmemInitLock);
}

} // namespace

void request_shared_piece(const SharedPiece &piece) {
  if (count == 0) {
    next_request_hook = std::exchange(shmem_request_hook, reserve);
    next_startup_hook = std::exchange(shmem_startup_hook, make);
  }
  Assert(count < kMost);
  pieces[count++] = piece;
}

} // namespace attribution::pg
