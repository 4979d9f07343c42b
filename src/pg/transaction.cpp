#include "pg/transaction.hpp"

#include "pg/spi.hpp"

namespace attribution::pg {

namespace {

/// An exception's message and code, out of any memory context.
Error as_error(const std::exception_ptr &caught) {
  try {
    std::rethrow_exception(caught);
  } catch (const PgError &e) {
    const ErrorData &error = *e.error;
    return {error.sqlerrcode, e.what(), error.detail != nullptr ? error.detail : "",
            error.hint != nullptr ? error.hint : ""};
  } catch (const Error &e) {
    return e;
  } catch (const std::bad_alloc &) {
    return {ERRCODE_OUT_OF_MEMORY, "out of memory"};
  } catch (const std::exception &e) {
    return {ERRCODE_INTERNAL_ERROR, e.what()};
  }
}

} // namespace

void in_transaction(const std::function<void()> &work) {
  MemoryContext outer = CurrentMemoryContext;
  std::exception_ptr failure;
  try {
    call([] {
      SetCurrentStatementStartTimestamp();
      StartTransactionCommand();
      PushActiveSnapshot(GetTransactionSnapshot());
    });
    {
      const Spi spi;
      work();
    }
    call([] {
      PopActiveSnapshot();
      CommitTransactionCommand();
    });
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    const Error error = as_error(std::exchange(failure, nullptr));
    call([] {
      disable_all_timeouts(false);
      AbortCurrentTransaction();
    });
    MemoryContextSwitchTo(outer);
    throw error;
  }
  MemoryContextSwitchTo(outer);
  call([] { (void)pgstat_report_stat(false); });
}

std::optional<Error> in_subtransaction(const std::function<void()> &work) {
  MemoryContext memory = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  std::exception_ptr failure;
  call([&] {
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(memory);
  });
  try {
    work();
  } catch (...) {
    failure = std::current_exception();
  }
  std::optional<Error> error;
  if (failure)
    error = as_error(std::exchange(failure, nullptr));
  call([&] {
    if (error)
      RollbackAndReleaseCurrentSubTransaction();
    else
      ReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(memory);
    CurrentResourceOwner = owner;
  });
  return error;
}

} // namespace attribution::pg
