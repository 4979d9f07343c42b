#include "catalog.hpp"

#include "errors.hpp"
#include "quote.hpp"

#include <charconv>

namespace bridge {

namespace {

// An integer by its name would be taken for another one of the same width: names, types and their modifiers count.
constexpr char kShape[] =
    "(SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attname, a.atttypid, a.atttypmod, a.attnotnull), ',' "
    "ORDER BY a.attnum) FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT "
    "a.attisdropped)";

} // namespace

Target read_target(Postgres &postgres, const std::string &table) {
  Target target;
  const PgResult relation =
      postgres.run(std::string("SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname), ") + kShape +
                       " FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
                       " WHERE c.oid = pg_catalog.to_regclass($1)",
                   {table});
  if (PQntuples(relation.get()) == 0)
    throw ConfigError("there is no table " + table);
  target.name = text_at(relation, 0, 1);
  target.shape = text_at(relation, 0, 2);
  const PgResult columns =
      postgres.run("WITH RECURSIVE base AS ("
                   "  SELECT a.attnum, a.attname, a.attnotnull, a.atthasdef OR a.attidentity <> '' OR t.typdefault IS "
                   "NOT NULL AS has_default,"
                   "         a.attgenerated <> '' OR a.attidentity = 'a' AS is_generated, t.oid, t.typname, t.typtype, "
                   "t.typbasetype, t.typnotnull"
                   "    FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid"
                   "   WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped"
                   "   UNION ALL"
                   "  SELECT b.attnum, b.attname, b.attnotnull OR b.typnotnull, b.has_default, b.is_generated, t.oid, "
                   "t.typname, t.typtype, t.typbasetype, t.typnotnull"
                   "    FROM base AS b JOIN pg_catalog.pg_type AS t ON t.oid = b.typbasetype WHERE b.typtype = 'd')"
                   "SELECT attname, oid, typname, typtype = 'e', attnotnull, has_default, is_generated FROM base WHERE "
                   "typtype <> 'd' ORDER BY attnum",
                   {text_at(relation, 0, 0)});
  for (int row = 0; row < PQntuples(columns.get()); ++row) {
    const auto is_true = [&](int column) { return text_at(columns, row, column) == "t"; };
    TargetColumn column;
    column.name = text_at(columns, row, 0);
    const std::string type = text_at(columns, row, 1);
    std::from_chars(type.data(), type.data() + type.size(), column.type);
    column.type_name = text_at(columns, row, 2);
    column.is_enum = is_true(3);
    column.not_null = is_true(4);
    column.has_default = is_true(5);
    column.is_generated = is_true(6);
    target.columns.push_back(column);
  }
  return target;
}

std::string require_shape(const Target &target) {
  return std::string("SELECT CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = "
                     "pg_catalog.to_regclass(") +
         quote_literal(target.name) + ") AND " + kShape + " = " + quote_literal(target.shape) +
         ") THEN attribution._bridge_changed(" + quote_literal(target.name) + ") END";
}

} // namespace bridge
