// Memory contexts as C++ sees them.
#pragma once

#include "pg/guard.hpp"

namespace attribution::pg {

/// std::pmr containers in a memory context. Throws std::bad_alloc, never an ERROR; a reset of the context reclaims what
/// destructors did not.
class ContextMemory final : public std::pmr::memory_resource {
public:
  explicit ContextMemory(MemoryContext context) noexcept : context_(context) {}

private:
  void *do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (alignment > MAXIMUM_ALIGNOF || !AllocHugeSizeIsValid(bytes))
      throw std::bad_alloc();
    void *memory = MemoryContextAllocExtended(context_, bytes, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
    if (memory == nullptr)
      throw std::bad_alloc();
    return memory;
  }
  void do_deallocate(void *memory, std::size_t, std::size_t) override { pfree(memory); }
  bool do_is_equal(const memory_resource &other) const noexcept override { return this == &other; }

  MemoryContext context_;
};

/// A memory context of one's own, below the present one; gone with this object, or with its parent after an error.
class Context {
public:
  explicit Context(const char *name) {
    context_ = call([&] { return AllocSetContextCreateInternal(CurrentMemoryContext, name, ALLOCSET_DEFAULT_SIZES); });
  }
  ~Context() {
    if (std::uncaught_exceptions() == 0)
      MemoryContextDelete(context_);
  }
  Context(const Context &) = delete;
  Context &operator=(const Context &) = delete;

  operator MemoryContext() const noexcept { return context_; }
  void reset() {
    call([this] { MemoryContextReset(context_); });
  }
  void swap(Context &other) noexcept { std::swap(context_, other.context_); }

private:
  MemoryContext context_;
};

/// Makes a context the present one for a scope.
class Within {
public:
  explicit Within(MemoryContext context) noexcept : outer_(MemoryContextSwitchTo(context)) {}
  ~Within() { MemoryContextSwitchTo(outer_); }
  Within(const Within &) = delete;
  Within &operator=(const Within &) = delete;

private:
  MemoryContext outer_;
};

} // namespace attribution::pg
