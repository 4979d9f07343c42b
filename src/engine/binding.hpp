// A rule bound to relations: the one place where names become relations, columns and types. Everything below works on
// what it is given here.
#pragma once

#include "core/touch.hpp"
#include "engine/spec.hpp"
#include "pg/datum.hpp"

namespace attribution::engine {

struct Column {
  std::string name;
  std::string quoted;
  pg::Type type;
};

/// A table, partitioned table, view or foreign table.
struct Relation {
  Oid oid = InvalidOid;
  std::string name; ///< qualified and quoted
};

/// A touch column that must equal (match) or may not differ from (conflict) a conversion column.
struct Pair {
  Column touch;
  std::size_t conversion = 0; ///< in Binding::columns
  std::string equality;       ///< "OPERATOR(pg_catalog.=)"
};

struct BoundTier {
  Relation touchpoints;
  Column id, time;
  std::vector<Pair> match, conflict;
  std::optional<Column> lookback;
  std::vector<Column> columns; ///< what the rule names of a touch, but for id and time: they settle ties
};

struct Binding {
  RuleSpec spec;
  core::Rule rule;
  Relation conversions;
  Column id, time;
  bool id_is_unique = false;   ///< a unique index makes looking for duplicates needless
  std::vector<Column> columns; ///< what the rule names of a conversion, but for id and time: they settle ties
  std::vector<BoundTier> tiers;
  pg::Type touch_id; ///< one for all tiers; text for a rule without tiers
};

/// Binds a rule; an ERROR names the relation and column at fault. Runs as the rule's owner.
Binding bind(RuleSpec spec);

} // namespace attribution::engine
