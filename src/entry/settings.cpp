#include "entry/settings.hpp"

#include "pg/prelude.hpp"

namespace attribution::entry {

namespace {
int work_mem_kb = 64 * 1024;
int most_in_batch = 10000;
} // namespace

void define_settings() {
  DefineCustomIntVariable("attribution.work_mem", "Memory for the touchpoints and for the conversions of a batch.",
                          "A batch that needs more is made smaller.", &work_mem_kb, work_mem_kb, 64, MAX_KILOBYTES,
                          PGC_USERSET, GUC_UNIT_KB, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("attribution.batch_size", "How many conversions are attributed at a time, at most.", nullptr,
                          &most_in_batch, most_in_batch, 1, 1000000, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  MarkGUCPrefixReserved("attribution");
}

std::size_t work_mem() { return static_cast<std::size_t>(work_mem_kb) * 1024; }
std::size_t batch_bytes() {
  constexpr std::size_t kMost = std::size_t{128} << 20; // its values become arrays, which PostgreSQL holds below 1 GB
  return std::min(work_mem() / 4, kMost);
}
std::uint32_t batch_size() { return static_cast<std::uint32_t>(most_in_batch); }

} // namespace attribution::entry
