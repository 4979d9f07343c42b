#include "entry/workers.hpp"

#include "pg/resultset.hpp"
#include "pg/shared_memory.hpp"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_workers);
}

namespace attribution::entry {

namespace {

constexpr core::Micros kSecond = 1'000'000;
constexpr core::Micros kHold = 10 * kSecond;
constexpr core::Micros kLongestDelay = 60 * kSecond;
/// A process that has not come up by then never will.
constexpr core::Micros kStart = 30 * kSecond;

struct Table {
  LWLock *lock;
  int launcher; ///< pid; 0: none
  Latch *launcher_latch;
  bool overflowed; ///< a database found no line
  Worker workers[kMostWorkers];
};

Table *table = nullptr;
bool worker_here = false; ///< this process is a worker

/// Holds the table's lock for a scope. No ERROR may be raised meanwhile: nothing here allocates or calls what might.
class Locked {
public:
  explicit Locked(LWLockMode mode = LW_EXCLUSIVE) noexcept { LWLockAcquire(table->lock, mode); }
  ~Locked() { LWLockRelease(table->lock); }
  Locked(const Locked &) = delete;
  Locked &operator=(const Locked &) = delete;
};

Worker *find(Oid database) noexcept {
  for (Worker &worker : table->workers)
    if (worker.database == database)
      return &worker;
  return nullptr;
}

void change(Worker &worker, WorkerState state) noexcept {
  worker.state = state;
  worker.since = GetCurrentTimestamp();
}

Worker *find_or_take(Oid database) noexcept {
  if (Worker *worker = find(database))
    return worker;
  Worker *worker = find(InvalidOid);
  if (worker == nullptr) {
    table->overflowed = true; // the launcher looks at all databases again when lines have become free
    return nullptr;
  }
  memset(static_cast<void *>(worker), 0, sizeof(Worker));
  worker->database = database;
  worker->earliest = core::kInfinity;
  change(*worker, WorkerState::waiting);
  return worker;
}

void wake_launcher() noexcept {
  if (table->launcher_latch != nullptr)
    SetLatch(table->launcher_latch);
}

void want(Worker &worker, core::Micros due) noexcept {
  worker.wanted = true;
  worker.earliest = std::min(worker.earliest, due);
}

void note(Worker &worker, const char *why, core::Micros not_before) noexcept {
  change(worker, WorkerState::waiting);
  worker.not_before = std::max(worker.not_before, not_before);
  strlcpy(worker.message, why, sizeof worker.message);
}

/// A process that ended: another is started after a delay that doubles each time.
void failed(Worker &worker, const char *why) noexcept {
  const int doublings = std::min(worker.failures++, 6);
  note(worker, why, GetCurrentTimestamp() + std::min(kSecond << doublings, kLongestDelay));
  worker.wanted = true;
}

void launcher_ends(int, Datum) {
  const Locked lock;
  if (table->launcher == MyProcPid) {
    table->launcher = 0;
    table->launcher_latch = nullptr;
  }
}

void worker_ends(int code, Datum line) {
  const Locked lock;
  Worker &worker = table->workers[DatumGetInt32(line)];
  if (worker.pid != MyProcPid)
    return;
  worker.pid = 0;
  worker.latch = nullptr;
  if (worker.state == WorkerState::none && !worker.wanted)
    worker.database = InvalidOid;
  else if (worker.state == WorkerState::none)
    note(worker, "", 0); // work has come since it left
  else if (worker.state == WorkerState::waiting) {
    note(worker, "attribution.worker is off", 0);
    worker.wanted = true;
  } else if (worker.not_before > GetCurrentTimestamp()) {
    note(worker, "makes room for a statement that needs the database or the extension for itself", 0);
    worker.wanted = true;
  } else
    failed(worker, code == 0 ? "was stopped" : "ended with an error, which is in the server's log");
  wake_launcher();
}

} // namespace

const char *name_of(WorkerState state) noexcept {
  switch (state) {
  case WorkerState::waiting:
    return "waiting";
  case WorkerState::starting:
    return "starting";
  case WorkerState::idle:
    return "idle";
  case WorkerState::running:
    return "running";
  case WorkerState::none:
    break;
  }
  return "";
}

void request_shared_table() {
  pg::request_shared_piece({"attribution workers", sizeof(Table), "attribution", [](void *memory, LWLock *lock) {
                              table = static_cast<Table *>(memory);
                              table->lock = lock;
                            }});
}

void wake_worker(Oid database, core::Micros due) noexcept {
  if (table == nullptr)
    return;
  const Locked lock;
  Worker *worker = find_or_take(database);
  if (worker != nullptr)
    want(*worker, due);
  if (worker != nullptr && worker->latch != nullptr)
    SetLatch(worker->latch);
  else
    wake_launcher();
}

void hold_worker(Oid database) {
  if (table == nullptr)
    return;
  constexpr int kPatience = 100; // of 10 ms each
  for (int tries = 0; tries < kPatience; ++tries) {
    {
      const Locked lock;
      Worker *worker = find(database);
      if (worker == nullptr)
        return;
      worker->not_before = GetCurrentTimestamp() + kHold;
      if (worker->pid == 0 && worker->state != WorkerState::starting)
        return;
      if (worker->pid != 0)
        kill(worker->pid, SIGTERM);
    }
    // Called from a hook, not from C++: an ERROR must stay one. No C++ object is alive here.
    (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  }
}

void release_worker(Oid database) noexcept {
  if (table == nullptr)
    return;
  const Locked lock;
  if (Worker *worker = find(database)) {
    worker->not_before = 0;
    wake_launcher();
  }
}

std::vector<Worker> all_workers() {
  std::vector<Worker> workers;
  if (table == nullptr)
    return workers;
  workers.reserve(kMostWorkers); // not under the lock
  const Locked lock(LW_SHARED);
  for (const Worker &worker : table->workers)
    if (OidIsValid(worker.database))
      workers.push_back(worker);
  return workers;
}

void become_launcher() {
  {
    const Locked lock;
    table->launcher = MyProcPid;
    table->launcher_latch = MyLatch;
  }
  on_shmem_exit(launcher_ends, 0);
}

bool want_worker(Oid database) {
  const Locked lock;
  Worker *worker = find_or_take(database);
  if (worker != nullptr)
    want(*worker, core::kMinusInfinity);
  return worker != nullptr;
}

void forget_workers_but_of(const std::vector<Oid> &databases) {
  const Locked lock;
  for (Worker &worker : table->workers)
    if (worker.pid == 0 && worker.state == WorkerState::waiting &&
        std::find(databases.begin(), databases.end(), worker.database) == databases.end())
      worker.database = InvalidOid;
}

std::optional<int> next_to_start(core::Micros now, core::Micros &next) {
  const Locked lock;
  for (Worker &worker : table->workers)
    if (worker.state == WorkerState::starting && worker.pid == 0) {
      if (worker.since + kStart >
          now) { // one at a time, so that looking at many databases takes no more than one process
        next = std::min(next, worker.since + kStart);
        return std::nullopt;
      }
      failed(worker, "did not start");
    }
  for (int line = 0; line < kMostWorkers; ++line) {
    Worker &worker = table->workers[line];
    if (!OidIsValid(worker.database) || worker.pid != 0 || !worker.wanted)
      continue;
    if (worker.not_before > now) {
      next = std::min(next, worker.not_before);
      continue;
    }
    change(worker, WorkerState::starting);
    return line;
  }
  return std::nullopt;
}

Oid database_of(int line) {
  const Locked lock(LW_SHARED);
  return table->workers[line].database;
}

void could_not_start(int line, const char *why, core::Micros not_before) {
  const Locked lock;
  note(table->workers[line], why, not_before);
}

bool become_worker(int line, Oid database) {
  {
    const Locked lock;
    Worker &worker = table->workers[line];
    if (worker.database != database || worker.pid != 0 || worker.state != WorkerState::starting)
      return false;
    wake_launcher(); // the next may start
    if (worker.not_before > GetCurrentTimestamp()) {
      change(worker, WorkerState::waiting);
      return false;
    }
    worker.pid = MyProcPid;
    worker.latch = MyLatch;
    worker.message[0] = '\0';
    change(worker, WorkerState::running);
  }
  // Registered before the process connects to its database, so that it runs when the process has left it: who waits for
  // the end in order to drop the database need not wait any longer.
  on_shmem_exit(worker_ends, Int32GetDatum(line));
  worker_here = true;
  return true;
}

bool is_worker() noexcept { return worker_here; }

std::optional<core::Micros> take_work(int line) {
  const Locked lock;
  Worker &worker = table->workers[line];
  if (!worker.wanted)
    return std::nullopt;
  worker.wanted = false;
  return std::exchange(worker.earliest, core::kInfinity);
}

bool has_work(int line) {
  const Locked lock(LW_SHARED);
  return table->workers[line].wanted;
}

bool lines_were_short() {
  const Locked lock;
  return std::exchange(table->overflowed, false);
}

void set_state(int line, WorkerState state) {
  const Locked lock;
  Worker &worker = table->workers[line];
  if (worker.state != state)
    change(worker, state);
  if (state == WorkerState::idle)
    worker.failures = 0;
}

bool leave(int line) {
  const Locked lock;
  Worker &worker = table->workers[line];
  if (worker.wanted)
    return false;
  change(worker, WorkerState::none);
  return true;
}

} // namespace attribution::entry

// _workers()
Datum attribution_workers(PG_FUNCTION_ARGS) {
  using namespace attribution;
  return pg::boundary([&] {
    enum Column { kDatabase, kPid, kState, kSince, kFailures, kNextStart, kMessage };
    pg::ResultSet result(fcinfo, {OIDOID, INT4OID, TEXTOID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, TEXTOID});
    for (const entry::Worker &worker : entry::all_workers()) {
      result.set(kDatabase, ObjectIdGetDatum(worker.database));
      if (worker.pid != 0)
        result.set(kPid, Int32GetDatum(worker.pid));
      result.set_text(kState, entry::name_of(worker.state));
      result.set(kSince, TimestampTzGetDatum(worker.since));
      result.set(kFailures, Int32GetDatum(worker.failures));
      if (worker.pid == 0 && worker.not_before > 0)
        result.set(kNextStart, TimestampTzGetDatum(worker.not_before));
      if (worker.message[0] != '\0')
        result.set_text(kMessage, worker.message);
      result.put();
    }
    return Datum(0);
  });
}
