// Bitmap scans: WHERE store = .. AND device = .. [AND event_time ..].
#pragma once

#include "pg/prelude.hpp"

namespace attribution::touch {

/// The strategies of operators: '=' on the key columns, all of them on the time.
enum Strategy : StrategyNumber { kEqual = 1, kLess, kLessOrEqual, kGreaterOrEqual, kGreater };

/// ambeginscan, amrescan, amgetbitmap, amendscan
IndexScanDesc begin_scan(Relation index, int keys, int orderings);
void rescan(IndexScanDesc scan, ScanKey keys, int, ScanKey, int);
std::int64_t get_bitmap(IndexScanDesc scan, TIDBitmap *bitmap);
void end_scan(IndexScanDesc scan);

/// amcostestimate
void estimate_cost(PlannerInfo *root, IndexPath *path, double loop_count, Cost *startup, Cost *total,
                   Selectivity *selectivity, double *correlation, double *pages);

} // namespace attribution::touch
