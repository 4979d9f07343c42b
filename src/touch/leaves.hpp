// Which tables touchpoints lie in, and which touch indexes find them there.
#pragma once

#include "core/time.hpp"
#include "pg/prelude.hpp"

namespace attribution::touch {

/// A table, or a partition that has none itself, with an index over the columns that are asked for.
struct Leaf {
  Oid table, index;
  core::Micros since, until;   ///< its rows' times are since <= time <= until
  int columns[INDEX_MAX_KEYS]; ///< for each key column of the index, the place of that column among those asked for
};

/// What is asked for: rows of a relation with since <= time <= until, by the columns that must be equal.
struct Sought {
  Oid relation;
  const char *time;
  core::Micros since, until;
  const char *columns[INDEX_MAX_KEYS];
  int count;
  List *expressions; ///< in the place of the columns: over the relation, whose number in them is 1, as planned
  List *conditions;  ///< what all rows in question meet, likewise
};

/// The leaves that may have such rows, in no particular order, palloc'ed; locked until the end of the transaction. Null
/// if touch indexes can't do all of it: the relation is no table, row security is in force, a leaf has no index that is
/// valid for `snapshot`.
Leaf *find_leaves(const Sought &sought, Snapshot snapshot, int *count);

} // namespace attribution::touch
