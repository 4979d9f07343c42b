#include "engine/spec.hpp"

namespace attribution::engine {

namespace {

/// Reads the columns of a row from left to right.
class Columns {
public:
  Columns(const pg::Rows &rows, std::uint64_t row) : rows_(rows), row_(row) {}

  std::string get_text() {
    bool null = true;
    Datum value = next(&null);
    return null ? std::string() : pg::call([&] { return TextDatumGetCString(value); });
  }
  std::vector<std::string> get_texts() {
    bool null = true;
    Datum value = next(&null);
    if (null)
      return {};
    Datum *elements = nullptr;
    bool *nulls = nullptr;
    int count = 0;
    pg::call([&] {
      deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
    });
    std::vector<std::string> result;
    result.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i)
      result.emplace_back(nulls[i] ? "" : pg::call([&] { return TextDatumGetCString(elements[i]); }));
    return result;
  }
  Oid get_oid() { return DatumGetObjectId(value()); }
  std::int32_t get_int32() { return DatumGetInt32(value()); }
  std::int64_t get_int64() { return DatumGetInt64(value()); }
  bool get_bool() { return DatumGetBool(value()); }
  std::optional<core::Micros> get_time() {
    bool null = true;
    Datum value = next(&null);
    return null ? std::nullopt : std::optional<core::Micros>(DatumGetTimestampTz(value));
  }
  bool at_null() {
    bool null = true;
    rows_.get(row_, column_, &null);
    return null;
  }

private:
  Datum next(bool *null) { return rows_.get(row_, column_++, null); }
  Datum value() {
    bool null = true;
    return next(&null);
  }
  const pg::Rows &rows_;
  std::uint64_t row_;
  int column_ = 1;
};

void load_enrichments(RuleSpec &rule) {
  const pg::Rows rows =
      pg::query("SELECT enrichment, dimension::pg_catalog.oid, match::pg_catalog.text[],"
                " COALESCE(conversion_match, touch_match)::pg_catalog.text[], touch_match IS NOT NULL,"
                " columns::pg_catalog.text[], names::pg_catalog.text[], valid_from::pg_catalog.text,"
                " valid_to::pg_catalog.text, valid_during::pg_catalog.text FROM attribution.enrichment"
                " WHERE rule = $1 AND version = $2 ORDER BY enrichment COLLATE pg_catalog.\"C\"",
                {TEXTOID, INT4OID},
                {{pg::call([&] { return CStringGetTextDatum(rule.name.c_str()); }), false},
                 {Int32GetDatum(rule.version), false}});
  for (std::uint64_t row = 0; row < rows.count; ++row) {
    Columns columns(rows, row);
    EnrichmentSpec enrichment;
    enrichment.name = columns.get_text();
    enrichment.dimension = columns.get_oid();
    enrichment.match = columns.get_texts();
    enrichment.given = columns.get_texts();
    enrichment.of_touch = columns.get_bool();
    enrichment.columns = columns.get_texts();
    enrichment.names = columns.get_texts();
    enrichment.valid_from = columns.get_text();
    enrichment.valid_to = columns.get_text();
    enrichment.valid_during = columns.get_text();
    rule.enrichments.push_back(std::move(enrichment));
  }
}

} // namespace

RuleSpec load_spec(Datum rule_name, Datum overrides) {
  const pg::Rows rows = pg::query(
      "SELECT rule, version, owner, conversions, id_column, time_column, filter, path,"
      " model, channel, empty, value_column, carry, installation_key, reattribution_window,"
      " allowed_lateness, conversions_horizon, decisions, credits, decisions_history,"
      " credits_history, pending, installations, refiltered, path_summary, tier, touchpoints, touch_id_column, "
      "touch_time_column, match, conversion_match,"
      " conflict, conversion_conflict, touch_filter, predicate, lookback_column,"
      " lookback, skew, strict, horizon FROM attribution._spec($1, $2)",
      {TEXTOID, JSONBOID}, {{rule_name, false}, {overrides, false}});
  RuleSpec rule;
  for (std::uint64_t row = 0; row < rows.count; ++row) {
    Columns columns(rows, row);
    rule.name = columns.get_text();
    rule.version = columns.get_int32();
    rule.owner = columns.get_oid();
    rule.conversions = columns.get_oid();
    rule.id_column = columns.get_text();
    rule.time_column = columns.get_text();
    rule.filter = columns.get_text();
    rule.path = columns.get_text();
    rule.model = columns.get_text();
    rule.channel = columns.get_text();
    rule.empty = columns.get_texts();
    rule.value_column = columns.get_text();
    rule.carry = columns.get_texts();
    rule.installation_key = columns.get_texts();
    rule.reattribution_window = columns.get_int64();
    rule.allowed_lateness = columns.get_int64();
    rule.horizon = columns.get_time();
    StorageSpec storage;
    for (Oid *table : {&storage.decisions, &storage.credits, &storage.decisions_history, &storage.credits_history,
                       &storage.pending, &storage.installations})
      *table = columns.get_oid();
    storage.refiltered = columns.get_bool();
    rule.path_summary = columns.get_bool();
    if (OidIsValid(storage.decisions))
      rule.storage = storage;
    if (columns.at_null()) // a rule without tiers
      continue;
    TierSpec tier;
    tier.name = columns.get_text();
    tier.touchpoints = columns.get_oid();
    tier.id_column = columns.get_text();
    tier.time_column = columns.get_text();
    tier.match = columns.get_texts();
    tier.conversion_match = columns.get_texts();
    tier.conflict = columns.get_texts();
    tier.conversion_conflict = columns.get_texts();
    tier.filter = columns.get_text();
    tier.predicate = columns.get_text();
    tier.lookback_column = columns.get_text();
    tier.lookback = columns.get_int64();
    tier.skew = columns.get_int64();
    tier.strict = columns.get_bool();
    tier.horizon = columns.get_time();
    rule.tiers.push_back(std::move(tier));
  }
  load_enrichments(rule);
  return rule;
}

} // namespace attribution::engine
