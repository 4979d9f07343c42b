#include "entry/launcher.hpp"

#include "entry/settings.hpp"
#include "entry/workers.hpp"
#include "pg/compat.hpp"

extern "C" PGDLLEXPORT void attribution_launcher_main(Datum);

namespace {

using namespace attribution;

constexpr core::Micros kSecond = 1'000'000;
/// How long to wait for a free process when max_worker_processes are running.
constexpr core::Micros kScarce = 10 * kSecond;
/// When to look once more at a database that had no rules, for those that came with their triggers disabled.
constexpr core::Micros kLookAgain = 3600 * kSecond;

void fill(BackgroundWorker &process, const char *function, const char *type) {
  process.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
  process.bgw_start_time = BgWorkerStart_RecoveryFinished; // a standby decides nothing
  strlcpy(process.bgw_library_name, "attribution", sizeof process.bgw_library_name);
  strlcpy(process.bgw_function_name, function, sizeof process.bgw_function_name);
  strlcpy(process.bgw_type, type, sizeof process.bgw_type);
}

class Launcher {
public:
  [[noreturn]] void run() {
    const std::uint32_t sleeping = pg::call([] { return pg::wait_event("AttributionLauncherMain"); });
    for (;;) {
      pg::reload_configuration();
      const core::Micros now = GetCurrentTimestamp();
      core::Micros next = now + entry::worker_interval();
      if (entry::is_worker_on()) {
        look_at_databases(now);
        if (const std::optional<int> line = entry::next_to_start(now, next))
          next = std::min(next, start(*line, now));
      }
      pg::sleep_until(next, sleeping);
    }
  }

private:
  /// A database that is new to us may have rules: its worker is to look. Those that have been looked at call for one
  /// themselves once there is work.
  void look_at_databases(core::Micros now) {
    const bool were_short = entry::lines_were_short();
    if (were_short)
      known_.clear(); // any of them may have asked in vain
    if (now < core::plus(looked_, entry::worker_interval()) && looked_ <= now && !were_short)
      return;
    looked_ = now;
    const std::vector<Oid> databases = pg::connectable_databases();
    entry::forget_workers_but_of(databases);
    const std::vector<Known> known = std::exchange(known_, {});
    for (const Oid database : databases) {
      const auto last =
          std::find_if(known.begin(), known.end(), [=](const Known &k) { return k.database == database; });
      if (last != known.end() && now < last->since + kLookAgain && last->since <= now)
        known_.push_back(*last);
      else if (entry::want_worker(database))
        known_.push_back({database, now});
      else if (!std::exchange(short_, true))
        pg::call([&] {
          ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                            errmsg("database %u gets no attribution worker: %d databases have one, or wait for it",
                                   database, entry::kMostWorkers),
                            errhint("There, CALL attribution.run(), from pg_cron for one.")));
        });
    }
  }

  /// Returns when to ask again what to start; who comes up wakes us before.
  core::Micros start(int line, core::Micros now) {
    const Oid database = entry::database_of(line);
    const std::vector<Oid> databases = pg::connectable_databases();
    if (std::find(databases.begin(), databases.end(), database) == databases.end()) {
      entry::could_not_start(line, "no such database, or no connections to it are allowed", now + kScarce);
      std::erase_if(known_, [=](const Known &k) { return k.database == database; });
      entry::forget_workers_but_of(databases);
      return now;
    }
    BackgroundWorker process{};
    fill(process, "attribution_worker_main", "attribution worker");
    snprintf(process.bgw_name, sizeof process.bgw_name, "attribution worker for database %u", database);
    process.bgw_restart_time = BGW_NEVER_RESTART; // this process sees to that
    process.bgw_main_arg = Int32GetDatum(line);
    memcpy(process.bgw_extra, &database, sizeof database);
    process.bgw_notify_pid = MyProcPid;
    if (pg::call([&] { return RegisterDynamicBackgroundWorker(&process, nullptr); })) {
      scarce_ = false;
      return core::kInfinity;
    }
    entry::could_not_start(line, "no process is free: max_worker_processes are running", now + kScarce);
    if (!std::exchange(scarce_, true))
      pg::call([&] {
        ereport(WARNING,
                (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                 errmsg("could not start the attribution worker for database %u", database),
                 errdetail("As many processes as max_worker_processes allows are running. It is tried again every ten "
                           "seconds."),
                 errhint("Raise max_worker_processes: attribution takes one process, and one for each database with "
                         "an enabled rule.")));
      });
    return now + kScarce;
  }

  struct Known {
    Oid database;
    core::Micros since;
  };
  std::vector<Known> known_;                   ///< databases that have been looked at, or will be
  core::Micros looked_ = core::kMinusInfinity; ///< at the databases
  bool scarce_ = false;                        ///< no process was free, and that is in the log
  bool short_ = false;                         ///< the table was full, and that is in the log
};

} // namespace

void attribution_launcher_main(Datum) {
  pg::take_signals();
  BackgroundWorkerInitializeConnection(nullptr, nullptr, 0); // no database: the shared catalogs are enough
  pgstat_report_appname(MyBgworkerEntry->bgw_name);
  pg::pin_settings();
  MemoryContextSwitchTo(AllocSetContextCreate(TopMemoryContext, "attribution launcher", ALLOCSET_DEFAULT_SIZES));
  entry::become_launcher();
  (void)pg::boundary([]() -> Datum { Launcher().run(); });
}

namespace attribution::entry {

void register_launcher() {
  BackgroundWorker process{};
  fill(process, "attribution_launcher_main", "attribution launcher");
  strlcpy(process.bgw_name, "attribution launcher", sizeof process.bgw_name);
  process.bgw_restart_time = 1;
  RegisterBackgroundWorker(&process);
}

} // namespace attribution::entry
