// The rows of the touchpoints that are kept: what the core's handles stand for.
#pragma once

#include "engine/binding.hpp"
#include "pg/memory.hpp"

namespace attribution::engine {

/// Whoever knows the ids of touchpoints.
class TouchIds : public core::TouchRows {
public:
  virtual Datum id(const core::Touch &touch) const = 0;
};

/// Owns copies of rows of touch queries, from TouchColumn::kTouchId on. Answers the core's questions about them. A
/// query may leave out columns at its end, if they are the same in all that a conversion is offered. Of rows that end
/// with an id that is passed by value there are no copies: the handle is the id.
class TouchRowStore final : public TouchIds {
public:
  TouchRowStore(const Binding &binding, MemoryContext memory);

  /// Copies a row of a tier. May raise an ERROR: for use inside PostgreSQL's executor.
  std::uintptr_t keep(std::size_t tier, TupleTableSlot *slot);
  void release(const core::Touch &touch);
  std::size_t bytes() const noexcept { return bytes_; }
  /// Has a row brought into the processor's cache.
  void prefetch(const core::Touch &touch) const noexcept {
    if (is_id(touch.tier))
      return;
    __builtin_prefetch(reinterpret_cast<const char *>(touch.row));
    __builtin_prefetch(reinterpret_cast<const char *>(touch.row) + 64);
  }

  Datum id(const core::Touch &touch) const override;
  /// The column that decisions keep at place `i` of RuleSpec::carry.
  Datum carried(const core::Touch &touch, std::size_t i, bool *null) const;
  /// The channel, of a row that was read with it.
  std::string_view channel(const core::Touch &touch) const;
  /// All of them, as an array of texts.
  Datum carried_texts(const core::Touch &touch) const;
  int compare_ids(const core::Touch &a, const core::Touch &b) override;
  int compare_texts(const core::Touch &a, const core::Touch &b) override;

private:
  bool is_id(std::size_t tier) const noexcept { return are_ids_[tier] != 0; }
  bool has(std::size_t tier, int column) const noexcept;
  Datum get(const core::Touch &touch, int column, bool *null) const;
  int channel_column(std::size_t tier) const noexcept;
  int compare_texts_within(const core::Touch &a, const core::Touch &b) const;

  const Binding &binding_;
  MemoryContext memory_;
  MemoryContext scratch_; ///< for what comparing takes
  pg::Order id_order_;
  std::vector<TupleDesc> shapes_; ///< by tier, of what is kept
  std::vector<char> are_ids_;     ///< by tier, whether it is the id alone, and no copy of a row
  std::size_t bytes_ = 0;
};

} // namespace attribution::engine
