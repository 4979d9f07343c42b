#include "engine/binding.hpp"

#include "core/model_text.hpp"
#include "engine/batch.hpp"
#include "engine/expression.hpp"
#include "engine/queries.hpp"
#include "pg/expression.hpp"

namespace attribution::engine {

namespace {

using pg::Error;

std::string in_quotes(const std::string &name) { return "\"" + name + "\""; }

Relation open_relation(Oid oid, const std::string &what) {
  Relation relation;
  relation.oid = oid;
  const char *name = nullptr;
  char kind = '\0';
  pg::call([&] {
    // Until the end of the transaction: what is read of it here must hold when the queries run.
    LockRelationOid(oid, AccessShareLock);
    kind = get_rel_relkind(oid);
    if (kind != '\0')
      name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(oid)), get_rel_name(oid));
  });
  if (name == nullptr)
    throw Error(ERRCODE_UNDEFINED_TABLE, what + " do not exist: there is no relation with OID " + std::to_string(oid),
                {}, "Was the table dropped? Drop the rule or tier, or make it again over the new table.");
  relation.name = name;
  if (std::strchr("rpvmf", kind) == nullptr)
    throw Error(ERRCODE_WRONG_OBJECT_TYPE, relation.name + " can not be used as " + what, {},
                "Use a table, partitioned table, view, materialized view or foreign table.");
  return relation;
}

Column find_column(const Relation &relation, const std::string &name, const std::string &what) {
  Column column;
  column.name = name;
  bool found = false;
  Oid type = InvalidOid;
  Oid collation = InvalidOid;
  pg::call([&] {
    HeapTuple tuple = SearchSysCacheAttName(relation.oid, name.c_str());
    if (!HeapTupleIsValid(tuple))
      return;
    Form_pg_attribute attribute = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
    found = attribute->attnum > 0;
    type = attribute->atttypid;
    collation = attribute->attcollation;
    ReleaseSysCache(tuple);
  });
  if (!found)
    throw Error(ERRCODE_UNDEFINED_COLUMN,
                "column " + in_quotes(name) + " of relation " + relation.name + " does not exist",
                "It is named as " + what + ".", "Check the spelling; column names are case-sensitive here.");
  column.quoted = pg::quoted(name);
  column.type = pg::Type::of(type, collation);
  return column;
}

Column find_time(const Relation &relation, const std::string &name, const std::string &what) {
  Column column = find_column(relation, name, what);
  const Oid base = pg::call([&] { return getBaseType(column.type.oid); });
  if (base != TIMESTAMPTZOID)
    throw Error(ERRCODE_DATATYPE_MISMATCH,
                "column " + in_quotes(name) + " of relation " + relation.name + " is of type " + column.type.name() +
                    ", not timestamp with time zone",
                "It is named as " + what + ".",
                "Name a view that reads the column in its zone: SELECT ..., " + column.quoted +
                    " AT TIME ZONE 'UTC' AS " + column.quoted + ".");
  return column;
}

/// Values travel in arrays.
void require_array(const Relation &relation, const Column &column, const std::string &what) {
  if (!OidIsValid(column.type.array_oid()))
    throw Error(ERRCODE_DATATYPE_MISMATCH,
                "column " + in_quotes(column.name) + " of relation " + relation.name + " is of type " +
                    column.type.name() + ", which has no array type",
                "It is named as " + what + ".", "A view can show it as another type, such as text.");
  if (column.type.is_composite())
    throw Error(ERRCODE_DATATYPE_MISMATCH,
                "column " + in_quotes(column.name) + " of relation " + relation.name + " is of the composite type " +
                    column.type.name(),
                "It is named as " + what + ".", "Name one of its fields, through a view.");
}

Column find_id(const Relation &relation, const std::string &name, const std::string &what) {
  Column column = find_column(relation, name, what);
  if (!pg::Order(column.type.oid))
    throw Error(ERRCODE_DATATYPE_MISMATCH,
                "column " + in_quotes(name) + " of relation " + relation.name + " is of type " + column.type.name() +
                    ", which has no order",
                "It is named as " + what + "; ids are compared by their btree order.");
  require_array(relation, column, what);
  return column;
}

/// The place of a conversion column among those that the rule uses; added if new.
std::size_t use_column(Binding &binding, const std::string &name, const std::string &what) {
  for (std::size_t i = 0; i < binding.columns.size(); ++i)
    if (binding.columns[i].name == name)
      return i;
  Column column = find_column(binding.conversions, name, what);
  require_array(binding.conversions, column, what);
  binding.columns.push_back(std::move(column));
  return binding.columns.size() - 1;
}

void use_column(BoundTier &tier, const Column &column) {
  for (const Column &known : tier.columns)
    if (known.name == column.name)
      return;
  if (column.name != tier.id.name && column.name != tier.time.name)
    tier.columns.push_back(column);
}

Pair bind_pair(Binding &binding, BoundTier &tier, const std::string &touch, const std::string &conversion,
               const std::string &what) {
  Pair pair;
  pair.touch = find_column(tier.touchpoints, touch, what);
  pair.conversion = use_column(binding, conversion, "conversion_" + what);
  const Column &other = binding.columns[pair.conversion];
  const std::string both = "columns " + in_quotes(touch) + " of relation " + tier.touchpoints.name + " and " +
                           in_quotes(conversion) + " of relation " + binding.conversions.name;
  pair.equality = pg::equality(pair.touch.type.oid, other.type.oid);
  if (pair.equality.empty())
    throw Error(ERRCODE_DATATYPE_MISMATCH, both + " can not be compared",
                "Their types are " + pair.touch.type.name() + " and " + other.type.name() +
                    "; there is no hashable equality between them.",
                "Give both columns one type, by ALTER TABLE or in a view.");
  if (pair.touch.type.collation != other.type.collation &&
      !(pg::is_deterministic(pair.touch.type.collation) && pg::is_deterministic(other.type.collation)))
    throw Error(ERRCODE_COLLATION_MISMATCH, both + " have different collations, of which one is nondeterministic", {},
                "Give both columns the same collation.");
  use_column(tier, pair.touch);
  return pair;
}

std::vector<Pair> bind_pairs(Binding &binding, BoundTier &tier, const std::vector<std::string> &touch,
                             const std::vector<std::string> &conversion, const std::string &what) {
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < touch.size(); ++i)
    pairs.push_back(bind_pair(binding, tier, touch[i], conversion[i], what));
  return pairs;
}

bool has_column(const Relation &relation, const std::string &name) {
  return pg::call([&] { return get_attnum(relation.oid, name.c_str()) > 0; });
}

/// The conversion columns that an expression over "conversion" depends on, as it names them. Names of other tables, in
/// subqueries, are not told from those of the conversion; a few too many do no harm.
std::vector<pg::ColumnName> columns_of_conversion(const Relation &conversions, const std::string &expression,
                                                  const std::string &what) {
  std::vector<pg::ColumnName> columns;
  bool whole_row = false;
  for (const pg::ColumnName &name : pg::columns_of_expression(expression, what)) {
    const bool bare = name.qualifier.empty();
    const bool of_conversion = bare || name.qualifier == "conversion";
    if (of_conversion && pg::call([&] { return get_attnum(conversions.oid, name.column.c_str()) < 0; }))
      throw Error(ERRCODE_INVALID_COLUMN_REFERENCE, what + " names system column " + in_quotes(name.column), {},
                  "Decisions depend on the row's own columns alone.");
    if (!name.column.empty() && of_conversion && has_column(conversions, name.column))
      columns.push_back(name);
    else if (name.column.empty() || name.qualifier == "conversion" || (bare && name.column == "conversion"))
      whole_row = true;
  }
  if (whole_row)
    for (int number = 1;; ++number) {
      const char *column =
          pg::call([&] { return get_attname(conversions.oid, static_cast<AttrNumber>(number), true); });
      if (column == nullptr)
        break;
      if (has_column(conversions, column)) // not one that was dropped
        columns.push_back({"conversion", column});
    }
  return columns;
}

/// What is computed of a conversion. The columns it names settle ties, as all do that a decision depends on.
Expression bind_expression(Binding &binding, const std::string &expression, const std::string &what) {
  for (const pg::ColumnName &name : columns_of_conversion(binding.conversions, expression, what))
    if (name.column != binding.id.name && name.column != binding.time.name)
      use_column(binding, name.column, what);
  Expression result;
  result.sql = embed(expression);
  result.type =
      prepare_expression("SELECT " + result.sql + " FROM " + binding.conversions.name + " AS conversion", what)
          .result_type();
  return result;
}

void bind_installation_key(Binding &binding, const RuleSpec &spec) {
  for (const std::string &expression : spec.installation_key) {
    const std::string what = "installation_key of rule " + in_quotes(spec.name);
    Expression key = bind_expression(binding, expression, what);
    if (pg::equality(key.type.oid, key.type.oid).empty() || !pg::Order(key.type.oid) || key.type.is_composite())
      throw Error(ERRCODE_DATATYPE_MISMATCH, what + " is of type " + key.type.name() + ", which can not be a key",
                  "A key needs an equality that can be hashed, and an order.");
    if (!OidIsValid(key.type.array_oid()))
      throw Error(ERRCODE_DATATYPE_MISMATCH, what + " is of type " + key.type.name() + ", which has no array type");
    binding.installation_key.push_back(std::move(key));
  }
}

/// The columns that decide whether a row is a conversion, and how: a change of any makes it one to decide again.
void bind_used(Binding &binding, const RuleSpec &spec) {
  const auto add = [](std::vector<std::string> &names, const std::string &name) {
    if (std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(name);
  };
  binding.used = {binding.id.name, binding.time.name};
  for (const Column &column : binding.columns)
    add(binding.used, column.name);
  if (spec.filter.empty())
    return;
  for (const pg::ColumnName &name :
       columns_of_conversion(binding.conversions, spec.filter, "filter of rule " + in_quotes(spec.name))) {
    add(binding.used, name.column);
    if (name.qualifier.empty())
      add(binding.filter_columns, name.column);
  }
}

/// Columns that a predicate names; every one must say of which side it is.
void bind_predicate(Binding &binding, BoundTier &tier, const TierSpec &spec) {
  const std::string what = "predicate of tier " + in_quotes(spec.name);
  for (const pg::ColumnName &name : pg::columns_of_expression(spec.predicate, what)) {
    if (name.qualifier == "touch" && !name.column.empty())
      use_column(tier, find_column(tier.touchpoints, name.column, what));
    else if (name.qualifier == "conversion" && !name.column.empty()) {
      if (name.column != binding.id.name && name.column != binding.time.name)
        use_column(binding, name.column, what);
    } else
      throw Error(ERRCODE_INVALID_COLUMN_REFERENCE, what + " names a column without saying of which side it is",
                  name.column.empty() ? "" : "The column is " + in_quotes(name.column) + ".",
                  "Write touch.column or conversion.column, and no whole rows.");
  }
}

BoundTier bind_tier(Binding &binding, const TierSpec &spec) {
  const std::string of_tier = " of tier " + in_quotes(spec.name);
  BoundTier tier;
  tier.touchpoints = open_relation(spec.touchpoints, "touchpoints" + of_tier);
  tier.id = find_id(tier.touchpoints, spec.id_column, "id_column" + of_tier);
  tier.time = find_time(tier.touchpoints, spec.time_column, "time_column" + of_tier);
  tier.match = bind_pairs(binding, tier, spec.match, spec.conversion_match, "match" + of_tier);
  tier.conflict = bind_pairs(binding, tier, spec.conflict, spec.conversion_conflict, "conflict" + of_tier);
  if (!spec.lookback_column.empty()) {
    tier.lookback = find_column(tier.touchpoints, spec.lookback_column, "lookback_column" + of_tier);
    if (pg::call([&] { return getBaseType(tier.lookback->type.oid); }) != INTERVALOID)
      throw Error(ERRCODE_DATATYPE_MISMATCH,
                  "column " + in_quotes(spec.lookback_column) + " of relation " + tier.touchpoints.name +
                      " is of type " + tier.lookback->type.name() + ", not interval",
                  "It is named as lookback_column" + of_tier + ".");
    use_column(tier, *tier.lookback);
  }
  if (!spec.filter.empty())
    (void)pg::columns_of_expression(spec.filter, "filter" + of_tier);
  return tier;
}

/// Where a tier has the columns that decisions keep. Last, so that they settle only ties that nothing else does.
void bind_carried(Binding &binding, BoundTier &tier, const RuleSpec &spec) {
  for (std::size_t i = 0; i < spec.carry.size(); ++i) {
    if (!has_column(tier.touchpoints, spec.carry[i])) {
      tier.carried.push_back(0);
      continue;
    }
    const Column column = find_column(tier.touchpoints, spec.carry[i], "carry");
    require_array(tier.touchpoints, column, "carry");
    std::optional<pg::Type> &type = binding.carried[i];
    if (type && type->oid != column.type.oid)
      throw Error(ERRCODE_DATATYPE_MISMATCH,
                  "column " + in_quotes(column.name) + ", which decisions keep, has different types",
                  "It is of type " + column.type.name() + " in relation " + tier.touchpoints.name + ", and of type " +
                      type->name() + " in that of a tier before it.");
    if (!type)
      type = column.type;
    use_column(tier, column);
    int place = column.name == tier.id.name ? kTouchId : kTouchTime;
    for (std::size_t at = 0; at < tier.columns.size(); ++at)
      if (tier.columns[at].name == column.name)
        place = kTouchColumns + static_cast<int>(at);
    tier.carried.push_back(place);
  }
}

core::PathKind path_of(const std::string &name) {
  if (name == "first_match")
    return core::PathKind::first_match;
  if (name == "all")
    return core::PathKind::all;
  throw Error(ERRCODE_INTERNAL_ERROR, "unknown path " + in_quotes(name));
}

/// Whether a unique index says that no two rows of a relation have the same values in all of some columns.
bool is_unique(const Relation &relation, const std::vector<std::string> &columns) {
  const pg::Rows rows =
      pg::query("SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
                " WHERE c.oid = $1 AND (c.relkind = 'p' OR c.relkind = 'r' AND NOT c.relhassubclass)"
                " AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL"
                " AND NOT EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) k WHERE NOT EXISTS (SELECT FROM "
                "pg_attribute a"
                " WHERE a.attrelid = c.oid AND a.attnum = i.indkey[k] AND a.attcollation = i.indcollation[k]"
                " AND a.attname::text = ANY ($2)))",
                {OIDOID, TEXTARRAYOID}, {{ObjectIdGetDatum(relation.oid), false}, text_array(columns)});
  return rows.count > 0;
}

/// A column that says since when, until when or within which times a row of a dimension holds.
std::optional<Column> find_validity(const Relation &dimension, const std::string &name, const std::string &what,
                                    std::initializer_list<Oid> types, const char *wanted) {
  if (name.empty())
    return std::nullopt;
  Column column = find_column(dimension, name, what);
  const Oid base = pg::call([&] { return getBaseType(column.type.oid); });
  if (std::find(types.begin(), types.end(), base) == types.end())
    throw Error(ERRCODE_DATATYPE_MISMATCH,
                "column " + in_quotes(name) + " of relation " + dimension.name + " is of type " + column.type.name() +
                    ", not " + wanted,
                "It is named as " + what + ".",
                "Name a view that reads the column in its zone: SELECT ..., " + column.quoted +
                    "::timestamp AT TIME ZONE 'UTC' AS " + column.quoted + ".");
  return column;
}

void bind_path_summary(Binding &binding) {
  const auto keep = [&](const char *name, const pg::Type &type) {
    binding.header_columns.push_back({name, name, type});
  };
  const pg::Type time = pg::Type::of(TIMESTAMPTZOID, InvalidOid);
  keep("path_length", pg::Type::of(INT4OID, InvalidOid));
  keep("path_first", binding.touch_id);
  keep("path_first_time", time);
  keep("path_last", binding.touch_id);
  keep("path_last_time", time);
  keep("path_channels", pg::Type::of(TEXTOID, DEFAULT_COLLATION_OID));
}

/// Conversion columns that an enrichment matches on count among those that the rule names: they are used.
void bind_enrichment(Binding &binding, const RuleSpec &rule, const EnrichmentSpec &spec) {
  const std::string of_enrichment = " of enrichment " + in_quotes(spec.name);
  BoundEnrichment bound;
  bound.dimension = open_relation(spec.dimension, "rows of the dimension" + of_enrichment);
  for (std::size_t i = 0; i < spec.match.size(); ++i) {
    const Column column = find_column(bound.dimension, spec.match[i], "match" + of_enrichment);
    bound.match.push_back(column);
    std::optional<pg::Type> other;
    if (spec.of_touch) {
      bound.given.push_back(static_cast<std::size_t>(std::find(rule.carry.begin(), rule.carry.end(), spec.given[i]) -
                                                     rule.carry.begin()));
      if (bound.given.back() == rule.carry.size())
        throw Error(ERRCODE_UNDEFINED_COLUMN,
                    "touch_match" + of_enrichment + " names column " + in_quotes(spec.given[i]) +
                        ", which the rule does not carry",
                    {}, "Let the rule carry it first: attribution.alter_rule(.., carry => ..).");
      other = binding.carried[bound.given.back()];
    } else {
      bound.given.push_back(use_column(binding, spec.given[i], "conversion_match" + of_enrichment));
      other = binding.columns[bound.given.back()].type;
    }
    if (!other)
      continue;
    bound.given_types.push_back(*other);
    bound.equality.push_back(pg::equality(column.type.oid, other->oid));
    if (bound.equality.back().empty())
      throw Error(ERRCODE_DATATYPE_MISMATCH,
                  "match" + of_enrichment + ": columns " + in_quotes(spec.match[i]) + " of relation " +
                      bound.dimension.name + " and " + in_quotes(spec.given[i]) + " of the " +
                      (spec.of_touch ? "touchpoint" : "conversion") + " can not be compared",
                  "Their types are " + column.type.name() + " and " + other->name() +
                      "; there is no hashable equality between them.",
                  "Give both columns one type, by ALTER TABLE or in a view.");
  }
  bound.valid_from = find_validity(bound.dimension, spec.valid_from, "valid_from" + of_enrichment, {TIMESTAMPTZOID},
                                   "timestamp with time zone");
  bound.valid_to = find_validity(bound.dimension, spec.valid_to, "valid_to" + of_enrichment, {TIMESTAMPTZOID},
                                 "timestamp with time zone");
  bound.valid_during = find_validity(bound.dimension, spec.valid_during, "valid_during" + of_enrichment,
                                     {TSTZRANGEOID, TSTZMULTIRANGEOID}, "tstzrange");
  std::vector<Column> &kept = spec.of_touch ? binding.credit_columns : binding.header_columns;
  bound.first = kept.size();
  for (std::size_t i = 0; i < spec.columns.size(); ++i) {
    Column column = find_column(bound.dimension, spec.columns[i], "a column" + of_enrichment);
    require_array(bound.dimension, column, "a column" + of_enrichment);
    kept.push_back({spec.names[i], pg::quoted(spec.names[i]), column.type});
    bound.columns.push_back(std::move(column));
  }
  bound.is_unique = is_unique(bound.dimension, spec.match);
  binding.enrichments.push_back(std::move(bound));
}

/// The relations that a rule names.
std::vector<Oid> named_by(const RuleSpec &spec) {
  std::vector<Oid> relations{spec.conversions};
  for (const TierSpec &tier : spec.tiers)
    relations.push_back(tier.touchpoints);
  for (const EnrichmentSpec &enrichment : spec.enrichments)
    relations.push_back(enrichment.dimension);
  return relations;
}

} // namespace

std::vector<Oid> relations_of(const RuleSpec &spec) {
  std::vector<Oid> relations = named_by(spec);
  if (spec.storage)
    // Statements on these are kept, and know the types of their columns.
    for (Oid table : {spec.storage->pending, spec.storage->decisions, spec.storage->credits,
                      spec.storage->decisions_history, spec.storage->credits_history, spec.storage->installations})
      if (OidIsValid(table))
        relations.push_back(table);
  return relations;
}

void lock_relations(const std::vector<Oid> &relations) {
  for (Oid relation : relations)
    pg::call([&] { LockRelationOid(relation, AccessShareLock); });
}

void lock_partitions(const RuleSpec &spec) {
  std::vector<Oid> relations = named_by(spec);
  if (spec.storage)
    relations.insert(relations.end(), {spec.storage->decisions, spec.storage->credits});
  for (Oid relation : relations)
    pg::call([&] { list_free(find_all_inheritors(relation, AccessShareLock, nullptr)); });
}

Binding bind(RuleSpec spec) {
  Binding binding;
  binding.conversions = open_relation(spec.conversions, "conversions of rule " + in_quotes(spec.name));
  binding.id = find_id(binding.conversions, spec.id_column, "id_column of the rule");
  binding.time = find_time(binding.conversions, spec.time_column, "time_column of the rule");
  if (binding.id.name == binding.time.name)
    throw Error(ERRCODE_INVALID_COLUMN_REFERENCE, "column " + in_quotes(binding.id.name) + " of relation " +
                                                      binding.conversions.name +
                                                      " can not be both the id and the time of a conversion");
  binding.id_is_unique = is_unique(binding.conversions, {spec.id_column});
  binding.rule.path = path_of(spec.path);
  binding.rule.model = core::parse_model(spec.model); // SQL has checked it

  binding.touch_id = pg::Type::of(TEXTOID, DEFAULT_COLLATION_OID);
  for (const TierSpec &tier_spec : spec.tiers) {
    BoundTier tier = bind_tier(binding, tier_spec);
    if (binding.tiers.empty())
      binding.touch_id = tier.id.type;
    else if (binding.touch_id.oid != tier.id.type.oid)
      throw Error(ERRCODE_DATATYPE_MISMATCH,
                  "tiers of rule " + in_quotes(spec.name) + " have touch ids of different types",
                  "Column " + in_quotes(tier.id.name) + " of relation " + tier.touchpoints.name + " is of type " +
                      tier.id.type.name() + "; the tiers before it use " + binding.touch_id.name() + ".",
                  "Give the id columns one type, by ALTER TABLE or in a view.");
    std::uint32_t relation = 0;
    while (relation < binding.tiers.size() && binding.tiers[relation].touchpoints.oid != tier.touchpoints.oid)
      ++relation;
    binding.rule.tiers.push_back({relation, tier_spec.lookback, tier_spec.skew, tier_spec.strict});
    binding.tiers.push_back(std::move(tier));
  }
  // Last, so that the columns that settle ties are those of match and conflict first, whatever else is named.
  for (std::size_t i = 0; i < spec.tiers.size(); ++i)
    if (!spec.tiers[i].predicate.empty())
      bind_predicate(binding, binding.tiers[i], spec.tiers[i]);
  binding.carried.resize(spec.carry.size());
  for (BoundTier &tier : binding.tiers)
    bind_carried(binding, tier, spec);
  if (!spec.value_column.empty()) {
    const std::string what = "value_column of rule " + in_quotes(spec.name);
    (void)find_column(binding.conversions, spec.value_column, what);
    binding.value =
        bind_expression(binding, "conversion." + pg::quoted(spec.value_column) + "::pg_catalog.numeric", what);
  }
  if (spec.path_summary)
    bind_path_summary(binding);
  for (const EnrichmentSpec &enrichment : spec.enrichments)
    bind_enrichment(binding, spec, enrichment);
  bind_installation_key(binding, spec);
  bind_used(binding, spec);
  binding.spec = std::move(spec);
  return binding;
}

} // namespace attribution::engine
