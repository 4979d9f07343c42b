// From the values of a row's key columns to their hash.
#pragma once

#include "core/touch_entry.hpp"
#include "pg/prelude.hpp"

namespace attribution::touch {

/// How a touch index hashes keys: each column by its type's own hash function, so that values that are equal, even as
/// values of another type of the same operator family, have the same hash. By value; holds no resources.
struct KeyHasher {
  int columns; ///< of the key: all of the index but the last, which is the time
  struct Column {
    FmgrInfo *hash; ///< of the type cache, which forgets nothing
    Oid collation;
  } column[INDEX_MAX_KEYS];

  /// Raises an error for an index that can't be: no key, no time, a type without a hash function.
  static KeyHasher of(Relation index);

  std::uint32_t operator()(const Datum *values, const bool *nulls) const {
    std::uint32_t hash = 0;
    for (int i = 0; i < columns; ++i) {
      if (nulls[i])
        return core::kNullKey;
      hash = core::combine(hash, DatumGetUInt32(FunctionCall1Coll(column[i].hash, column[i].collation, values[i])));
    }
    return core::key_hash(hash);
  }

  core::TouchEntry entry(const Datum *values, const bool *nulls, ItemPointer row) const {
    // A row without a time is never found by its time, and need not be.
    return {nulls[columns] ? core::kMinusInfinity : DatumGetTimestampTz(values[columns]), (*this)(values, nulls),
            ItemPointerGetBlockNumberNoCheck(row), ItemPointerGetOffsetNumberNoCheck(row)};
  }
};

/// The hash function of a type; raises an error if it has none. `what` names the column for the error.
FmgrInfo *hash_function(Oid type, const char *column);

inline ItemPointerData place_of(const core::TouchEntry &entry) {
  ItemPointerData place;
  ItemPointerSet(&place, entry.block, entry.offset);
  return place;
}

} // namespace attribution::touch
