// The crossing between C++ exceptions and PostgreSQL's longjmp, in both directions.
//
//   entry point -> boundary() -> C++ ... -> call() -> PostgreSQL
//
// call() turns an ERROR into a C++ exception, so that destructors run; boundary() turns whatever escapes into an ERROR,
// after the last C++ object is gone. An exception is never handled in between: it always ends in the abort of the
// (sub)transaction, which is why destructors leave SPI, users and settings to that abort.
#pragma once

#include "pg/prelude.hpp"

#include <csetjmp>
#include <utility>

namespace attribution::pg {

/// An ERROR raised by PostgreSQL, with all it carries. Lives in the memory context of the failing call's caller.
class PgError final : public std::exception {
public:
  explicit PgError(ErrorData *error) noexcept : error(error) {}
  const char *what() const noexcept override { return error->message != nullptr ? error->message : "error"; }
  ErrorData *error;
};

/// An error of our own, in PostgreSQL's message style.
class Error final : public std::exception {
public:
  Error(int sqlstate, std::string message, std::string detail = {}, std::string hint = {})
      : sqlstate(sqlstate), message(std::move(message)), detail(std::move(detail)), hint(std::move(hint)) {}
  const char *what() const noexcept override { return message.c_str(); }
  int sqlstate;
  std::string message, detail, hint;
};

/// Calls PostgreSQL code. `f` captures and holds trivially destructible state only: an ERROR jumps over it.
/// Guard a batch, not a row: the guard costs about 6 ns, what it catches microseconds.
template <class F> auto call(F &&f) -> decltype(f()) {
  struct Restore {
    sigjmp_buf *stack = PG_exception_stack;
    ErrorContextCallback *contexts = error_context_stack;
    ~Restore() {
      PG_exception_stack = stack;
      error_context_stack = contexts;
    }
  } restore;
  MemoryContext memory = CurrentMemoryContext;
  sigjmp_buf here;
  if (sigsetjmp(here, 0) == 0) { // 0: the signal mask is not saved; saving it costs 190 ns
    PG_exception_stack = &here;
    return std::forward<F>(f)();
  }
  PG_exception_stack = restore.stack;
  error_context_stack = restore.contexts;
  MemoryContextSwitchTo(memory);
  ErrorData *error = CopyErrorData();
  FlushErrorState();
  throw PgError(error);
}

/// What a failed C++ call leaves behind once all its objects are gone.
struct Failure {
  ErrorData *pg = nullptr;
  int sqlstate = 0;
  const char *message = nullptr, *detail = nullptr, *hint = nullptr;
};

[[noreturn]] void raise(const Failure &failure);
Failure describe(const Error &error) noexcept;
Failure describe(int sqlstate, const char *message) noexcept;

/// Runs the C++ body of an entry point.
template <class F> Datum boundary(F &&body) {
  Failure failure;
  try {
    return body();
  } catch (const PgError &e) {
    failure.pg = e.error;
  } catch (const Error &e) {
    failure = describe(e);
  } catch (const std::bad_alloc &) {
    failure = describe(ERRCODE_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception &e) {
    failure = describe(ERRCODE_INTERNAL_ERROR, e.what());
  } catch (...) {
    failure = describe(ERRCODE_INTERNAL_ERROR, "unknown C++ exception");
  }
  raise(failure);
}

inline void check_for_interrupts() {
  if (INTERRUPTS_PENDING_CONDITION())
    call([] { CHECK_FOR_INTERRUPTS(); });
}

} // namespace attribution::pg
