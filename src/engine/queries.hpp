// The SQL that the engine runs, written out for one rule.
#pragma once

#include "engine/binding.hpp"

namespace attribution::engine {

/// The columns that every conversion query gives first. What follows, Binding says.
enum ConversionColumn : int { kConversionId = 1, kConversionTime, kConversionPasses, kConversionColumns };

/// Qualified and quoted.
std::string relation_name(Oid relation);

/// Under which conversion ids are the same: the column's, but not one that takes different texts for equal.
Oid id_collation(const Binding &binding);

/// Conversions with $1 <= time < $2, of several rows of one id the earliest, by (time, id) if they are to be in order.
/// $3: the empty values, text[]. Without an end, one at 'infinity' is to be met and refused, not passed over. Of some
/// pages of a table alone: from the place $4 to before $5.
std::string conversions_in_range(const Binding &binding, bool has_end, bool of_pages, bool in_order);
/// All rows with the id $1, by time, whether or not they pass the rule's filter (kConversionPasses). $2: the empty
/// values.
std::string conversions_by_id(const Binding &binding);

/// The conversions with the ids "?id" that are given, by the "?number" of each, and then by time: all rows that pass
/// the filter. `given`: Given::rows(); `empty`: the parameter of the empty values. The number comes last. `timed`: what
/// is given has a "?time" as well, and only rows of that time are looked for.
std::string conversions_claimed(const Binding &binding, const std::string &given, const std::string &empty, bool timed);
int claimed_number_column(const Binding &binding);

/// The installation keys of the rows that pass the filter. No parameters.
std::string installation_keys(const Binding &binding);
/// Whether conversions from before the horizon are remembered, which may be gone.
bool remembers(const Binding &binding);
/// Keys that are asked for.
struct KeysAsked {
  std::string given;   ///< Given::rows() of "?key1", .. the parts of a key, "?number", and "?until", a time
  std::string horizon; ///< the parameter of that
};
/// The new ones among those: (number of the key, time).
std::string remembered_of_keys(const Binding &binding, const KeysAsked &asked);
/// All conversions of keys, up to a time for each: (number of the key, time, id, whether it is only remembered), in
/// that order. Remembered are the new ones that lie before the horizon. Without `stored` what decisions know is left
/// out.
std::string conversions_of_keys(const Binding &binding, const KeysAsked &asked, bool stored);

/// The columns that every touch query gives first; BoundTier::columns follow. From the id on they are kept.
enum TouchColumn : int { kTouchNumber = 1, kTouchTime, kTouchLookback, kTouchFacts, kTouchId, kTouchColumns };

/// What to look for.
enum class Search {
  eligible,   ///< touchpoints that may be eligible: filter and predicate hold
  found,      ///< the same of rows that were found: for each conversion in one place
  near_misses ///< the nearest of all that match, with the facts that rule them out
};

/// The parameters of a touch query. The arrays hold one value for each conversion that is asked for.
enum TouchParam : int {
  kParamNumber = 1, ///< int4[]: the conversion's place in the batch
  kParamSince,      ///< timestamptz[]: the earliest time worth returning
  kParamUntil,      ///< timestamptz[]: the latest
  kParamId,         ///< an array: the conversions' ids
  kParamTime,       ///< timestamptz[]: the conversions' times
  kParamEarliest,   ///< timestamptz: the least kParamSince
  kParamLatest,     ///< timestamptz: the greatest kParamUntil
  kParamEmpty,      ///< text[]: the empty values
  kParamLimit,      ///< int8: how many near misses at most
  kParamTable,      ///< oid: where the found rows lie
  kParamRows,       ///< tid[]: there
  kParamColumns     ///< the first of Binding::columns, each an array
};

/// Touchpoints of one tier for a batch of conversions; with their channels, if those are wanted, in the last column.
std::string touchpoints_of(const Binding &binding, std::size_t tier, Search search, bool channels);

/// What a dimension has to `given` (Given::rows() of "?number", "?time", "?key1" ..), one row a number at most: the
/// number and the columns. `empty`: the parameter of the empty values. Of rows that hold at a time the one that began
/// last, then the one that ends first, then the least by text.
std::string dimension_rows(const Binding &binding, const BoundEnrichment &enrichment, const std::string &given,
                           const std::string &empty);

/// The channel of touchpoints that have none.
constexpr const char *kNoChannel = "(not set)";
/// "touch.a = conversion.b", under the touch column's collation so that its index serves.
std::string equals(const Binding &binding, const Pair &pair);
/// Whether a match column of "touch" holds one of the values `empty`.
std::string has_empty_key(const Binding &binding, const BoundTier &tier, const std::string &empty);
/// Whether "touch" is in conflict with "conversion": a column differs, and is empty on neither side.
std::string conflicts(const Binding &binding, const BoundTier &tier, const std::string &empty);
/// A touch's own lookback in microseconds, held within what fits; NULL where it has none.
std::string own_lookback(const BoundTier &tier);

/// The channel of a touchpoint, as text, for a query over "touch".
std::string channel_of(const Binding &binding);

/// A query that reads a relation through a condition alone: for a clear error about the condition.
std::string condition_on(const Relation &relation, const char *alias, const std::string &condition);

} // namespace attribution::engine
