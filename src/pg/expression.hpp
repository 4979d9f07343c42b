// Looking into an SQL expression that a rule's author wrote, before it becomes part of a query.
#pragma once

#include "pg/guard.hpp"

namespace attribution::pg {

/// A column as an expression names it. `qualifier` is empty for a bare name; `column` is empty for anything that is no
/// plain column of one relation (a whole row, a longer path).
struct ColumnName {
  std::string qualifier, column;
};

/// Parses `text` as one SQL expression and lists the columns it names, in order of appearance. `what` begins the
/// message of the error that anything else gets: "filter of tier \"x\"".
std::vector<ColumnName> columns_of_expression(const std::string &text, const std::string &what);

} // namespace attribution::pg
