// What decisions keep of dimension tables: users, products, campaigns.
#pragma once

#include "engine/ledger.hpp"

namespace attribution::engine {

/// Looks up, in the active snapshot, what headers and credits keep of dimensions: as of the conversion's time where a
/// dimension has history. What has no row there is null.
void enrich(Decided &decided);

/// Raises an error if `reader` or the present user may not read a dimension, or if reading it does more than that.
void check_enrichments(const Binding &binding, Oid reader);

} // namespace attribution::engine
