#include "touch/read_ahead.hpp"

#include "pg/compat.hpp"

#include <fcntl.h>

namespace attribution::touch {

namespace {

constexpr BlockNumber kStretch = 128 * 1024 / BLCKSZ;
constexpr BlockNumber kEvery = 8;
constexpr BlockNumber kNear = 8; ///< stretches that may be left out, as nobody wants anything of them
constexpr int kMostStrays = 16;

double batches_to_come = 0;

} // namespace

Foresight::Foresight(double batches) { batches_to_come = batches; }

Foresight::~Foresight() { batches_to_come = 0; }

ReadAhead::ReadAhead(Relation relation, BlockNumber blocks, std::size_t wanted) : relation_(relation) {
  const auto wanted_in_all = static_cast<double>(wanted) * (1 + batches_to_come);
  const BlockNumber enough = blocks / kEvery;
  pays_ = effective_io_concurrency > 0 && !RelationUsesLocalBuffers(relation) && blocks > kStretch &&
          (wanted >= enough || (wanted_in_all >= enough && blocks <= static_cast<BlockNumber>(effective_cache_size)));
}

bool ReadAhead::covers(BlockNumber block) {
  if (!pays_)
    return false;
  const BlockNumber stretch = block / kStretch;
  if (stretch < next_ && stretch + kNear >= next_)
    return true;
  // Chains that were made later lie anywhere.
  if ((stretch < next_ || stretch >= next_ + kNear) && ++strays_ < kMostStrays)
    return false;
  read(stretch);
  next_ = stretch + 1;
  strays_ = 0;
  return pays_;
}

void ReadAhead::read([[maybe_unused]] BlockNumber stretch) {
#ifdef USE_POSIX_FADVISE
  const BlockNumber segment = stretch * kStretch / RELSEG_SIZE;
  if (segment != segment_) {
    close();
    const char *path = pg::path_of(relation_);
    file_ = OpenTransientFile(segment == 0 ? path : psprintf("%s.%u", path, segment), O_RDONLY | PG_BINARY);
    segment_ = segment;
  }
  if (file_ >= 0) {
    pgstat_report_wait_start(WAIT_EVENT_DATA_FILE_PREFETCH);
    (void)posix_fadvise(file_, static_cast<off_t>(stretch * kStretch % RELSEG_SIZE) * BLCKSZ,
                        static_cast<off_t>(kStretch) * BLCKSZ, POSIX_FADV_WILLNEED);
    pgstat_report_wait_end();
    return;
  }
#endif
  pays_ = false;
}

void ReadAhead::close() {
  if (file_ >= 0)
    (void)CloseTransientFile(file_);
  file_ = -1;
}

} // namespace attribution::touch
