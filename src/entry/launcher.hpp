// The launcher: starts a worker for each database that has work. And the function that PostgreSQL starts it by.
#pragma once

namespace attribution::entry {

/// Has the postmaster start the launcher, once recovery is over: from _PG_init, under shared_preload_libraries.
void register_launcher();

} // namespace attribution::entry
