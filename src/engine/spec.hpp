// A rule as its author wrote it, with the overrides of one call applied.
#pragma once

#include "core/rule.hpp"
#include "pg/spi.hpp"

#include <optional>

namespace attribution::engine {

struct TierSpec {
  std::string name;
  Oid touchpoints = InvalidOid;
  std::string id_column, time_column;
  std::vector<std::string> match, conversion_match;       ///< same length
  std::vector<std::string> conflict, conversion_conflict; ///< same length
  std::string filter, predicate, lookback_column;         ///< empty: none
  core::Micros lookback = 0, skew = 0;
  bool strict = false;
  std::optional<core::Micros> horizon; ///< touchpoints before it are gone
};

/// Columns of a dimension table that decisions keep.
struct EnrichmentSpec {
  std::string name;
  Oid dimension = InvalidOid;
  std::vector<std::string> match, given;   ///< same length; given: columns of the conversion, or that the rule carries
  bool of_touch = false;                   ///< the latter: it enriches credits
  std::vector<std::string> columns, names; ///< same length; what decisions call them
  std::string valid_from, valid_to, valid_during; ///< empty: none
};

/// The tables that keep what a rule decides.
struct StorageSpec {
  Oid decisions = InvalidOid, credits = InvalidOid;
  Oid decisions_history = InvalidOid, credits_history = InvalidOid;
  Oid pending = InvalidOid;
  Oid installations = InvalidOid; ///< of rules with an installation key
  bool refiltered = false;        ///< decisions may stand on rows that are conversions no more
};

struct RuleSpec {
  std::string name;
  std::int32_t version = 0;
  Oid owner = InvalidOid;
  Oid conversions = InvalidOid;
  std::string id_column, time_column, filter, path, model;
  std::vector<std::string> empty;
  std::string value_column;       ///< empty: none
  std::string channel;            ///< of a touchpoint; empty: none
  std::vector<std::string> carry; ///< touch columns that decisions keep
  std::vector<std::string>
      installation_key; ///< expressions; empty: conversions are not told apart as new or reinstalled
  core::Micros reattribution_window = 0, allowed_lateness = 0;
  std::optional<core::Micros> horizon; ///< conversions before it are gone
  std::optional<StorageSpec> storage;
  std::vector<TierSpec> tiers;             ///< strongest first
  std::vector<EnrichmentSpec> enrichments; ///< by name
  bool path_summary = false;               ///< decisions keep what the path was
};

/// Reads a rule's active version, or the draft of a rule that has none yet, as the present user. `overrides` is the
/// jsonb of the call. SQL checks both (attribution._spec): an unknown rule, tier, key or value is an ERROR there.
RuleSpec load_spec(Datum rule_name, Datum overrides);

} // namespace attribution::engine
