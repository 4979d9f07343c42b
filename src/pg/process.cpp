#include "pg/process.hpp"

namespace attribution::pg {

namespace {
/// A connection limit: DROP DATABASE was interrupted, and nobody can connect any more.
constexpr int kInvalidDatabase = -2;
} // namespace

void take_signals() {
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  pqsignal(SIGTERM, die);
  BackgroundWorkerUnblockSignals();
}

void pin_settings() {
  const auto pin = [](const char *name, const char *value) {
    if (GetConfigOption(name, true, false) != nullptr) // transaction_timeout is new in 17
      SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
  };
  pin("role", "none");
  pin("search_path", "pg_catalog, pg_temp");
  pin("default_transaction_isolation", "read committed");
  pin("default_transaction_read_only", "off");
  pin("default_transaction_deferrable", "off");
  pin("session_replication_role", "origin");
  pin("statement_timeout", "0");
  pin("transaction_timeout", "0");
  pin("idle_in_transaction_session_timeout", "0");
  pin("lock_timeout", "2s");
}

void reload_configuration() {
  if (!ConfigReloadPending)
    return;
  ConfigReloadPending = false;
  call([] { ProcessConfigFile(PGC_SIGHUP); });
}

void sleep_until(TimestampTz until, std::uint32_t wait_event) {
  const long longest = 24L * 3600 * 1000;
  const TimestampTz now = GetCurrentTimestamp();
  // PostgreSQL 15 takes the time since -infinity for one to come.
  const long milliseconds = until <= now        ? 0
                            : until == DT_NOEND ? longest
                                                : std::min(longest, TimestampDifferenceMilliseconds(now, until));
  call([&] {
    if (milliseconds > 0) {
      (void)pgstat_report_stat(true); // what was counted would else be kept back until the sleep is over
      (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, wait_event);
    }
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  });
}

std::vector<Oid> connectable_databases() {
  std::vector<Oid> databases;
  in_transaction([&] {
    Relation relation = call([] { return table_open(DatabaseRelationId, AccessShareLock); });
    TableScanDesc scan = call([&] { return table_beginscan_catalog(relation, 0, nullptr); });
    while (HeapTuple tuple = call([&] { return heap_getnext(scan, ForwardScanDirection); })) {
      Form_pg_database database = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
      if (database->datallowconn && !database->datistemplate && database->datconnlimit != kInvalidDatabase)
        databases.push_back(database->oid);
    }
    call([&] {
      table_endscan(scan);
      table_close(relation, AccessShareLock);
    });
  });
  return databases;
}

void report_activity(const char *what) {
  static char statement[256]; // for messages in the log, which outlive the call
  strlcpy(statement, what != nullptr ? what : "", sizeof statement);
  debug_query_string = what != nullptr ? statement : nullptr;
  pgstat_report_activity(what != nullptr ? STATE_RUNNING : STATE_IDLE, what);
}

} // namespace attribution::pg
