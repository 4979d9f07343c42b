#include "pg/guard.hpp"

namespace attribution::pg {

namespace {

/// A copy that outlives the exception; never an ERROR, since it is made inside a catch.
const char *keep(const std::string &text) noexcept {
  if (text.empty())
    return nullptr;
  void *copy = MemoryContextAllocExtended(CurrentMemoryContext, text.size() + 1, MCXT_ALLOC_NO_OOM);
  return copy == nullptr ? nullptr : static_cast<char *>(memcpy(copy, text.c_str(), text.size() + 1));
}

} // namespace

Failure describe(const Error &error) noexcept {
  Failure failure;
  failure.sqlstate = error.sqlstate;
  failure.message = keep(error.message);
  failure.detail = keep(error.detail);
  failure.hint = keep(error.hint);
  return failure;
}

Failure describe(int sqlstate, const char *message) noexcept {
  Failure failure;
  failure.sqlstate = sqlstate;
  try {
    failure.message = keep(message);
  } catch (...) {
    failure.message = nullptr;
  }
  return failure;
}

void raise(const Failure &failure) {
  if (failure.pg != nullptr)
    ReThrowError(failure.pg);
  ereport(ERROR, (errcode(failure.sqlstate),
                  errmsg_internal("%s", failure.message != nullptr ? failure.message : "out of memory"),
                  failure.detail != nullptr ? errdetail_internal("%s", failure.detail) : 0,
                  failure.hint != nullptr ? errhint("%s", failure.hint) : 0));
  pg_unreachable();
}

} // namespace attribution::pg
