#include "engine/queries.hpp"

#include "engine/expression.hpp"

namespace attribution::engine {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Whether a uuid's output gives a text at all.
bool is_uuid(std::string_view text) {
  constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  return std::equal(text.begin(), text.end(), kShape.begin(), kShape.end(),
                    [](char c, char shape) { return shape == '-' ? c == '-' : is_digit(c) || (c >= 'a' && c <= 'f'); });
}

/// Whether an integer's does.
bool is_integer(std::string_view text) {
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  return !digits.empty() && std::all_of(digits.begin(), digits.end(), is_digit) && (digits[0] != '0' || text == "0");
}

/// Whether a value is a declared empty one, by its text. NULL may count as one, or not. (To print 200,000 uuids and
/// compare them as texts was a tenth of all it took to attribute them.)
std::string is_empty(const Binding &binding, const std::string &value, const pg::Type &type, const std::string &empty) {
  const Oid base = pg::call([&] { return getBaseType(type.oid); });
  const auto is_any = [&](bool (*is_text)(std::string_view), const char *type_name) {
    std::string conditions;
    for (const std::string &text : binding.spec.empty)
      if (is_text(text))
        conditions += joined({conditions.empty() ? "(" : " OR ", value, "::pg_catalog.", type_name,
                              " OPERATOR(pg_catalog.=) '", text, "'::pg_catalog.", type_name});
    return conditions.empty() ? "false" : conditions + ")";
  };
  switch (base) {
  case UUIDOID:
    return is_any(is_uuid, "uuid");
  case INT2OID:
  case INT4OID:
  case INT8OID:
    return is_any(is_integer, "numeric");
  case TEXTOID:
  case VARCHAROID:
  case BPCHAROID: // concat() would give the padding, which is no part of the value
    return value + "::pg_catalog.text COLLATE pg_catalog.\"C\" = ANY (" + empty + ")";
  default: // gives any type's text, and '' for NULL
    return "pg_catalog.concat(" + value + ") COLLATE pg_catalog.\"C\" = ANY (" + empty + ")";
  }
}

std::string is_empty(const Binding &binding, const std::string &relation, const Column &column,
                     const std::string &empty) {
  return is_empty(binding, relation + "." + column.quoted, column.type, empty);
}

std::string param(int number) { return "$" + std::to_string(number); }

/// " COLLATE ..": ids are compared under the C collation.
std::string c_collate(const Column &column) {
  return OidIsValid(column.type.collation) ? " COLLATE pg_catalog.\"C\"" : "";
}

/// Whether two conversion ids are the same: text under the C collation, which only a nondeterministic one differs from.
std::string same_id(const Binding &binding, const std::string &a, const std::string &b) {
  const std::string equality = pg::equality(binding.id.type.oid, binding.id.type.oid);
  return a + (pg::is_deterministic(binding.id.type.collation) ? "" : c_collate(binding.id)) + " " +
         (equality.empty() ? "=" : equality) + " " + b;
}

std::string conversion_columns(const Binding &binding, const std::string &passes, const std::string &empty) {
  std::string list = "conversion." + binding.id.quoted + ", conversion." + binding.time.quoted + ", " + passes;
  for (const Column &column : binding.columns)
    list += ", conversion." + column.quoted;
  // The type is part of the text that a kept statement is found by: another function of that name may be meant by now.
  for (const Expression &key : binding.installation_key)
    list += ", " + key.sql + " /* " + std::to_string(key.type.oid) + " */";
  for (const Column &column : binding.columns)
    list += ", " + is_empty(binding, "conversion", column, empty);
  for (const Expression &key : binding.installation_key)
    list += ", " + is_empty(binding, key.sql, key.type, empty);
  if (binding.value)
    list += ", " + binding.value->sql;
  return list;
}

std::string and_filter(const std::string &filter) { return filter.empty() ? "" : " AND " + embed(filter); }

std::string any_of(const std::vector<std::string> &conditions) {
  std::string list;
  for (const std::string &condition : conditions)
    list += (list.empty() ? "" : " OR ") + condition;
  return list.empty() ? "false" : list;
}

std::string fact(const std::string &condition, int bit) {
  return "CASE WHEN " + condition + " THEN " + std::to_string(bit) + " ELSE 0 END";
}

/// Whether a rule also matches on the conversion's id or time.
bool is_used(const Binding &binding, const Column &column) {
  for (const Column &used : binding.columns)
    if (used.name == column.name)
      return true;
  return false;
}

} // namespace

std::string relation_name(Oid relation) {
  return pg::call([&] {
    const char *name = get_rel_name(relation);
    if (name == nullptr)
      ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", relation),
                      errdetail("A rule keeps its decisions there.")));
    return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), name);
  });
}

Oid id_collation(const Binding &binding) {
  return pg::is_deterministic(binding.id.type.collation) ? binding.id.type.collation : C_COLLATION_OID;
}

std::string conversions_in_range(const Binding &binding, bool has_end, bool of_pages, bool in_order) {
  const std::string &relation = binding.conversions.name;
  const std::string time = "conversion." + binding.time.quoted;
  const std::string id = "conversion." + binding.id.quoted;
  std::string sql = "SELECT " + conversion_columns(binding, "true", "$3") + " FROM " + relation +
                    " AS conversion WHERE " + time + " >= $1" + (has_end ? " AND " + time + " < $2" : "") +
                    (of_pages ? " AND conversion.ctid >= $4 AND conversion.ctid < $5" : "") +
                    and_filter(binding.spec.filter);
  if (!binding.id_is_unique)
    sql += " AND NOT EXISTS (SELECT FROM (SELECT " + id + " AS id, " + time + " AS at FROM " + relation +
           " AS conversion WHERE pg_catalog.isfinite(" + time + ")" + and_filter(binding.spec.filter) +
           ") AS earlier WHERE " + same_id(binding, "earlier.id", id) + " AND earlier.at < " + time + ")";
  return in_order ? sql + " ORDER BY " + time + ", " + id + c_collate(binding.id) : sql;
}

std::string conversions_by_id(const Binding &binding) {
  const std::string passes =
      binding.spec.filter.empty() ? "true" : "COALESCE(" + embed(binding.spec.filter) + ", false)";
  return "SELECT " + conversion_columns(binding, passes, "$2") + " FROM " + binding.conversions.name +
         " AS conversion WHERE " + same_id(binding, "conversion." + binding.id.quoted, "$1") + " ORDER BY conversion." +
         binding.time.quoted;
}

std::string conversions_claimed(const Binding &binding, const std::string &given, const std::string &empty,
                                bool timed) {
  const Column &id = binding.id;
  return joined({"SELECT ", conversion_columns(binding, "true", empty), ", given.\"?number\" FROM ", given, " JOIN ",
                 binding.conversions.name, " AS conversion ON ",
                 same_id(binding, "conversion." + id.quoted, "given.\"?id\"" + pg::collate(id_collation(binding))),
                 timed ? joined({" AND conversion.", binding.time.quoted, " = given.\"?time\""}) : "", " WHERE true",
                 and_filter(binding.spec.filter), " ORDER BY given.\"?number\", conversion.", binding.time.quoted});
}

int claimed_number_column(const Binding &binding) {
  return kConversionColumns + 2 * static_cast<int>(binding.columns.size() + binding.installation_key.size()) +
         (binding.value ? 1 : 0);
}

namespace {

/// What joins the installation keys that are given to whoever has them.
struct GivenKeys {
  explicit GivenKeys(const Binding &binding) {
    for (std::size_t i = 0; i < binding.installation_key.size(); ++i) {
      const Expression &key = binding.installation_key[i];
      const std::string number = std::to_string(i + 1);
      const std::string equality = pg::equality(key.type.oid, key.type.oid);
      const std::string given = joined({"given.\"?key", number, "\"", pg::collate(key.type.collation)});
      are_of_conversion += joined({key.sql, " ", equality, " ", given, " AND "});
      are_old += joined({"old.key", number, " ", equality, " ", given, " AND "});
    }
  }
  std::string from_remembered(const Binding &binding, const KeysAsked &asked) const {
    return joined({" FROM ", asked.given, " JOIN ", relation_name(binding.spec.storage->installations), " AS old ON ",
                   are_old, "old.conversion_time <= given.\"?until\" WHERE old.conversion_time < ", asked.horizon});
  }

  std::string are_of_conversion, are_old;
};

} // namespace

std::string installation_keys(const Binding &binding) {
  std::string keys;
  for (const Expression &key : binding.installation_key)
    keys += (keys.empty() ? "" : ", ") + key.sql;
  return joined({"SELECT ", keys, " FROM ", binding.conversions.name, " AS conversion WHERE true",
                 and_filter(binding.spec.filter)});
}

bool remembers(const Binding &binding) {
  return binding.spec.storage && OidIsValid(binding.spec.storage->installations) && binding.spec.horizon;
}

std::string remembered_of_keys(const Binding &binding, const KeysAsked &asked) {
  return "SELECT given.\"?number\", old.conversion_time" + GivenKeys(binding).from_remembered(binding, asked);
}

std::string conversions_of_keys(const Binding &binding, const KeysAsked &asked, bool stored) {
  const std::string &relation = binding.conversions.name;
  const std::string id = "conversion." + binding.id.quoted;
  const std::string time = "conversion." + binding.time.quoted;
  const std::string filter = and_filter(binding.spec.filter);
  const GivenKeys keys(binding);
  std::string sql = "SELECT given.\"?number\", " + time + " AS \"?time\", " + id + " AS \"?id\", false FROM " +
                    asked.given + " JOIN " + relation + " AS conversion ON " + keys.are_of_conversion + time +
                    " <= given.\"?until\" WHERE pg_catalog.isfinite(" + time + ") AND " + id + " IS NOT NULL" + filter;
  if (!binding
           .id_is_unique) { // rule 7: of several rows of one id the earliest, then the least by text, is the conversion
    std::string texts, earlier_texts, outputs;
    for (std::size_t i = 0; i < binding.columns.size(); ++i) {
      const std::string column = "conversion." + binding.columns[i].quoted;
      const std::string name = joined({"\"?text", std::to_string(i), "\""});
      const auto text_of = [i](const std::string &value) {
        return joined({i == 0 ? "" : ", ", value, " IS NULL, pg_catalog.concat(", value, ") COLLATE pg_catalog.\"C\""});
      };
      texts += text_of(column);
      earlier_texts += text_of("earlier." + name);
      outputs += joined({", ", column, " AS ", name});
    }
    sql += " AND NOT EXISTS (SELECT FROM (SELECT " + id + " AS id, " + time + " AS at" + outputs + " FROM " + relation +
           " AS conversion WHERE pg_catalog.isfinite(" + time + ")" + filter + ") AS earlier WHERE " +
           same_id(binding, "earlier.id", id) + " AND (earlier.at < " + time;
    if (!texts.empty())
      sql += " OR earlier.at = " + time + " AND ROW(" + earlier_texts + ") < ROW(" + texts + ")";
    sql += "))";
  }
  if (stored && remembers(binding)) {
    // Whose decision lies before the horizon had its earliest row there: what comes later is the same conversion again.
    sql += joined({" AND NOT EXISTS (SELECT FROM ", relation_name(binding.spec.storage->decisions),
                   " AS known WHERE known.conversion_id = ", id, pg::collate(id_collation(binding)),
                   " AND known.conversion_time < ", asked.horizon, ")"});
    sql += joined({" UNION ALL SELECT given.\"?number\", old.conversion_time, old.conversion_id, true",
                   keys.from_remembered(binding, asked)});
  }
  return "SELECT * FROM (" + sql + ") AS found(number, at, id, remembered) ORDER BY number, at, id" +
         c_collate(binding.id) + ", remembered DESC";
}

std::string equals(const Binding &binding, const Pair &pair) {
  return "touch." + pair.touch.quoted + pg::collate(pair.touch.type.collation) + " " + pair.equality + " conversion." +
         binding.columns[pair.conversion].quoted;
}

std::string has_empty_key(const Binding &binding, const BoundTier &tier, const std::string &empty) {
  std::vector<std::string> conditions;
  for (const Pair &pair : tier.match)
    conditions.push_back(is_empty(binding, "touch", pair.touch, empty));
  return any_of(conditions);
}

std::string conflicts(const Binding &binding, const BoundTier &tier, const std::string &empty) {
  std::vector<std::string> conditions;
  for (const Pair &pair : tier.conflict) {
    conditions.push_back("(NOT " + equals(binding, pair) + " AND NOT " + is_empty(binding, "touch", pair.touch, empty) +
                         " AND NOT " + is_empty(binding, "conversion", binding.columns[pair.conversion], empty) +
                         ") IS TRUE");
  }
  return any_of(conditions);
}

std::string own_lookback(const BoundTier &tier) {
  if (!tier.lookback)
    return "NULL::bigint";
  const std::string column = "touch." + tier.lookback->quoted;
  return "CASE WHEN " + column + " IS NOT NULL THEN GREATEST(-9e17, LEAST(9e17, pg_catalog.\"extract\"('epoch', " +
         column + ") * 1000000))::bigint END";
}

std::string channel_of(const Binding &binding) {
  return "COALESCE(" + embed(binding.spec.channel) + "::pg_catalog.text, '" + kNoChannel + "')";
}

std::string touchpoints_of(const Binding &binding, std::size_t number, Search search, bool channels) {
  const BoundTier &tier = binding.tiers[number];
  const TierSpec &spec = binding.spec.tiers[number];
  const bool near_misses = search == Search::near_misses;
  const std::string time = "touch." + tier.time.quoted;
  const std::string id = "touch." + tier.id.quoted;
  const std::string at = "conversion." + binding.time.quoted;
  const std::string empty = param(kParamEmpty);

  // An array has its type's collation; its elements get back the column's, which predicates may rely on.
  std::string arrays, names, columns;
  const auto unnest = [&](int array, const std::string &name, Oid collation = InvalidOid) {
    const char *comma = names.empty() ? "" : ", ";
    arrays += comma + ("pg_catalog.unnest(" + param(array) + ")");
    names += comma + name;
    columns += comma + ("given." + name + pg::collate(collation) + " AS " + name);
  };
  unnest(kParamNumber, "\"?number\"");
  unnest(kParamSince, "\"?since\"");
  unnest(kParamUntil, "\"?until\"");
  unnest(kParamId, is_used(binding, binding.id) ? "\"?id\"" : binding.id.quoted, binding.id.type.collation);
  unnest(kParamTime, is_used(binding, binding.time) ? "\"?time\"" : binding.time.quoted);
  for (std::size_t i = 0; i < binding.columns.size(); ++i)
    unnest(kParamColumns + static_cast<int>(i), binding.columns[i].quoted, binding.columns[i].type.collation);
  if (search == Search::found)
    unnest(kParamRows, "\"?row\"");
  const std::string conversions =
      "(SELECT " + columns + " FROM ROWS FROM (" + arrays + ") AS given(" + names + ")) AS conversion";

  // The filter sees the touch alone, so that a bare column name can't mean the conversion's.
  std::string touches = "(SELECT " + id + ", " + time;
  for (const Column &column : tier.columns)
    touches += ", touch." + column.quoted;
  if (near_misses)
    touches += ", " + (spec.filter.empty() ? "true" : embed(spec.filter)) + " AS \"?filter\"";
  if (search == Search::found)
    touches += ", touch.ctid AS \"?place\", touch.tableoid AS \"?table\"";
  if (channels)
    touches += ", " + channel_of(binding) + " AS \"?channel\"";
  touches += " FROM " + tier.touchpoints.name + " AS touch";
  if (!near_misses && !spec.filter.empty())
    touches += " WHERE " + embed(spec.filter);
  touches += ") AS touch";

  std::string sql = "SELECT conversion.\"?number\", " + time + " AS \"?time\", " + own_lookback(tier) + ", " +
                    fact(has_empty_key(binding, tier, empty), core::kEmptyKey);
  if (!tier.conflict.empty())
    sql += " + " + fact(conflicts(binding, tier, empty), core::kConflict);
  if (near_misses) {
    sql += " + " + fact("(\"?filter\") IS NOT TRUE", core::kFiltered);
    if (!spec.predicate.empty())
      sql += " + " + fact("CASE WHEN \"?filter\" THEN " + embed(spec.predicate) + " END IS NOT TRUE",
                          core::kPredicateFails); // not tried on what the filter rules out: it may rely on that
  }
  sql += " AS \"?facts\", " + id + " AS \"?id\"";
  for (const Column &column : tier.columns)
    sql += ", touch." + column.quoted;
  if (channels)
    sql += ", touch.\"?channel\"";
  if (near_misses)
    sql += ", " + at + " AS \"?at\"";
  sql += " FROM " + conversions + " JOIN " + touches + " ON ";
  if (search == Search::found)
    sql += "\"?place\" = \"?row\" AND \"?table\" = " + param(kParamTable) + " AND ";
  for (const Pair &pair : tier.match)
    sql += equals(binding, pair) + " AND ";
  sql += time + " >= conversion.\"?since\" AND " + time + " <= conversion.\"?until\"";
  // Constants for the batch as well: they prune partitions where the join can't.
  sql += " WHERE " + time + " >= " + param(kParamEarliest) + " AND " + time + " <= " + param(kParamLatest) + " AND " +
         id + " IS NOT NULL";
  if (!near_misses && !spec.predicate.empty())
    sql += " AND " + embed(spec.predicate);
  if (!near_misses)
    return sql;
  // What nothing but its time can rule out first; then the nearest, before the conversion and then after it.
  return "SELECT * FROM (" + sql +
         ") AS found ORDER BY \"?facts\" > 0, \"?time\" > \"?at\", GREATEST(\"?time\", \"?at\"), " +
         "\"?time\" DESC, \"?id\"" + c_collate(tier.id) + " DESC LIMIT " + param(kParamLimit);
}

std::string dimension_rows(const Binding &binding, const BoundEnrichment &enrichment, const std::string &given,
                           const std::string &empty) {
  const std::string time = "given.\"?time\"";
  const auto name = [](const Column &column) { return "dimension." + column.quoted; };
  std::string columns, joins, where, order;
  const auto then_by_text = [&](const Column &column) {
    order += joined({", ", name(column), " IS NULL, pg_catalog.concat(", name(column), ") COLLATE pg_catalog.\"C\""});
  };
  for (std::size_t i = 0; i < enrichment.match.size(); ++i) {
    const Column &match = enrichment.match[i];
    const std::string key = "given.\"?key" + std::to_string(i + 1) + "\"";
    joins += joined(
        {i == 0 ? "" : " AND ", name(match), pg::collate(match.type.collation), " ", enrichment.equality[i], " ", key});
    where += joined({i == 0 ? "" : " AND ", "NOT ", is_empty(binding, key, enrichment.given_types[i], empty)});
  }
  if (enrichment.valid_from) {
    const std::string from = name(*enrichment.valid_from);
    where += joined({" AND (", from, " IS NULL OR ", from, " <= ", time, ")"});
    order += joined({", ", from, " DESC NULLS LAST"});
  }
  if (enrichment.valid_to) {
    const std::string to = name(*enrichment.valid_to);
    where += joined({" AND (", to, " IS NULL OR ", time, " < ", to, ")"});
    order += joined({", ", to, " NULLS LAST"});
  }
  if (enrichment.valid_during) {
    const std::string during = name(*enrichment.valid_during);
    where += joined({" AND ", during, " @> ", time});
    order += joined({", pg_catalog.lower(", during, ") DESC NULLS LAST, pg_catalog.upper(", during, ") NULLS LAST"});
    then_by_text(*enrichment.valid_during);
  }
  for (const Column &column : enrichment.columns) {
    columns += ", " + name(column);
    then_by_text(column);
  }
  return joined({"SELECT ", enrichment.is_unique ? "" : "DISTINCT ON (given.\"?number\") ", "given.\"?number\"",
                 columns, " FROM ", given, " JOIN ", enrichment.dimension.name, " AS dimension ON ", joins, " WHERE ",
                 where, enrichment.is_unique ? "" : " ORDER BY given.\"?number\"" + order});
}

std::string condition_on(const Relation &relation, const char *alias, const std::string &condition) {
  return "SELECT FROM " + relation.name + " AS " + alias + " WHERE " + embed(condition);
}

} // namespace attribution::engine
