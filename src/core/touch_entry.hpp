// What a touch index knows of a row: the hash of its key, its time, and where it is.
#pragma once

#include "core/time.hpp"

#include <cstdint>

namespace attribution::core {

/// Hashes that no key has: of a key with a NULL in it, which is looked for by nobody. It is the last one, so that such
/// keys come last, in a bucket of their own.
inline constexpr std::uint32_t kNullKey = UINT32_MAX;

/// Adds the hash of one more key column to that of those before it; begins with 0.
constexpr std::uint32_t combine(std::uint32_t so_far, std::uint32_t column) noexcept {
  // A 64-bit multiplication mixes both halves; the golden ratio's digits are as good as any odd number.
  const std::uint64_t mixed = ((std::uint64_t{so_far} << 32 | column) ^ 0x9e3779b97f4a7c15U) * 0xd6e8feb86659fd93U;
  return static_cast<std::uint32_t>(mixed >> 32) ^ static_cast<std::uint32_t>(mixed);
}

/// The hash of a key none of whose columns is NULL, from what combine() made.
constexpr std::uint32_t key_hash(std::uint32_t combined) noexcept {
  return combined == kNullKey ? kNullKey - 1 : combined;
}

struct TouchEntry {
  Micros time;
  std::uint32_t hash;
  std::uint32_t block;  ///< of the row, in its table
  std::uint16_t offset; ///< of its line pointer

  bool operator==(const TouchEntry &) const = default;
};

/// The order within a bucket that is written anew: oldest first.
constexpr bool is_older(const TouchEntry &a, const TouchEntry &b) noexcept { return a.time < b.time; }

} // namespace attribution::core

#include "core/no_postgres.hpp"
