// Whether a rule can run: found out when it is made, with errors that name what is at fault.
#pragma once

#include "engine/binding.hpp"

namespace attribution::engine {

/// Checks the expressions of a bound rule one by one, then prepares every query that the rule can run.
void check(const Binding &binding, Oid reader);

} // namespace attribution::engine
