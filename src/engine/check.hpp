// Whether a rule can run: found out when it is made, with errors that name what is at fault.
#pragma once

#include "engine/binding.hpp"

namespace attribution::engine {

/// Checks the expressions of a bound rule one by one, then prepares every query that reads for the rule. Returns
/// whether the rule's filter depends on the row alone: on no setting, clock or other table.
bool check(const Binding &binding, Oid reader);

} // namespace attribution::engine
