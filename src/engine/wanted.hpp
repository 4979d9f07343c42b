// Who is looked for in touch indexes, and in what order.
#pragma once

#include "core/key_search.hpp"
#include "pg/guard.hpp"
#include "touch/key.hpp"

#include <span>
#include <vector>

namespace attribution::engine {

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
