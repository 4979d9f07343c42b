// A touchpoint that was found for a conversion, with the facts that only its source could establish.
#pragma once

#include "core/time.hpp"

#include <cstdint>

namespace attribution::core {

/// What the source of a touchpoint found out about it and its conversion. Bits of Touch::facts.
enum Fact : std::uint8_t {
  kEmptyKey = 1,       ///< a match column is NULL or a declared empty value
  kFiltered = 2,       ///< the tier's row filter does not hold
  kConflict = 4,       ///< a conflict column differs while both sides are non-empty
  kPredicateFails = 8, ///< the conversion-touch predicate does not hold
};

/// No lookback of its own: the tier's counts.
inline constexpr Micros kTierLookback = kInfinity;

/// A candidate: all its match columns equal the conversion's. Whether it is eligible, judge() says.
/// `row` is a handle of whoever gathered it (who owns the row); the core passes it back and never looks inside.
struct Touch {
  Micros time = 0;
  Micros lookback = kTierLookback; ///< the touchpoint's own, capped by the tier's
  std::uintptr_t row = 0;
  std::uint32_t tier = 0;
  std::uint8_t facts = 0;
};

/// Answers what the core can't see in a row. Both orders are total over distinct values and may throw.
class TouchRows {
public:
  virtual ~TouchRows() = default;
  /// Orders two touchpoints' ids: the id type's btree order, text under the C collation. <0, 0 or >0.
  virtual int compare_ids(const Touch &a, const Touch &b) = 0;
  /// Orders two rows by the text of the rule's columns (C collation, NULL last). <0, 0 or >0.
  virtual int compare_texts(const Touch &a, const Touch &b) = 0;
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
