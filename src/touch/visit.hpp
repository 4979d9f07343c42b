// Looking for many keys at once: the buckets concerned are gone through one after the other, each page of theirs once.
#pragma once

#include "core/key_search.hpp"
#include "touch/bucket.hpp"

namespace attribution::touch {

/// Calls `f(const core::Wanted &, const core::TouchEntry &)` for each entry with the hash and a time of somebody who is
/// wanted; for some twice, where a bucket was changed meanwhile and is gone through again. `wanted` is by hash.
template <class F> void visit(Relation index, std::span<const core::Wanted> wanted, F f) {
  core::KeySearch search;
  Locator locate(index);
  for (std::size_t at = 0; at < wanted.size();) {
    const Place place = locate(wanted[at].hash);
    std::size_t end = at + 1;
    while (end < wanted.size() && wanted[end].hash <= place.last)
      ++end;
    search.begin(wanted.subspan(at, end - at));
    if (walk(index, place, nullptr, [&](const core::BucketPage &page) {
          search.search(page, f);
          return page.header().older_newest >= search.since();
        }))
      at = end;
    else
      locate.forget();
  }
}

} // namespace attribution::touch
