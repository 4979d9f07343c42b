// Looking for many keys at once: the buckets concerned are gone through one after the other, each page of theirs once.
#pragma once

#include "core/key_search.hpp"
#include "touch/bucket.hpp"

namespace attribution::touch {

/// Calls `f(const core::Wanted &, const core::TouchEntry &)` for each entry with the hash and a time of somebody who is
/// wanted; for some twice, where a bucket was changed meanwhile and is gone through again. `wanted` is by hash. Ends
/// early, after a bucket, when `full()` says so. Returns how many of those who are wanted it is done with.
template <class F, class Full> std::size_t visit(Relation index, std::span<const core::Wanted> wanted, F f, Full full) {
  // So many buckets ahead their first pages are fetched, and step by step what they lead to.
  constexpr std::size_t kAhead = 16;
  constexpr std::size_t kStep = kAhead / 3;
  struct Stop {
    Place place;
    std::size_t begin, end; ///< who is wanted there
    core::Micros since;     ///< nobody wants what is older
    BlockNumber older;      ///< the chain's second page, if it is of interest
  };
  Stop stops[kAhead];
  std::size_t known = 0; // who has a stop
  std::size_t planned = 0;
  std::size_t done = 0;
  core::KeySearch search;
  Locator locate(index);
  const auto plan_next = [&] {
    Stop &stop = stops[planned % kAhead];
    stop.place = locate(wanted[known].hash);
    stop.begin = known;
    stop.since = core::kInfinity;
    while (known < wanted.size() && wanted[known].hash <= stop.place.last)
      stop.since = std::min(stop.since, wanted[known++].since);
    stop.end = known;
    stop.older = InvalidBlockNumber;
    fetch_page(index, stop.place.ref.head);
    const auto fetch = [&](Stop &of, BlockNumber block) {
      return fetch_entries(index, block, wanted.subspan(of.begin, of.end - of.begin), of.since);
    };
    if (planned >= done + kStep) {
      Stop &next = stops[(planned - kStep) % kAhead];
      next.older = fetch(next, next.place.ref.head);
      fetch_page(index, next.older);
    }
    if (planned >= done + 2 * kStep) {
      Stop &after = stops[(planned - 2 * kStep) % kAhead];
      (void)fetch(after, after.older);
    }
    ++planned;
  };
  for (;;) {
    while (planned - done < kAhead && known < wanted.size())
      plan_next();
    if (done == planned)
      return known;
    const Stop &stop = stops[done % kAhead];
    search.begin(wanted.subspan(stop.begin, stop.end - stop.begin));
    if (walk(index, stop.place, nullptr, [&](const core::BucketPage &page) {
          search.search(page, f);
          return page.header().older_newest >= search.since();
        })) {
      if (full())
        return stop.end;
      ++done;
      continue;
    }
    // The bucket was changed since the directory was read: on from here with what it says now.
    locate.forget();
    known = stop.begin;
    planned = done;
  }
}

} // namespace attribution::touch
