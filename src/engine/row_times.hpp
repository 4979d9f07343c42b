// When the rows of ids are, by touch indexes.
#pragma once

#include "core/time.hpp"
#include "engine/known.hpp"

#include <optional>

namespace attribution::engine {

/// A row of the id of this number has this time.
struct RowTime {
  std::uint32_t which;
  core::Micros time;
  auto operator<=>(const RowTime &) const = default;
};

/// Every time at which there is a row with one of the ids, in the active snapshot, by (which, time); and some at which
/// there is none: a hash that fits is no proof. Nothing if not all of the relation has a touch index on (id, time), if
/// the present user may not read it, or if there are very many.
std::optional<std::vector<RowTime>> find_row_times(const IdColumn &column, const pg::Type &type,
                                                   std::span<const Datum> ids);

} // namespace attribution::engine
