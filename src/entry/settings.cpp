#include "entry/settings.hpp"

#include "pg/prelude.hpp"

namespace attribution::entry {

namespace {
int work_mem_kb = 64 * 1024;
constexpr int kMostInBatch = 1000000;
/// The more conversions, the more of them a page that is read is for: of a day's touchpoints, in batches of 10,000,
/// each read all of the clicks' indexes. (1 M installs: 73 GB into buffers, in batches of up to 50,000 49 GB.)
constexpr int kMostInRun = 30000;
int most_in_batch = 0;
int least_in_parallel = 10000;
bool touch_index_on = true;
bool worker_on = true;
int interval_s = 60;
int retry_limit_s = 300;
} // namespace

void define_settings() {
  DefineCustomIntVariable("attribution.work_mem", "Memory for the touchpoints and for the conversions of a batch.",
                          "A batch that needs more is made smaller.", &work_mem_kb, work_mem_kb, 64, MAX_KILOBYTES,
                          PGC_USERSET, GUC_UNIT_KB, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("attribution.batch_size", "How many conversions are attributed at a time, at most.",
                          "0: 30,000 in a transaction of a run; as many as attribution.work_mem holds where nothing is "
                          "written.",
                          &most_in_batch, most_in_batch, 0, kMostInBatch, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("attribution.min_parallel_conversions",
                          "Parallel workers help where each has about so many conversions at least.",
                          "max_parallel_workers_per_gather says how many workers there may be.", &least_in_parallel,
                          least_in_parallel, 1, INT_MAX, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable("attribution.enable_touch_index", "Whether touchpoints are found by touch indexes.",
                           "Without, or where there is none, plain SQL finds them.", &touch_index_on, touch_index_on,
                           PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable("attribution.worker", "Whether background workers decide conversions as they are committed.",
                           "They need shared_preload_libraries = 'attribution'.", &worker_on, worker_on, PGC_SIGHUP, 0,
                           nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "attribution.worker_interval", "A worker sleeps at most so long.",
      "It is waked by commits, and when a conversion is due; this is for what neither announces, such "
      "as attached partitions.",
      &interval_s, interval_s, 1, 24 * 3600, PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("attribution.worker_retry_limit",
                          "The longest delay before a rule that failed is tried again.",
                          "The delay begins at a second and doubles with each failure.", &retry_limit_s, retry_limit_s,
                          1, 24 * 3600, PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
  MarkGUCPrefixReserved("attribution");
}

std::size_t work_mem() { return static_cast<std::size_t>(work_mem_kb) * 1024; }
std::size_t batch_bytes() {
  // Its values may become arrays, which PostgreSQL holds below 1 GB.
  constexpr std::size_t kMost = std::size_t{128} << 20;
  return std::min(work_mem() / 4, kMost);
}
std::size_t candidate_bytes() { return work_mem() / 4; }
bool is_touch_index_on() { return touch_index_on; }
bool is_worker_on() { return worker_on; }
core::Micros worker_interval() { return core::Micros{interval_s} * 1'000'000; }
core::Micros worker_retry_limit() { return core::Micros{retry_limit_s} * 1'000'000; }
engine::BatchLimits read_limits() { return {batch_size(), batch_bytes()}; }
std::uint32_t batch_size() { return static_cast<std::uint32_t>(most_in_batch > 0 ? most_in_batch : kMostInBatch); }
std::uint32_t run_batch_size() { return static_cast<std::uint32_t>(most_in_batch > 0 ? most_in_batch : kMostInRun); }
int min_parallel_conversions() { return least_in_parallel; }

} // namespace attribution::entry
