// An author's expression, prepared on its own, so that it is blamed for what is wrong with it.
#pragma once

#include "pg/spi.hpp"

namespace attribution::engine {

/// Makes an expression safe to embed: a comment at its end must not swallow what follows.
std::string embed(const std::string &expression);

/// Puts the parts of a query together.
std::string joined(std::initializer_list<std::string_view> parts);

/// Prepares a query that holds an author's expression; an ERROR begins with `what`. Volatile functions are refused.
pg::Plan prepare_expression(const std::string &sql, const std::string &what);

} // namespace attribution::engine
