// The newest row that has a key, by touch indexes: of many keys at once.
#pragma once

#include "pg/spi.hpp"
#include "touch/leaves.hpp"

#include <functional>
#include <optional>

namespace attribution::engine {

/// Keys that are looked for in a relation.
struct KeysWanted {
  Oid relation;
  const char *time; ///< the column that is the last of the indexes
  struct Column {
    const char *name;
    pg::Type type; ///< of the values as well
  };
  std::vector<Column> columns;
  std::uint32_t count = 0;
  /// What key i has in a column; null: it is not looked for.
  std::function<pg::Param(std::uint32_t i, int column)> value{};
  /// Its rows' times are at most that.
  std::function<core::Micros(std::uint32_t i)> until{};
  /// Any row will do.
  bool any = false;
};

/// The time of the newest row of each key, if it has one, in the active snapshot. Nothing at all if not all of the
/// relation has a touch index over exactly these columns and the time, or if the present user may not read it.
std::optional<std::vector<std::optional<core::Micros>>> find_newest(const KeysWanted &keys);

} // namespace attribution::engine
