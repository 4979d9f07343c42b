// Conversions in batches, as arrays: so they go into a query's parameters, and so a touch index will want them.
#pragma once

#include "engine/binding.hpp"
#include "pg/memory.hpp"

#include <functional>

namespace attribution::engine {

/// One of Binding::columns, or of the installation key, over a batch.
struct BatchColumn {
  std::vector<Datum> values;
  std::vector<char> nulls;
  std::vector<char> empty; ///< a declared empty value; no use of the value column
};

/// Whether a conversion begins an installation, for rules that ask.
enum class Kind : std::uint8_t { none, new_installation, reinstall };
/// "new", "reinstall"; null for none.
const char *name_of(Kind kind) noexcept;

struct Batch {
  Batch() : memory("attribution batch") {}

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(times.size()); }
  /// Whether a conversion has all the keys of a tier: none NULL or empty.
  bool has_key(const BoundTier &tier, std::uint32_t conversion) const;
  void clear();
  /// Has room for so many made at once.
  void reserve(const Binding &binding, std::size_t conversions);
  /// Adds a row of a conversion query.
  void add(const Binding &binding, const pg::Row &row);
  void remove_last();
  /// Both were made in the same memory context.
  void swap(Batch &other) noexcept;

  pg::Context memory; ///< owns the values and all that is made of them
  std::vector<core::Micros> times;
  std::vector<Datum> ids;
  std::vector<BatchColumn> columns; ///< Binding::columns, then the installation key
  BatchColumn value;
  std::vector<Kind> kinds; ///< told by Installations
  std::size_t bytes = 0;   ///< that the values take, out of line ones as well
};

/// An array parameter of one value for each of `which`.
template <class F> pg::Param array_of(const pg::Type &type, const std::vector<std::uint32_t> &which, F value) {
  std::vector<Datum> values;
  std::vector<char> nulls;
  values.reserve(which.size());
  nulls.reserve(which.size());
  for (std::uint32_t conversion : which) {
    const pg::Param param = value(conversion);
    values.push_back(param.value);
    nulls.push_back(param.null);
  }
  return {type.array(values.data(), reinterpret_cast<bool *>(nulls.data()), values.size()), false};
}

/// How large a batch may be.
struct BatchLimits {
  std::uint32_t conversions;
  std::size_t bytes;
};

/// Conversions with since <= time < until; of a table perhaps those in some of its pages alone, from `first` to before
/// `past`.
struct ConversionRange {
  core::Micros since, until;
  BlockNumber first = 0, past = InvalidBlockNumber;
  bool is_of_pages() const noexcept { return first != 0 || past != InvalidBlockNumber; }
};

/// Reads the conversions of a rule in a range, each id once: batch by batch by time, for those of one
/// time have their touchpoints in the same few tables. `reader` must have SELECT on what is read.
class ConversionReader final : private pg::CheckedReceiver {
public:
  /// `expected`: about so many conversions; 0: nobody knows. If they are one batch, their order does not matter, and
  /// they come in none. (To sort 200,000 of them was a fifth of all it took to attribute them.)
  ConversionReader(const Binding &binding, const ConversionRange &range, Oid reader, double expected,
                   const BatchLimits &limits);
  /// Whether several processes may read side by side.
  static bool is_parallel_safe(const Binding &binding, Oid reader);
  /// Fills a batch; false when there are none left.
  bool next(Batch &batch);

private:
  void take(TupleTableSlot *slot) override;
  /// How many rows to fetch: about as many as the batch has room for, so that few are ahead of it.
  long missing(const Batch &batch) const noexcept;
  bool is_full(const Batch &batch) const noexcept {
    return batch.size() >= limits_.conversions || batch.bytes >= limits_.bytes;
  }

  const Binding &binding_;
  BatchLimits limits_;
  std::size_t expected_; ///< about as many in a batch; 0: nobody knows
  pg::Order id_order_;
  pg::Cursor cursor_;
  Batch *batch_ = nullptr; ///< that is being filled
  Batch ahead_;            ///< what was fetched with its last ones, for the next
  bool is_at_end_ = false;
};

/// Puts a row in the place of the batch's last conversion, whose id and time it shares, if its text is less.
void replace_if_less(const Binding &binding, Batch &batch, const pg::Row &row);

/// Orders the last conversions of two batches by the text of the rule's columns (C collation, NULL last).
int compare_texts(const Binding &binding, const Batch &a, const Batch &b);

/// Orders two texts bytewise, null last.
int compare_texts(const char *a, const char *b);

pg::Param text_array(const std::vector<std::string> &texts);

} // namespace attribution::engine
