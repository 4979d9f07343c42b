// What a background process needs: signals, settings, sleep, and a place in pg_stat_activity.
#pragma once

#include "pg/transaction.hpp"

namespace attribution::pg {

/// Signals as background processes take them: SIGTERM ends the process at the next interrupt, SIGHUP has it reload.
void take_signals();
/// What the server's configuration may say for its clients must not change what a process does. It waits for a lock for
/// two seconds at most.
void pin_settings();
/// Reads the configuration files again if they have changed.
void reload_configuration();

/// Sleeps until the latch is set, `until` has come, or the postmaster is dead (which ends the process).
void sleep_until(TimestampTz until, std::uint32_t wait_event);

/// The databases that one can connect to, but for templates. In a process that is connected to none, too.
std::vector<Oid> connectable_databases();

/// What pg_stat_activity shows: what is being done, or nothing.
void report_activity(const char *what);

} // namespace attribution::pg
