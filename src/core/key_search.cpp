#include "core/key_search.hpp"

#include "core/radix_sort.hpp"

#include <algorithm>
#include <bit>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace attribution::core {

std::size_t find_hash_portably(const std::uint32_t *hashes, std::size_t count, std::uint32_t hash,
                               std::uint16_t *found) noexcept {
  std::size_t places = 0;
  for (std::size_t i = 0; i < count; ++i) {
    found[places] = static_cast<std::uint16_t>(i);
    places += hashes[i] == hash ? 1 : 0;
  }
  return places;
}

#if defined(__x86_64__)
namespace {

__attribute__((target("avx2"))) std::size_t find_hash_avx2(const std::uint32_t *hashes, std::size_t count,
                                                           std::uint32_t hash, std::uint16_t *found) noexcept {
  const __m256i wanted = _mm256_set1_epi32(static_cast<int>(hash));
  std::size_t places = 0;
  std::size_t i = 0;
  const auto equal = [&](std::size_t at) __attribute__((target("avx2"))) {
    return _mm256_cmpeq_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(hashes + at)), wanted);
  };
  for (; i + 32 <= count; i += 32) {
    const __m256i a = equal(i);
    const __m256i b = equal(i + 8);
    const __m256i c = equal(i + 16);
    const __m256i d = equal(i + 24);
    if (_mm256_testz_si256(_mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d)), _mm256_set1_epi32(-1)))
      continue;
    const auto bits = [](__m256i lanes) __attribute__((target("avx2"))) {
      return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(lanes)));
    };
    for (std::uint32_t mask = bits(a) | bits(b) << 8 | bits(c) << 16 | bits(d) << 24; mask != 0; mask &= mask - 1)
      found[places++] = static_cast<std::uint16_t>(i + static_cast<std::size_t>(std::countr_zero(mask)));
  }
  for (; i < count; ++i)
    if (hashes[i] == hash)
      found[places++] = static_cast<std::uint16_t>(i);
  return places;
}

} // namespace
#endif

std::size_t find_hash(const std::uint32_t *hashes, std::size_t count, std::uint32_t hash,
                      std::uint16_t *found) noexcept {
#if defined(__x86_64__)
  static const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
  if (has_avx2)
    return find_hash_avx2(hashes, count, hash, found);
#endif
  return find_hash_portably(hashes, count, hash, found);
}

void sort_by_hash(std::vector<Wanted> &wanted) {
  std::vector<Wanted> spare(wanted.size());
  radix_sort(std::span(wanted), spare.data(), [](const Wanted &one) { return one.hash; });
}

void KeySearch::begin(std::span<const Wanted> wanted) noexcept {
  wanted_ = wanted;
  keys_ = 0;
  since_ = kInfinity;
  until_ = kMinusInfinity;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    keys_ += i == 0 || wanted[i].hash != wanted[i - 1].hash ? 1 : 0;
    since_ = std::min(since_, wanted[i].since);
    until_ = std::max(until_, wanted[i].until);
  }
  if (keys_ <= kFew)
    return;
  filter_.fill(0);
  for (const Wanted &w : wanted)
    filter_[bit_of(w.hash) / 64] |= std::uint64_t{1} << bit_of(w.hash) % 64;
}

std::size_t KeySearch::find_any(const BucketPage &page, std::uint16_t *found) const noexcept {
  const std::uint32_t *hashes = page.hashes();
  const std::size_t count = page.count();
  std::size_t places = 0;
  // Without a branch: one that is hard to foresee costs more than a store that is not needed.
  for (std::size_t i = 0; i < count; ++i) {
    found[places] = static_cast<std::uint16_t>(i);
    places += filter_[bit_of(hashes[i]) / 64] >> bit_of(hashes[i]) % 64 & 1;
  }
  return places;
}

/// What is around the place where the hash should be, to be compared at once: branches would be as hard to foresee as
/// hashes are. Of 450 entries it is there in nine of ten cases.
KeySearch::Part KeySearch::part_with(const BucketPage &page, std::uint32_t hash) noexcept {
  constexpr std::size_t kAround = 16;
  const std::uint32_t *hashes = page.hashes();
  const std::size_t count = page.count();
  std::size_t begin = page.about(hash);
  std::size_t end = begin;
  do
    begin -= std::min(begin, kAround);
  while (begin > 0 && hashes[begin - 1] >= hash);
  do
    end = std::min(end + kAround, count);
  while (end < count && hashes[end] <= hash);
  return {begin, end - begin};
}

const Wanted *KeySearch::first_of(std::uint32_t hash) const noexcept {
  return std::lower_bound(wanted_.data(), wanted_.data() + wanted_.size(), hash,
                          [](const Wanted &w, std::uint32_t h) { return w.hash < h; });
}

} // namespace attribution::core
