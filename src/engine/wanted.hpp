// Who is looked for in touch indexes, and in what order.
#pragma once

#include "core/key_search.hpp"
#include "pg/guard.hpp"
#include "touch/key.hpp"
#include "touch/leaves.hpp"

#include <optional>
#include <span>
#include <vector>

namespace attribution::engine {

/// The leaves that may have what is sought, in the active snapshot. Nothing if touch indexes can't do all of it, or if
/// the present user may not read the whole relation: whoever has less than that has it checked by the executor.
inline std::optional<std::span<const touch::Leaf>> leaves_of(const touch::Sought &sought) {
  int count = 0;
  const touch::Leaf *leaves = pg::call([&]() -> const touch::Leaf * {
    if (pg_class_aclcheck(sought.relation, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
      return nullptr;
    return touch::find_leaves(sought, GetActiveSnapshot(), &count);
  });
  if (leaves == nullptr)
    return std::nullopt;
  return std::span(leaves, static_cast<std::size_t>(count));
}

/// Puts those who are wanted in the order of their keys' hashes, in which an index is searched. `columns`: those of the
/// index's key, by their places in `key`; `value(conversion, place)`: what a key has there, which is not null.
template <class Value>
void order_by_key(std::vector<core::Wanted> &wanted, const touch::KeyHasher &key, std::span<const int> columns,
                  Value value) {
  pg::call([&] {
    for (core::Wanted &one : wanted) {
      std::uint32_t hash = 0;
      for (const int place : columns) {
        const touch::KeyHasher::Column &column = key.column[place];
        hash = core::combine(
            hash, DatumGetUInt32(FunctionCall1Coll(column.hash, column.collation, value(one.conversion, place))));
      }
      one.hash = core::key_hash(hash);
    }
  });
  core::sort_by_hash(wanted);
}

} // namespace attribution::engine
