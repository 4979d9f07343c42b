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

/// What is computed of a conversion, for a query over "conversion".
struct Expression {
  std::string sql;
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
  std::vector<int> carried;    ///< for each column that decisions keep, its place in a touch query; 0 if it has none
};

/// A dimension table, of which decisions keep columns.
struct BoundEnrichment {
  Relation dimension;
  std::vector<Column> match;
  std::vector<std::size_t> given;    ///< beside match: in Binding::columns; of a touch's, in RuleSpec::carry
  std::vector<pg::Type> given_types; ///< fewer: no tier carries one of the columns yet
  std::vector<std::string> equality;
  std::vector<Column> columns;
  std::optional<Column> valid_from, valid_to, valid_during;
  bool is_unique = false; ///< at most one row matches, whenever
  std::size_t first = 0;  ///< of its columns, in Binding::header_columns; of a touch's, in credit_columns
};

/// Values and booleans of a conversion query come in this order after its fixed columns: Binding::columns, the
/// installation key; whether each of those is empty; the value.
struct Binding {
  RuleSpec spec;
  core::Rule rule;
  Relation conversions;
  Column id, time;
  bool id_is_unique = false;   ///< a unique index makes looking for duplicates needless
  std::vector<Column> columns; ///< what the rule names of a conversion, but for id and time: they settle ties
  std::vector<Expression> installation_key;
  std::optional<Expression> value;         ///< numeric
  std::vector<std::string> filter_columns; ///< that the rule's filter names, without saying of what
  std::vector<std::string> used;           ///< every column of a conversion that a decision depends on
  std::vector<BoundTier> tiers;
  std::vector<std::optional<pg::Type>> carried; ///< of the columns that decisions keep; nothing where no tier has it
  std::vector<BoundEnrichment> enrichments;     ///< as in the spec
  std::vector<Column> header_columns;           ///< what headers keep besides: the path's summary, then enrichments
  std::vector<Column> credit_columns;           ///< what credits keep besides, but for what is carried
  pg::Type touch_id;                            ///< one for all tiers; text for a rule without tiers
};

/// The relations of a rule, and the tables that keep what it decides.
std::vector<Oid> relations_of(const RuleSpec &spec);
/// Locks them against being altered, until the end of the transaction.
void lock_relations(const std::vector<Oid> &relations);
/// Locks, in the same way, all partitions of what a run reads. To be called before its snapshot is taken: rows that
/// move between partitions while it waits for a lock, or whose table is written anew, would be in neither place for it.
void lock_partitions(const RuleSpec &spec);

/// Binds a rule; an ERROR names the relation and column at fault. Runs as the rule's owner.
Binding bind(RuleSpec spec);

} // namespace attribution::engine
