// Removing the entries of rows that are gone.
#pragma once

#include "pg/prelude.hpp"

namespace attribution::touch {

/// ambulkdelete
IndexBulkDeleteResult *bulk_delete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats, IndexBulkDeleteCallback is_dead,
                                   void *state);
/// amvacuumcleanup
IndexBulkDeleteResult *vacuum_cleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats);

} // namespace attribution::touch
