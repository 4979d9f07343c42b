#include "pg/expression.hpp"

#include "pg/compat.hpp"

namespace attribution::pg {

namespace {

bool collect(Node *node, void *context) {
  if (node == nullptr)
    return false;
  if (IsA(node, ColumnRef)) {
    List **found = static_cast<List **>(context);
    *found = lappend(*found, node);
    return false;
  }
  return walk_raw_expression(node, collect, context);
}

/// The one expression of "SELECT text", or null if there is more to it than that.
Node *only_expression(const char *sql) {
  List *statements = raw_parser(sql, RAW_PARSE_DEFAULT);
  if (list_length(statements) != 1)
    return nullptr;
  Node *statement = linitial_node(RawStmt, statements)->stmt;
  if (!IsA(statement, SelectStmt))
    return nullptr;
  SelectStmt *select = reinterpret_cast<SelectStmt *>(statement);
  if (list_length(select->targetList) != 1 || select->distinctClause != NIL || select->intoClause != nullptr ||
      select->fromClause != NIL || select->whereClause != nullptr || select->groupClause != NIL ||
      select->havingClause != nullptr || select->windowClause != NIL || select->valuesLists != NIL ||
      select->sortClause != NIL || select->limitOffset != nullptr || select->limitCount != nullptr ||
      select->lockingClause != NIL || select->withClause != nullptr || select->op != SETOP_NONE)
    return nullptr;
  ResTarget *target = linitial_node(ResTarget, select->targetList);
  return target->name == nullptr ? target->val : nullptr;
}

const char *string_at(List *fields, int at) {
  Node *field = static_cast<Node *>(list_nth(fields, at));
  return IsA(field, String) ? strVal(field) : nullptr;
}

} // namespace

std::vector<ColumnName> columns_of_expression(const std::string &text, const std::string &what) {
  const std::string sql = "SELECT " + text;
  List *found = NIL;
  Node *expression = nullptr;
  try {
    expression = call([&] {
      Node *parsed = only_expression(sql.c_str());
      if (parsed != nullptr)
        collect(parsed, &found);
      return parsed;
    });
  } catch (const PgError &error) {
    throw Error(error.error->sqlerrcode, what + " is not an SQL expression: " + error.what());
  }
  if (expression == nullptr)
    throw Error(ERRCODE_SYNTAX_ERROR, what + " is not a single SQL expression");

  std::vector<ColumnName> names;
  for (int i = 0; i < list_length(found); ++i) {
    List *fields = static_cast<ColumnRef *>(list_nth(found, i))->fields;
    const char *last = string_at(fields, list_length(fields) - 1);
    ColumnName name;
    if (list_length(fields) == 1 && last != nullptr)
      name.column = last;
    if (list_length(fields) == 2) {
      name.qualifier = string_at(fields, 0);
      name.column = last != nullptr ? last : "";
    }
    names.push_back(name);
  }
  return names;
}

} // namespace attribution::pg
