// Pieces of the server's shared memory, which are there as long as it runs.
#pragma once

#include "pg/prelude.hpp"

namespace attribution::pg {

/// A piece that is asked for: from _PG_init, under shared_preload_libraries.
struct SharedPiece {
  const char *name;
  std::size_t size;
  const char *lock; ///< the tranche of an LWLock that comes with it; null: none does
  /// Called in the postmaster whenever the server starts, also anew after a crash; the piece is filled with zeros then.
  void (*made)(void *memory, LWLock *lock);
};

void request_shared_piece(const SharedPiece &piece);

} // namespace attribution::pg
