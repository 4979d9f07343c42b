// The databases that have a worker, or need one: a table in shared memory, through which the backends that commit work,
// the launcher and the workers know of each other. Without shared_preload_libraries there is none, and all of this does
// nothing.
#pragma once

#include "core/time.hpp"
#include "pg/process.hpp"

#include <optional>

namespace attribution::entry {

/// So many databases of a cluster can have a worker. A line of the table takes about 300 bytes.
constexpr int kMostWorkers = 256;

enum class WorkerState : char { none, waiting, starting, idle, running };
const char *name_of(WorkerState state) noexcept;

/// A line of the table.
struct Worker {
  Oid database; ///< InvalidOid: the line is free
  WorkerState state;
  bool wanted;             ///< work was committed that it has not looked for yet
  int pid;                 ///< 0: no process
  Latch *latch;            ///< its process's
  core::Micros earliest;   ///< when the first of that work is due
  core::Micros since;      ///< the state changed last
  core::Micros not_before; ///< no process is started earlier
  int failures;            ///< of its processes, one after the other
  char message[128];       ///< why there is no process; empty if all is well
};

/// From _PG_init, under shared_preload_libraries.
void request_shared_table();

// Backends.

/// Says that work in a database is due at `due`, and wakes whoever does it. For after the commit.
void wake_worker(Oid database, core::Micros due) noexcept;
/// Ends the worker of a database, if it has one, and keeps the launcher from starting another for ten seconds: so a
/// statement that must be alone in the database, or have the extension for itself, need not wait. For a hook: it
/// raises an ERROR as C does, if it is cancelled.
void hold_worker(Oid database);
/// Lets it start again.
void release_worker(Oid database) noexcept;
/// A copy of the table's lines that are in use.
std::vector<Worker> all_workers();

// The launcher.

/// Makes this process the launcher, whom the others wake.
void become_launcher();
/// Notes that a database may need a worker. False: the table is full.
bool want_worker(Oid database);
/// Whether a database has found the table full since the last call.
bool lines_were_short();
/// Frees the lines of databases that are no more.
void forget_workers_but_of(const std::vector<Oid> &databases);
/// Chooses a line for which a process is to be started now, and notes that it is starting. Otherwise `next` becomes the
/// time at which to ask again, unless it is earlier.
std::optional<int> next_to_start(core::Micros now, core::Micros &next);
Oid database_of(int line);
/// Notes that it could not be started.
void could_not_start(int line, const char *why, core::Micros not_before);

// A worker.

/// Makes this process the worker of a line until it ends. False: it is not wanted any more.
bool become_worker(int line, Oid database);
/// Whether this process is one.
bool is_worker() noexcept;
/// When the work that was committed since the last call is due first; nothing: none was.
std::optional<core::Micros> take_work(int line);
/// Whether there would be something to take.
bool has_work(int line);
/// waiting: it puts itself off, until the launcher starts it again.
void set_state(int line, WorkerState state);
/// Notes that the database needs no worker, unless there is new work: then false.
bool leave(int line);

} // namespace attribution::entry
