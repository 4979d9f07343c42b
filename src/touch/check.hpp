// Looking at a touch index as a whole: is it sound, and how large are its parts.
#pragma once

#include "pg/prelude.hpp"

namespace attribution::touch {

/// What is wrong with an index, as a list of strings in the present memory context; none if it is sound. Every page is
/// as it should be, and every row of the table that this transaction sees has its entry.
List *check(Oid index);

struct Report {
  std::int64_t pages, directory_pages, bucket_pages, free_pages;
  std::int64_t buckets, entries, null_entries;
  std::int64_t longest_chain; ///< pages of a bucket that several keys share
  std::int64_t heavy_buckets; ///< of one key, which takes more pages than a bucket should have
  std::int64_t longest_heavy_chain;
};
Report report(Oid index);

} // namespace attribution::touch
