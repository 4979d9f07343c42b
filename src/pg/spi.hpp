// Plans and queries. Reads use the active snapshot: that of the statement that called the extension, or a
// FreshSnapshot.
#pragma once

#include "pg/datum.hpp"
#include "pg/memory.hpp"

namespace attribution::pg {

/// A connection to SPI for a scope. After an error it is left to the abort.
class Spi {
public:
  Spi() {
    call([this] {
      SPI_connect();
      memory_ = CurrentMemoryContext;
    });
    innermost_ = this;
  }
  ~Spi() {
    innermost_ = outer_;
    if (std::uncaught_exceptions() == 0)
      SPI_finish();
  }
  Spi(const Spi &) = delete;
  Spi &operator=(const Spi &) = delete;

  /// What the statements of the innermost connection call the rows that they are given.
  static constexpr const char *kGiven = "\"?given\"";
  static void give(TupleDesc shape, Tuplestorestate *rows, double expected) { innermost_->take(shape, rows, expected); }

private:
  void take(TupleDesc shape, Tuplestorestate *rows, double expected);

  static inline Spi *innermost_ = nullptr;
  Spi *outer_ = innermost_;
  MemoryContext memory_ = nullptr;         ///< lasts as long as the connection
  EphemeralNamedRelation given_ = nullptr; ///< registered with it
};

/// Receives rows one by one, inside PostgreSQL's executor: neither throws nor keeps what needs a destructor.
class RowReceiver {
public:
  virtual ~RowReceiver() = default;
  /// Returns false to end the query early. `slot` is deformed.
  virtual bool row(TupleTableSlot *slot) noexcept = 0;
};

/// One that may throw, or have PostgreSQL raise an ERROR: neither must pass through the executor, so it ends the query,
/// and check() throws it on.
class CheckedReceiver : public RowReceiver {
public:
  bool row(TupleTableSlot *slot) noexcept final {
    const Within within(memory_);
    try {
      take(slot);
    } catch (...) {
      failure_ = std::current_exception();
    }
    return !failure_;
  }
  void check() const {
    if (failure_)
      std::rethrow_exception(failure_);
  }

protected:
  /// `memory`: the context that rows are taken in, where an ERROR outlives the executor.
  explicit CheckedReceiver(MemoryContext memory = CurrentMemoryContext) noexcept : memory_(memory) {}
  virtual void take(TupleTableSlot *slot) = 0;

private:
  MemoryContext memory_;
  std::exception_ptr failure_;
};

/// A parameter's value.
struct Param {
  Datum value = 0;
  bool null = true;
};

/// A block of rows in SPI's memory.
struct Rows {
  SPITupleTable *table;
  std::uint64_t count;
  Datum get(std::uint64_t row, int column, bool *null) const {
    return SPI_getbinval(table->vals[row], table->tupdesc, column, null);
  }
};

/// A row of such a block, or one that the executor hands over, which has it deformed.
class Row {
public:
  Row(const Rows &rows, std::uint64_t row) : rows_(&rows), row_(row) {}
  explicit Row(const TupleTableSlot &slot) : slot_(&slot) {}
  Datum get(int column, bool *null) const {
    if (slot_ == nullptr)
      return rows_->get(row_, column, null);
    *null = slot_->tts_isnull[column - 1];
    return slot_->tts_values[column - 1];
  }

private:
  const TupleTableSlot *slot_ = nullptr;
  const Rows *rows_ = nullptr;
  std::uint64_t row_ = 0;
};

/// How a kept statement is planned: for the parameters, and the tables, of each run; or once, whatever they are, when
/// that would take longer than running it.
enum class Planning : char { each_time, once };

/// A prepared statement. Planned anew for each run, unless it is kept as one that is planned once.
class Plan {
public:
  Plan() = default;
  Plan(const std::string &sql, const std::vector<Oid> &types);
  /// One that the session keeps and finds again by its text: for what is run time and again. (Of the 5.3 ms that a
  /// batch of one conversion took, parsing was 1 and planning 2.)
  static Plan kept(const std::string &sql, const std::vector<Oid> &types, Planning planning);

  /// Runs to the end, in parallel where the planner likes, handing each row to the receiver.
  void run(const std::vector<Param> &params, RowReceiver &receiver) const;

  /// Runs a statement in a snapshot of its own, so that it may write and lock rows; or reads in the active one.
  Rows execute(const std::vector<Param> &params, bool in_active_snapshot = false) const;

  /// Raises an error unless `role` may SELECT all that the plan reads by the caller's own right, and row security shows
  /// `role` no less than the present user.
  void check_reader(Oid role) const;
  /// Raises an error, which begins with `what`, if the plan calls a volatile function, in views as well.
  void refuse_volatile(const std::string &what) const;
  /// Raises an error unless its columns have these types: who owns a table may have altered it, and values of another
  /// type must not be taken for what they are not.
  void expect(const std::vector<Oid> &types) const;
  /// The type of the first column of what it returns.
  Type result_type() const;
  /// The statement, parsed and rewritten. It is the plan's, and not to be changed.
  const Query *query() const;
  /// Whether what it computes depends on its input alone: on no setting, clock or other table.
  bool is_immutable() const;
  /// Whether several processes may run it side by side, as the functions that it calls are declared: no temporary or
  /// foreign table in it.
  bool is_parallel_safe() const;
  /// Frees it, unless it is kept. It is not to be used again.
  void let_go() const;
  explicit operator bool() const noexcept { return plan_ != nullptr; }

private:
  friend class Cursor;
  SPIPlanPtr plan_ = nullptr;
  bool kept_ = false;
};

/// A cursor over a plan's rows for a scope. It must not outlive that: an open one keeps its tables from being altered,
/// and what is left of it would run as whoever fetches.
class Cursor {
public:
  Cursor(const Plan &plan, const std::vector<Param> &params);
  ~Cursor() {
    if (std::uncaught_exceptions() == 0)
      SPI_cursor_close(portal_);
  }
  Cursor(const Cursor &) = delete;
  Cursor &operator=(const Cursor &) = delete;
  Rows fetch(long count);
  /// Hands over the next rows, so many at most, from where they lie: without a copy of them. Returns how many there
  /// were; fewer, and there are no more. The receiver must take all of them.
  std::uint64_t run(long count, RowReceiver &receiver);
  /// How many rows the planner expects.
  double expected_rows() const noexcept { return PortalGetPrimaryStmt(portal_)->planTree->plan_rows; }

private:
  Portal portal_;
};

/// Makes a snapshot of this moment the active one for a scope: what was committed before it is seen, in the catalogs as
/// well. (A transaction that holds its locks already need not hear of a partition that was attached since, and would
/// see the decisions on its rows, but not the rows.)
class FreshSnapshot {
public:
  FreshSnapshot() {
    call([] {
      PushActiveSnapshot(GetTransactionSnapshot());
      AcceptInvalidationMessages();
    });
  }
  ~FreshSnapshot() {
    if (std::uncaught_exceptions() == 0)
      PopActiveSnapshot();
  }
  FreshSnapshot(const FreshSnapshot &) = delete;
  FreshSnapshot &operator=(const FreshSnapshot &) = delete;
};

/// The stretch of work within which statements are kept; at its beginning, those that are too many are let go. A
/// stretch within another (a filter that calls attribute(), a trigger on the decisions) keeps none and lets none go:
/// they may be running.
class KeptPlans {
public:
  KeptPlans();
  ~KeptPlans();
  KeptPlans(const KeptPlans &) = delete;
  KeptPlans &operator=(const KeptPlans &) = delete;
};

/// Runs a statement once, or keeps it; for small configuration reads.
Rows query(const std::string &sql, const std::vector<Oid> &types, const std::vector<Param> &params);

std::string quoted(std::string_view identifier);

} // namespace attribution::pg
