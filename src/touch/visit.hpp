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
  constexpr std::size_t kFarAhead = 64;
  constexpr std::size_t kStep = kAhead / 3;
  struct Stop {
    Place place;
    std::size_t begin, end; ///< who is wanted there
    core::Micros since;     ///< nobody wants what is older
    BlockNumber older;      ///< the chain's second page, if it is of interest
  };
  Stop stops[kFarAhead];
  Distance distance(kAhead, kFarAhead);
  std::size_t known = 0; // who has a stop
  std::size_t planned = 0, entered = 0, followed = 0, done = 0;
  const BlockNumber blocks = RelationGetNumberOfBlocks(index);
  BufferAccessStrategy ring = ring_for(index, blocks, wanted.size());
  ReadAhead read_ahead(index, blocks, wanted.size());
  core::KeySearch search;
  Locator locate(index);
  const auto plan_next = [&] {
    Stop &stop = stops[planned % kFarAhead];
    stop.place = locate(wanted[known].hash);
    stop.begin = known;
    stop.since = core::kInfinity;
    while (known < wanted.size() && wanted[known].hash <= stop.place.last)
      stop.since = std::min(stop.since, wanted[known++].since);
    stop.end = known;
    distance.found(fetch_page(index, stop.place.ref.head, &read_ahead));
    ++planned;
  };
  const auto fetch = [&](const Stop &stop, BlockNumber block) {
    return fetch_entries(index, block, wanted.subspan(stop.begin, stop.end - stop.begin), stop.since);
  };
  for (;;) {
    while (planned - done < distance && known < wanted.size())
      plan_next();
    if (done == planned)
      break;
    for (; entered < std::min(planned, done + 2 * kStep); ++entered) {
      Stop &stop = stops[entered % kFarAhead];
      // It was read without a lock, so that it may be anything.
      const BlockNumber older = fetch(stop, stop.place.ref.head);
      stop.older = older < blocks ? older : InvalidBlockNumber;
      fetch_page(index, stop.older);
    }
    for (; followed < std::min(entered, done + kStep); ++followed)
      (void)fetch(stops[followed % kFarAhead], stops[followed % kFarAhead].older);
    const Stop &stop = stops[done % kFarAhead];
    search.begin(wanted.subspan(stop.begin, stop.end - stop.begin));
    if (walk(index, stop.place, ring, [&](const core::BucketPage &page) {
          search.search(page, f);
          return page.header().older_newest >= search.since();
        })) {
      ++done;
      if (full()) {
        known = stop.end;
        break;
      }
      continue;
    }
    // The bucket was changed since the directory was read: on from here with what it says now.
    locate.forget();
    known = stop.begin;
    planned = entered = followed = done;
  }
  read_ahead.close();
  FreeAccessStrategy(ring);
  return known;
}

} // namespace attribution::touch
