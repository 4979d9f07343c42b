// The worker: does for all rules of its database what CALL attribution.run() does for one, as soon as there is
// something to do. It is made of the same steps; each is a transaction, so that it can be killed at any time.
#include "entry/settings.hpp"
#include "entry/workers.hpp"
#include "pg/compat.hpp"
#include "pg/spi.hpp"

#include <map>

extern "C" PGDLLEXPORT void attribution_worker_main(Datum);

namespace {

using namespace attribution;

constexpr core::Micros kSecond = 1'000'000;
/// An entry of the run log covers so much time at most, and ends when there was no work for so long.
constexpr core::Micros kLongestRun = 60 * kSecond;
constexpr core::Micros kIdle = 15 * kSecond;
/// When to look again for what others have locked.
constexpr core::Micros kPatience = kSecond;
/// Ingesting and deciding take turns about so long, where there is enough of both to do: an event waits for one or two,
/// and the longer they are the larger are the batches. (Checkouts: 28,000 events/s with turns of 0.2 s, 31,700 with
/// these, 36,000 with 1 s; 99 % decided within 0.8, 0.9 and 1.4 s at half of the rate.)
constexpr core::Micros kTurn = kSecond / 2;
/// At most so many rows are moved by a transaction: nothing is decided meanwhile.
constexpr std::int32_t kMostRows = 10'000;
/// So long conversions wait while more than that is staged of touchpoints.
constexpr core::Micros kAhead = 10 * kSecond;
/// How often a run repeats a step that has lost to others.
constexpr std::int32_t kRetries = 20;

/// What an ERROR says in SQL.
std::string code_of(int sqlstate) {
  return pg::call([&] { return unpack_sql_state(sqlstate); });
}

Datum text_of(const std::string &text) {
  return pg::call([&] { return CStringGetTextDatum(text.c_str()); });
}

/// The value that a function of ours returns.
pg::Param call_sql(const char *sql, const std::vector<Oid> &types, const std::vector<pg::Param> &params) {
  pg::Param result;
  result.value = pg::Plan(sql, types).execute(params).get(0, 1, &result.null);
  return result;
}

/// A rule as the worker goes about it.
class RuleRun {
public:
  /// `failures`: so many runs before this one have come to nothing.
  RuleRun(std::string rule, std::int32_t failures) : rule_(std::move(rule)), failures_(failures) {
    if (failures_ > 0)
      not_before_ = GetCurrentTimestamp() + delay();
  }

  core::Micros not_before() const noexcept { return not_before_; }
  bool is_running() const noexcept { return run_.has_value(); }

  /// One step of what is due since `since`. Returns from when to go on, infinity if it was all; nothing: there was
  /// nothing.
  std::optional<core::Micros> advance(core::Micros since) {
    pg::report_activity(("attribution: rule " + rule_).c_str());
    try {
      if (!run_)
        start();
      const std::optional<core::Micros> next = step(since);
      last_ = GetCurrentTimestamp();
      failures_ = 0;
      return next;
    } catch (const pg::Error &error) {
      return recover(error) ? std::optional(since) : std::nullopt;
    }
  }

  /// Ends the run if it was long enough; otherwise `next` becomes when to ask again, unless it is earlier.
  void finish(core::Micros now, core::Micros &next) {
    if (!run_)
      return;
    const core::Micros end = std::min(started_ + kLongestRun, last_ + kIdle);
    if (now < end && started_ <= now) {
      next = std::min(next, end);
      return;
    }
    const std::int64_t run = *std::exchange(run_, std::nullopt);
    try {
      pg::in_transaction([&] {
        call_sql("SELECT attribution._finish_run($1)", {INT8OID}, {{Int64GetDatum(run), false}});
      });
    } catch (const pg::Error &error) {
      lose(error);
    }
  }

private:
  void start() {
    pg::in_transaction([&] {
      if (lost_)
        call_sql("SELECT attribution._take_over($1)", {TEXTOID}, {{text_of(rule_), false}});
      run_ = DatumGetInt64(
          call_sql("SELECT attribution._start_run('worker', $1, NULL)", {TEXTOID}, {{text_of(rule_), false}}).value);
    });
    lost_ = false;
    started_ = GetCurrentTimestamp();
    retries_ = kRetries;
  }

  std::optional<core::Micros> step(core::Micros since) const {
    std::optional<core::Micros> next;
    pg::in_transaction([&] {
      const pg::Param found = call_sql("SELECT attribution._step($1, $2)", {INT8OID, TIMESTAMPTZOID},
                                       {{Int64GetDatum(*run_), false}, {TimestampTzGetDatum(since), false}});
      if (!found.null)
        next = DatumGetTimestampTz(found.value);
    });
    return next;
  }

  /// After an error: whether the step may be tried again now. If not, the run has ended, and another waits its time.
  bool recover(const pg::Error &error) {
    const std::string code = code_of(error.sqlstate);
    bool again = false;
    try {
      pg::in_transaction([&] {
        if (run_) {
          const pg::Param retries =
              call_sql("SELECT attribution._recover($1, $2, $3)", {INT8OID, INT4OID, TEXTOID},
                       {{Int64GetDatum(*run_), false}, {Int32GetDatum(retries_), false}, {text_of(code), false}});
          again = !retries.null;
          retries_ = again ? DatumGetInt32(retries.value) : 0;
        }
        if (!again)
          call_sql("SELECT attribution._fail_worker($1, $2, $3, $4)", {TEXTOID, INT8OID, TEXTOID, TEXTOID},
                   {{text_of(rule_), false},
                    {Int64GetDatum(run_.value_or(0)), !run_},
                    {text_of(error.message), false},
                    {text_of(code), false}});
      });
    } catch (const pg::Error &unlogged) {
      lose(unlogged);
      return false;
    }
    if (!again)
      put_off(error);
    return again;
  }

  /// The run's entry in the log can't be written: it is gone, or somebody holds it.
  void lose(const pg::Error &error) {
    lost_ = true;
    put_off(error);
  }

  void put_off(const pg::Error &error) {
    run_.reset();
    ++failures_;
    not_before_ = GetCurrentTimestamp() + delay();
    pg::call([&] {
      ereport(WARNING, (errcode(error.sqlstate), errmsg("rule \"%s\": %s", rule_.c_str(), error.message.c_str()),
                        error.detail.empty() ? 0 : errdetail_internal("%s", error.detail.c_str()),
                        errhint("The worker tries again in %d s.", static_cast<int>(delay() / kSecond))));
    });
  }

  core::Micros delay() const {
    return std::min(kSecond << std::min(failures_ - 1, std::int32_t{20}), entry::worker_retry_limit());
  }

  std::string rule_;
  std::optional<std::int64_t> run_; ///< of attribution.run_log, while it is open
  bool lost_ = false;               ///< an entry was left open there
  core::Micros started_ = 0, last_ = 0;
  std::int32_t retries_ = 0;
  std::int32_t failures_ = 0; ///< runs that an error ended, one after the other
  core::Micros not_before_ = core::kMinusInfinity;
};

/// What is staged, and moved into event tables.
class Ingesting {
public:
  /// Finds out what may be staged, in the present transaction.
  void read_agenda() {
    agenda_.clear();
    const pg::Rows rows =
        pg::Plan("SELECT target::oid, pages, are_touchpoints FROM attribution._ingest_agenda()", {}).execute({});
    for (std::uint64_t row = 0; row < rows.count; ++row) {
      bool null = true;
      const Oid table = DatumGetObjectId(rows.get(row, 1, &null));
      const std::int64_t pages = DatumGetInt64(rows.get(row, 2, &null));
      const bool any = null;
      agenda_.push_back({table, any ? kAnyPages : pages, DatumGetBool(rows.get(row, 3, &null))});
    }
    const auto is_off = [this](Oid table) {
      return std::none_of(agenda_.begin(), agenda_.end(), [&](const Staged &staged) { return staged.table == table; });
    };
    std::erase_if(tables_, [&](const auto &known) { return is_off(known.first); });
    std::erase_if(round_, [&](const Staged &staged) { return is_off(staged.table); });
  }

  /// Moves what is staged, for about as long as `kTurn`. Returns when to look again: at once, if it was anything.
  ///
  /// In rounds: touchpoints first, then conversions, as far as either was staged when the round began. So a flood of
  /// the ones does not keep back the others, and conversions don't come long before the touchpoints that explain them.
  core::Micros work() {
    const core::Micros end = GetCurrentTimestamp() + kTurn;
    bool more = false;
    if (round_.empty()) {
      round_ = agenda_;
      round_began_ = GetCurrentTimestamp();
    }
    while (!round_.empty() && GetCurrentTimestamp() <= end) {
      Table &state = tables_[round_.front().table];
      more = (state.not_before <= GetCurrentTimestamp() && pass(round_.front(), state, end)) || more;
      if (!state.state.empty())
        continue;
      if (round_.front().are_touchpoints && state.took > kMostRows && GetCurrentTimestamp() < round_began_ + kAhead)
        round_.front().pages = kAnyPages;
      else
        round_.erase(round_.begin());
    }
    if (more || !round_.empty())
      return core::kMinusInfinity;
    core::Micros next = core::kInfinity;
    for (const Staged &staged : agenda_)
      if (const Table &state = tables_[staged.table]; state.failures > 0 || state.not_before > GetCurrentTimestamp())
        next = std::min(next, state.not_before);
    return next;
  }

  void forget() {
    tables_.clear();
    round_.clear();
  }

private:
  struct Staged {
    Oid table;
    std::int64_t pages; ///< of its staging table
    bool are_touchpoints;
  };
  static constexpr std::int64_t kAnyPages = std::numeric_limits<std::int64_t>::max();
  struct Table {
    std::string state;         ///< of a pass that is not over, as jsonb
    std::int64_t taken = 0;    ///< rows, in that pass
    std::int64_t took = 0;     ///< rows, in the last one that is over
    core::Micros spent = 0;    ///< on it
    std::int32_t failures = 0; ///< one after the other
    core::Micros not_before = core::kMinusInfinity;
  };

  /// Step by step, to the end of a pass or of the time. Returns whether there were rows, or may be more.
  bool pass(const Staged &staged, Table &state, core::Micros end) {
    pg::report_activity("attribution: ingesting");
    const core::Micros began = GetCurrentTimestamp();
    try {
      for (bool over = false; !over;) {
        pg::check_for_interrupts();
        pg::in_transaction([&] { over = step(staged, state); });
        if (!over && GetCurrentTimestamp() > end) {
          state.spent += GetCurrentTimestamp() - began;
          return true;
        }
      }
      state.failures = 0;
      state.spent += GetCurrentTimestamp() - began;
      // Looking in vain may take a tenth of the time.
      state.took = std::exchange(state.taken, 0);
      state.not_before = state.took > 0 ? core::kMinusInfinity : GetCurrentTimestamp() + 9 * state.spent;
      state.spent = 0;
      state.state.clear();
      return state.took > 0;
    } catch (const pg::Error &error) {
      put_off(staged.table, state, error);
      return false;
    }
  }

  /// Whether that was the last one.
  static bool step(const Staged &staged, Table &state) {
    const pg::Param before{pg::call([&] { return CStringGetTextDatum(state.state.c_str()); }), state.state.empty()};
    const pg::Rows rows =
        pg::Plan(
            "SELECT s::text, s ? 'done', coalesce((s ->> 'taken')::int8, 0) FROM "
            "attribution._ingest_as_owner($1::oid::regclass, "
            "coalesce($2::jsonb, attribution._begin_pass(NULL) || pg_catalog.jsonb_build_object('bound', $3, 'most', "
            "$4))) AS s",
            {OIDOID, TEXTOID, INT8OID, INT4OID})
            .execute({{ObjectIdGetDatum(staged.table), false},
                      before,
                      {Int64GetDatum(staged.pages), false},
                      {Int32GetDatum(kMostRows), false}});
    bool null = true;
    const Datum after = rows.get(0, 1, &null);
    state.state = pg::call([&] { return TextDatumGetCString(after); });
    state.taken = DatumGetInt64(rows.get(0, 3, &null));
    return DatumGetBool(rows.get(0, 2, &null));
  }

  static void put_off(Oid table, Table &state, const pg::Error &error) {
    state.state.clear();
    state.taken = 0;
    state.took = 0;
    state.spent = 0;
    ++state.failures;
    const core::Micros delay =
        std::min(kSecond << std::min(state.failures - 1, std::int32_t{20}), entry::worker_retry_limit());
    state.not_before = GetCurrentTimestamp() + delay;
    pg::call([&] {
      ereport(WARNING,
              (errcode(error.sqlstate), errmsg("could not ingest into table %u: %s", table, error.message.c_str()),
               error.detail.empty() ? 0 : errdetail_internal("%s", error.detail.c_str()),
               errhint("The worker tries again in %d s.", static_cast<int>(delay / kSecond))));
    });
  }

  std::vector<Staged> agenda_;
  std::vector<Staged> round_; ///< what is left of it
  core::Micros round_began_ = core::kMinusInfinity;
  std::map<Oid, Table> tables_;
};

class DatabaseWorker {
public:
  explicit DatabaseWorker(int line) : line_(line) {}

  /// Returns when there is nothing to work for.
  void run() {
    const std::uint32_t sleeping = pg::call([] { return pg::wait_event("AttributionWorkerMain"); });
    core::Micros looked_at_all = core::kMinusInfinity; // when last for what nobody announces
    core::Micros done_until = core::kMinusInfinity;    // what is due earlier is done, but for what is announced
    for (;;) {
      pg::reload_configuration();
      if (!entry::is_worker_on()) {
        finish_all_runs();
        entry::set_state(line_, entry::WorkerState::waiting);
        return;
      }
      const core::Micros now = GetCurrentTimestamp();
      if (now < looked_at_all) // the clock was set back
        looked_at_all = done_until = core::kMinusInfinity;
      const core::Micros announced = entry::take_work(line_).value_or(core::kInfinity);
      const bool thorough =
          announced == core::kMinusInfinity || now >= core::plus(looked_at_all, entry::worker_interval());
      if (thorough)
        looked_at_all = now;
      const core::Micros since = thorough ? core::kMinusInfinity : std::min(announced, done_until);
      if (!read_agenda(now, since, thorough)) {
        finish_all_runs();
        if (entry::leave(line_))
          return;
        continue;
      }
      const bool due = std::any_of(agenda_.begin(), agenda_.end(), [&](const Due &rule) { return rule.at <= now; });
      done_until = due ? since : now;
      core::Micros next = core::plus(looked_at_all, entry::worker_interval());
      next = std::min(next, ingesting_.work());
      if (due)
        work_off(now, next);
      else
        for (const Due &rule : agenda_)
          next = std::min(next, rule.at);
      finish_runs(next);
      entry::set_state(line_, entry::WorkerState::idle);
      pg::report_activity(nullptr);
      pg::sleep_until(next, sleeping);
    }
  }

private:
  struct Due {
    std::string rule;
    core::Micros at;
  };

  /// The enabled rules, and when each has something due. False: there is none, or the extension is gone.
  bool read_agenda(core::Micros now, core::Micros since, bool thorough) {
    agenda_.clear();
    pg::in_transaction([&] {
      if (!has_extension())
        return;
      std::vector<Datum> put_off;
      for (const auto &[name, rule] : rules_)
        if (rule.not_before() > now)
          put_off.push_back(text_of(name));
      const pg::Rows rows =
          pg::Plan("SELECT rule, due FROM attribution._agenda($1, $2, $3)", {TIMESTAMPTZOID, BOOLOID, TEXTARRAYOID})
              .execute({{TimestampTzGetDatum(since), false},
                        {BoolGetDatum(thorough), false},
                        {pg::Type::of(TEXTOID, InvalidOid).array(put_off.data(), nullptr, put_off.size()), false}});
      for (std::uint64_t row = 0; row < rows.count; ++row) {
        bool null = true;
        const Datum rule = rows.get(row, 1, &null);
        const Datum due = rows.get(row, 2, &null);
        agenda_.push_back(
            {pg::call([&] { return TextDatumGetCString(rule); }), null ? core::kInfinity : DatumGetTimestampTz(due)});
      }
      ingesting_.read_agenda();
      for (const Due &due : agenda_)
        if (rules_.find(due.rule) == rules_.end())
          rules_.emplace(due.rule, RuleRun(due.rule, take_over(due.rule)));
    });
    return !agenda_.empty();
  }

  /// How many runs of a rule have come to nothing before this process began.
  static std::int32_t take_over(const std::string &rule) {
    return DatumGetInt32(call_sql("SELECT attribution._take_over($1)", {TEXTOID}, {{text_of(rule), false}}).value);
  }

  /// The extension may be dropped and altered between two transactions, but not while the agenda is read. One made anew
  /// has other runs.
  bool has_extension() {
    const Oid extension = pg::call([] {
      const Oid found = get_extension_oid("attribution", true);
      if (OidIsValid(found))
        LockDatabaseObject(ExtensionRelationId, found, 0, AccessShareLock);
      AcceptInvalidationMessages();
      return get_extension_oid("attribution", true) == found ? found : InvalidOid;
    });
    if (std::exchange(extension_, extension) != extension) {
      rules_.clear();
      ingesting_.forget();
    }
    return OidIsValid(extension);
  }

  /// Step by step, the rules in turn, for about as long as `kTurn`, until nothing is due or something new is. `next`:
  /// when to look again.
  void work_off(core::Micros now, core::Micros &next) {
    std::vector<Due> rest;
    for (const Due &due : agenda_)
      if (due.at <= now && rules_.at(due.rule).not_before() <= now)
        rest.push_back(due);
    if (!rest.empty())
      entry::set_state(line_, entry::WorkerState::running);
    bool worked = false;
    const core::Micros began = GetCurrentTimestamp();
    const auto is_interrupted = [&] {
      // What falls due meanwhile, a rule's back-off that ends, and the look at everything must not wait for its end.
      return ConfigReloadPending || entry::has_work(line_) || GetCurrentTimestamp() > began + kTurn;
    };
    while (!rest.empty() && !(worked && is_interrupted())) {
      for (Due &due : rest) {
        pg::check_for_interrupts();
        const std::optional<core::Micros> more = rules_.at(due.rule).advance(due.at);
        due.at = more.value_or(core::kInfinity);
        worked = worked || more;
      }
      std::erase_if(rest, [](const Due &due) { return due.at == core::kInfinity; });
    }
    if (worked) { // at once, for what has been rescheduled or has come
      next = now;
      return;
    }
    // Others have all of it in their hands, or it failed.
    for (const Due &due : agenda_)
      next = std::min(next, due.at > now ? due.at : std::max(rules_.at(due.rule).not_before(), now + kPatience));
  }

  /// Ends runs that were long enough, and forgets rules that are the worker's no more.
  void finish_runs(core::Micros &next) {
    const core::Micros now = GetCurrentTimestamp();
    for (auto &[name, rule] : rules_)
      rule.finish(now, next);
    std::erase_if(rules_, [this](const auto &known) {
      return !known.second.is_running() &&
             std::none_of(agenda_.begin(), agenda_.end(), [&](const Due &due) { return due.rule == known.first; });
    });
  }

  void finish_all_runs() {
    core::Micros never = core::kInfinity;
    for (auto &[name, rule] : rules_)
      rule.finish(core::kInfinity, never);
  }

  int line_;
  Oid extension_ = InvalidOid;
  std::vector<Due> agenda_;
  std::map<std::string, RuleRun> rules_;
  Ingesting ingesting_;
};

} // namespace

void attribution_worker_main(Datum line) {
  Oid database = InvalidOid;
  memcpy(&database, MyBgworkerEntry->bgw_extra, sizeof database);
  pg::take_signals();
  if (!entry::become_worker(DatumGetInt32(line), database))
    return;
  // As the bootstrap superuser, who reads all rules; each runs as its owner, security-restricted.
  BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
  pgstat_report_appname(MyBgworkerEntry->bgw_name);
  MemoryContextSwitchTo(AllocSetContextCreate(TopMemoryContext, "attribution worker", ALLOCSET_DEFAULT_SIZES));
  pg::pin_settings();
  (void)pg::boundary([&] {
    DatabaseWorker(DatumGetInt32(line)).run();
    return Datum(0);
  });
}
