// Which ids a table has: what ingestion goes by to leave out what has come before.
#pragma once

#include "pg/spi.hpp"

namespace attribution::engine {

/// A relation's ids, and the time that is the last column of a touch index on them.
struct IdColumn {
  Oid relation;
  const char *id, *time;
};

/// Whether there is a row, at any time, with each of the ids; of a null one, no. `ids` is an array of the column's type.
/// By the touch indexes on (id, time) if all partitions have one, or else by plain SQL. In the active snapshot, which a
/// row must be visible in; the present user needs SELECT on the relation.
std::vector<char> find_known(const IdColumn &column, Datum ids);

} // namespace attribution::engine
