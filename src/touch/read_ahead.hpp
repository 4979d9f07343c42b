// Reading a relation from the disk by long stretches, for who goes through much of it in the order of its pages. (A
// second gives 34,000 pages one by one, 94,000 by stretches here and there, and 220,000 in a row.)
#pragma once

#include "pg/prelude.hpp"

namespace attribution::touch {

/// Says for a scope that so many batches will follow, each of which wants as much of the same relations as this one.
class Foresight {
public:
  explicit Foresight(double batches);
  ~Foresight();
  Foresight(const Foresight &) = delete;
  Foresight &operator=(const Foresight &) = delete;
};

/// Has the pages around those that are wanted read into the system's cache, a stretch of 128 kB at a time, where at
/// least every eighth page is wanted: by this batch, or by those that follow as well, if the cache is said to have room
/// for all (effective_cache_size). Else each is asked for alone. To be closed; an ERROR closes it too.
class ReadAhead {
public:
  /// `wanted`: at most so many pages of the relation's.
  ReadAhead(Relation relation, BlockNumber blocks, std::size_t wanted);
  /// Whether a page that will be read comes with its stretch, so that nobody needs to ask for it.
  bool covers(BlockNumber block);
  void close();

private:
  void read(BlockNumber stretch);

  Relation relation_;
  bool pays_;
  BlockNumber next_ = 0; ///< stretch
  int strays_ = 0;       ///< pages that lie elsewhere, since the last stretch
  int file_ = -1;
  BlockNumber segment_ = InvalidBlockNumber; ///< of the file
};

} // namespace attribution::touch
