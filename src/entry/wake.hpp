// How a commit reaches the worker, and how the worker keeps out of the way of statements that need the database, or the
// extension, for themselves.
#pragma once

#include "core/time.hpp"

namespace attribution::entry {

/// Notes that this transaction brings something that is due at `due`: when it commits, the worker is waked.
void announce(core::Micros due) noexcept;

/// Hooks into commits and utility statements: from _PG_init, under shared_preload_libraries.
void watch_transactions();

} // namespace attribution::entry
