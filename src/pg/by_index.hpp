// What the planner is told about a batch.
#pragma once

#include "pg/security.hpp"

namespace attribution::pg {

/// Has what is planned in a scope find rows by indexes where there are any. A batch of a run is small beside the tables
/// that it looks its rows up in, but the planner can't know: its statistics are from before a flood, and of what a
/// batch holds there are none. It read, sorted and joined whole tables, more with each batch. (101,328 checkouts in
/// batches of 10,000: 17.0 s of processor time to decide them, and 10.4 s to find that nothing has changed; so 12.0
/// and 5.8 s.)
class ByIndex {
public:
  /// `besides`: another way that is not to be gone, where each row has an index to be found by.
  explicit ByIndex(const char *besides = nullptr) {
    call([this, besides] {
      nest_level_ = NewGUCNestLevel();
      for (const char *way : {"enable_seqscan", "enable_mergejoin", "enable_sort"})
        pin(way, "off");
      if (besides != nullptr)
        pin(besides, "off");
      pin("max_parallel_workers_per_gather", "0");
    });
  }
  ~ByIndex() {
    if (std::uncaught_exceptions() == 0)
      AtEOXact_GUC(false, nest_level_);
  }
  ByIndex(const ByIndex &) = delete;
  ByIndex &operator=(const ByIndex &) = delete;

private:
  int nest_level_ = 0;
};

} // namespace attribution::pg
