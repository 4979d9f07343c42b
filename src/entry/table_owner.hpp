// Work on a table that is done with the rights of who owns it: it runs the owner's code, which a caller with more rights
// must not lend them to.
#pragma once

#include "pg/security.hpp"

namespace attribution::entry {

/// The owner of a table, whose privileges the caller must have; raises an error otherwise, or if there is no such table.
Oid require_owner(Oid relation);

} // namespace attribution::entry
