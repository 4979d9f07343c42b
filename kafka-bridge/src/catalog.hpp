// What PostgreSQL says of a target table.
#pragma once

#include "mapper.hpp"
#include "postgres.hpp"

#include <string>

namespace bridge {

/// Throws ConfigError if there is no such table.
Target read_target(Postgres &postgres, const std::string &table);

/// SQL that fails, with a SQLSTATE of no row's, if the table's columns are not as they were. For the transaction that
/// has the table locked by its COPY.
std::string require_shape(const Target &target);

} // namespace bridge
