// Building a touch index from the rows of its table.
#pragma once

#include "pg/prelude.hpp"

namespace attribution::touch {

/// Whether an index is one of ours.
bool is_touch(Relation index);

/// ambuild
IndexBuildResult *build(Relation table, Relation index, IndexInfo *info);
/// ambuildempty: the initial fork of an unlogged index
void build_empty(Relation index);

} // namespace attribution::touch
