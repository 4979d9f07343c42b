#include "core/key_search.hpp"
#include "core/touch_page.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace attribution::core {

namespace {

// What PostgreSQL leaves of a page of 8 KB.
constexpr std::size_t kSize = 8192 - 24;

/// A page's contents, aligned as in PostgreSQL.
struct Contents {
  alignas(8) std::byte bytes[kSize]{};
  BucketPageWriter bucket() { return {bytes, kSize}; }
  DirectoryPage directory() { return {bytes, kSize}; }
  RootPage root() { return {bytes, kSize}; }
};

TouchEntry entry(std::uint32_t hash, Micros time, std::uint32_t block = 7, std::uint16_t offset = 3) {
  return {time, hash, block, offset};
}

using Random = std::mt19937_64;

std::vector<TouchEntry> random_entries(Random &random, std::size_t count, std::uint32_t low, std::uint32_t high) {
  std::vector<TouchEntry> entries;
  for (std::size_t i = 0; i < count; ++i)
    entries.push_back(entry(low + static_cast<std::uint32_t>(random() % (std::uint64_t{high} - low + 1)),
                            static_cast<Micros>(random() % 1000) - 500, static_cast<std::uint32_t>(random()),
                            static_cast<std::uint16_t>(random())));
  return entries;
}

std::vector<TouchEntry> entries_of(const BucketPage &page) {
  std::vector<TouchEntry> entries;
  for (std::size_t i = 0; i < page.count(); ++i)
    entries.push_back(page.entry(i));
  return entries;
}

} // namespace

TEST(KeyHash, NoKeyHasTheHashOfNull) {
  EXPECT_NE(key_hash(kNullKey), kNullKey);
  EXPECT_EQ(key_hash(17), 17U);
}

TEST(KeyHash, ColumnsAreNotInterchangeable) {
  EXPECT_NE(combine(combine(0, 1), 2), combine(combine(0, 2), 1));
  EXPECT_NE(combine(0, 1), combine(combine(0, 1), 1));
  // Neighbours, as integers hash to when their type's hash function is poor, are not neighbours any more.
  EXPECT_GT(combine(0, 1) ^ combine(0, 2), 1U << 16);
}

TEST(BucketPage, GivesBackWhatItTook) {
  Random random(1);
  Contents contents;
  BucketPageWriter page = contents.bucket();
  page.begin(1000, 2000, 42);
  EXPECT_TRUE(page.is_sound());
  EXPECT_EQ(page.header().older, kNoBlock);
  EXPECT_EQ(page.header().older_newest, kMinusInfinity);
  EXPECT_EQ(page.header().stamp, 42U);
  EXPECT_EQ(page.header().depth, 1);

  std::vector<TouchEntry> expected;
  while (page.room() > 0) {
    const std::vector<TouchEntry> more = random_entries(random, 1 + random() % 40, 1000, 2000);
    const std::size_t room = page.room();
    const std::size_t taken = page.append(more);
    EXPECT_EQ(taken, std::min(room, more.size()));
    expected.insert(expected.end(), more.begin(), more.begin() + static_cast<std::ptrdiff_t>(taken));
    EXPECT_TRUE(page.is_sound());
    EXPECT_LE(page.lower(), page.upper());
  }
  EXPECT_EQ(page.count(), BucketPage::capacity(kSize));
  EXPECT_EQ(page.append(expected), 0U);
  EXPECT_EQ(entries_of(page), expected);
  EXPECT_EQ(page.header().oldest, std::min_element(expected.begin(), expected.end(), is_older)->time);
  EXPECT_EQ(page.header().newest, std::max_element(expected.begin(), expected.end(), is_older)->time);
}

TEST(BucketPage, IsInOrderUntilMoreComes) {
  Random random(7);
  Contents contents;
  BucketPageWriter page = contents.bucket();
  page.begin(1000, 2000, 1);
  std::vector<TouchEntry> entries = random_entries(random, 700, 1000, 2000);
  const std::vector<TouchEntry> left(entries.begin() + static_cast<std::ptrdiff_t>(BucketPage::capacity(kSize)),
                                     entries.end());
  const std::size_t taken = page.fill(entries);
  EXPECT_EQ(taken, BucketPage::capacity(kSize));
  EXPECT_TRUE(page.is_sorted());
  EXPECT_TRUE(page.is_sound());
  EXPECT_EQ(std::vector(entries.begin() + static_cast<std::ptrdiff_t>(taken), entries.end()), left);
  entries.resize(taken);
  EXPECT_EQ(entries_of(page), entries);
  EXPECT_EQ(page.append(left), 0U);
  EXPECT_TRUE(page.is_sorted());
  page.remove([](const TouchEntry &e) { return e.block % 3 == 0; });
  EXPECT_TRUE(page.is_sorted());
  EXPECT_TRUE(page.is_sound());
  page.append(std::vector{entry(1000, 5)});
  EXPECT_FALSE(page.is_sorted());
  EXPECT_TRUE(page.is_sound());
}

TEST(BucketPage, TimesAtTheEndsOfTheRange) {
  Contents contents;
  BucketPageWriter page = contents.bucket();
  page.begin(0, kNullKey, 1);
  const std::vector<TouchEntry> entries = {entry(kNullKey, kMinusInfinity), entry(0, kInfinity)};
  page.append(entries);
  EXPECT_TRUE(page.is_sound());
  EXPECT_EQ(entries_of(page), entries);
}

TEST(BucketPage, RemovesWhatIsDeadAndKeepsTheOrder) {
  Random random(2);
  for (int round = 0; round < 200; ++round) {
    Contents contents;
    BucketPageWriter page = contents.bucket();
    page.begin(0, 100, 1);
    std::vector<TouchEntry> entries = random_entries(random, random() % 500, 0, 100);
    entries.resize(page.append(entries));
    const std::uint64_t one_of = 1 + random() % 4;
    const auto is_dead = [one_of](const TouchEntry &e) { return e.block % one_of == 0; };
    const std::size_t removed = page.remove(is_dead);
    EXPECT_EQ(removed, std::erase_if(entries, is_dead));
    EXPECT_EQ(entries_of(page), entries);
    EXPECT_TRUE(page.is_sound());
  }
}

TEST(BucketPage, KnowsHowRecentTheOlderPagesAre) {
  Contents first, second, third;
  BucketPageWriter oldest = first.bucket();
  oldest.begin(0, 9, 5);
  oldest.append(std::vector{entry(1, 70), entry(2, 90)});
  BucketPageWriter middle = second.bucket();
  middle.begin(0, 9, 5);
  middle.put_before(11, oldest.header());
  middle.append(std::vector{entry(1, 40)});
  BucketPageWriter newest = third.bucket();
  newest.begin(0, 9, 5);
  newest.put_before(12, middle.header());
  EXPECT_EQ(middle.header().older, 11U);
  EXPECT_EQ(newest.header().older, 12U);
  EXPECT_EQ(newest.header().older_newest, 90); // not the 40 of the page next to it
  EXPECT_EQ(newest.header().depth, 3);
}

TEST(BucketPage, DepthStopsAtItsEnd) {
  Contents a, b;
  BucketPageWriter older = a.bucket();
  older.begin(0, 0, 1);
  older.header().depth = UINT16_MAX;
  BucketPageWriter page = b.bucket();
  page.begin(0, 0, 1);
  page.put_before(1, older.header());
  EXPECT_EQ(page.header().depth, UINT16_MAX);
}

TEST(BucketPage, SaysWhenItIsNotSound) {
  const auto sound_after = [](auto harm) {
    Contents contents;
    BucketPageWriter page = contents.bucket();
    page.begin(10, 20, 1);
    page.append(std::vector{entry(10, 5), entry(20, 6)});
    harm(page);
    return page.is_sound();
  };
  EXPECT_TRUE(sound_after([](BucketPageWriter &) {}));
  EXPECT_FALSE(sound_after([](BucketPageWriter &page) { page.header().kind = PageKind::free; }));
  EXPECT_FALSE(sound_after([](BucketPageWriter &page) { page.header().count = 452; }));
  EXPECT_FALSE(sound_after([](BucketPageWriter &page) { page.header().low = 21; }));
  EXPECT_FALSE(sound_after([](BucketPageWriter &page) { page.header().low = 11; }));
  EXPECT_FALSE(sound_after([](BucketPageWriter &page) { page.header().high = 19; }));
  EXPECT_FALSE(sound_after([](BucketPageWriter &page) { page.header().oldest = 6; }));
  EXPECT_FALSE(sound_after([](BucketPageWriter &page) { page.header().newest = 5; }));
  EXPECT_FALSE(sound_after([](BucketPageWriter &page) { page.header().depth = 0; }));
  EXPECT_TRUE(sound_after([](BucketPageWriter &page) { page.header().flags |= kIsSorted; }));
  EXPECT_FALSE(sound_after([](BucketPageWriter &page) {
    page.append(std::vector{entry(15, 5)});
    page.header().flags |= kIsSorted;
  }));
}

TEST(Directory, FindsTheBucketOfEveryHash) {
  Random random(3);
  Contents contents;
  DirectoryPage page = contents.directory();
  page.begin(100, 1'000'000);
  page.insert(0, {100, kNoBlock, 0});
  std::map<std::uint32_t, std::uint32_t> expected{{100, kNoBlock}};
  while (page.count() < page.capacity()) {
    // Most buckets in a narrow range: hashes that many rows have got ranges of their own.
    const std::uint64_t range = random() % 4 == 0 ? 999'900 : 1'500;
    const auto hash = static_cast<std::uint32_t>(101 + random() % range);
    if (expected.contains(hash))
      continue;
    expected[hash] = hash * 3;
    page.insert(page.find(hash) + 1, {hash, hash * 3, 0});
  }
  ASSERT_TRUE(page.is_sound());
  for (int i = 0; i < 20'000; ++i) {
    const auto hash = static_cast<std::uint32_t>(100 + random() % (i % 2 == 0 ? 999'901 : 2'000));
    const auto bucket = std::prev(expected.upper_bound(hash));
    const std::size_t at = page.find(hash);
    ASSERT_EQ(page.refs()[at].first, bucket->first);
    ASSERT_EQ(page.refs()[at].head, bucket->second);
    ASSERT_EQ(page.last(at), std::next(bucket) == expected.end() ? 1'000'000 : std::next(bucket)->first - 1);
  }
}

TEST(Directory, SplitsInTwoThatAreSound) {
  Contents a, b;
  DirectoryPage lower = a.directory();
  DirectoryPage upper = b.directory();
  lower.begin(0, UINT32_MAX);
  for (std::uint32_t i = 0; i < 7; ++i)
    lower.insert(i, {i * 10, i, i + 100});
  lower.split(upper);
  EXPECT_TRUE(lower.is_sound());
  EXPECT_TRUE(upper.is_sound());
  EXPECT_EQ(lower.count() + upper.count(), 7U);
  EXPECT_EQ(lower.header().high + 1, upper.header().low);
  EXPECT_EQ(upper.header().high, UINT32_MAX);
  EXPECT_EQ(upper.refs()[upper.find(65)].head, 6U);
  EXPECT_EQ(upper.refs()[upper.find(65)].stamp, 106U);
  EXPECT_EQ(lower.refs()[lower.find(5)].head, 0U);
}

TEST(Directory, SaysWhenItIsNotSound) {
  Contents contents;
  DirectoryPage page = contents.directory();
  page.begin(5, 50);
  EXPECT_FALSE(page.is_sound()); // about a range, without a bucket for it
  page.insert(0, {5, 1, 1});
  page.insert(1, {50, 2, 1});
  EXPECT_TRUE(page.is_sound());
  page.refs()[1].first = 5;
  EXPECT_FALSE(page.is_sound());
  page.refs()[1].first = 51;
  EXPECT_FALSE(page.is_sound());
  page.refs()[1].first = 50;
  page.refs()[0].first = 6;
  EXPECT_FALSE(page.is_sound());
}

TEST(Root, SaysWhatItIs) {
  Contents contents;
  RootPage root = contents.root();
  begin(root);
  root.insert(0, {0, 1});
  EXPECT_TRUE(is_sound(root));
  root.header().version = kFormatVersion + 1;
  EXPECT_FALSE(is_sound(root));
}

TEST(ChooseCut, CutsEvenly) {
  EXPECT_EQ(choose_cut(std::vector<std::uint32_t>{1, 2, 3, 4}, 0, 9), 3U);
  EXPECT_EQ(choose_cut(std::vector<std::uint32_t>{1, 1, 1, 2}, 0, 9), 2U);
  EXPECT_EQ(choose_cut(std::vector<std::uint32_t>{1, 2, 2, 2}, 0, 9), 2U);
  EXPECT_EQ(choose_cut({}, 0, 9), 5U);
  EXPECT_EQ(choose_cut({}, 8, 9), 9U);
}

TEST(ChooseCut, NothingToCut) {
  EXPECT_EQ(choose_cut(std::vector<std::uint32_t>{7, 7, 7}, 7, 7), 0U);
  EXPECT_EQ(choose_cut(std::vector<std::uint32_t>{kNullKey, kNullKey}, kNullKey, kNullKey), 0U);
}

TEST(ChooseCut, AHeavyKeyGetsARangeOfItsOwn) {
  // Whatever else is there, and wherever in the range it lies.
  Random random(4);
  for (int round = 0; round < 2000; ++round) {
    std::uint32_t low = static_cast<std::uint32_t>(random()) % 1000;
    std::uint32_t high = low + static_cast<std::uint32_t>(random()) % 50;
    const std::uint32_t heavy = low + static_cast<std::uint32_t>(random()) % (high - low + 1);
    std::vector<std::uint32_t> hashes(200, heavy);
    for (std::uint64_t i = random() % 100; i > 0; --i)
      hashes.push_back(low + static_cast<std::uint32_t>(random()) % (high - low + 1));
    std::sort(hashes.begin(), hashes.end());
    int cuts = 0;
    while (const std::uint32_t cut = choose_cut(hashes, low, high)) {
      ASSERT_LT(low, cut);
      ASSERT_LE(cut, high);
      ASSERT_LE(++cuts, 2);
      const auto at = std::lower_bound(hashes.begin(), hashes.end(), cut);
      if (heavy < cut) {
        high = cut - 1;
        hashes.erase(at, hashes.end());
      } else {
        low = cut;
        hashes.erase(hashes.begin(), at);
      }
    }
    EXPECT_EQ(low, heavy);
    EXPECT_EQ(high, heavy);
  }
}

TEST(KeySearch, BothWaysFindTheSame) {
  Random random(5);
  std::vector<std::uint16_t> found(KeySearch::kMostEntries), portably(KeySearch::kMostEntries);
  for (int round = 0; round < 5000; ++round) {
    // From any address, and to the very end: the sanitizer sees a step beyond.
    const std::size_t count = random() % 100;
    std::vector<std::uint32_t> hashes(count);
    for (std::uint32_t &hash : hashes)
      hash = UINT32_MAX - static_cast<std::uint32_t>(random() % 8);
    const std::size_t skip = count == 0 ? 0 : random() % count;
    const std::uint32_t wanted = UINT32_MAX - static_cast<std::uint32_t>(random() % 9);
    found.resize(find_hash(hashes.data() + skip, count - skip, wanted, found.data()));
    portably.resize(find_hash_portably(hashes.data() + skip, count - skip, wanted, portably.data()));
    ASSERT_EQ(found, portably);
    ASSERT_EQ(static_cast<std::ptrdiff_t>(found.size()),
              std::count(hashes.begin() + static_cast<std::ptrdiff_t>(skip), hashes.end(), wanted));
    for (std::uint16_t at : found)
      ASSERT_EQ(hashes[skip + at], wanted);
    found.resize(KeySearch::kMostEntries);
    portably.resize(KeySearch::kMostEntries);
  }
}

TEST(KeySearch, PutsThemInOrder) {
  Random random(8);
  const auto is_less = [](const Wanted &a, const Wanted &b) { return a.hash < b.hash; };
  for (const std::uint32_t count : {0, 1, 2, 300, 511, 512, 513, 20'000})
    for (const std::uint32_t keys : {1U, 70U, 100'000U, UINT32_MAX}) {
      std::vector<Wanted> wanted;
      for (std::uint32_t i = 0; i < count; ++i)
        wanted.push_back({static_cast<std::uint32_t>(random() % keys) * (UINT32_MAX / keys), i, i, -1});
      const std::vector<Wanted> before = wanted;
      sort_by_hash(wanted);
      ASSERT_TRUE(std::is_sorted(wanted.begin(), wanted.end(), is_less));
      // Nobody is lost, and all are who they were.
      std::sort(wanted.begin(), wanted.end(),
                [](const Wanted &a, const Wanted &b) { return a.conversion < b.conversion; });
      ASSERT_EQ(wanted.size(), before.size());
      for (std::uint32_t i = 0; i < count; ++i)
        ASSERT_EQ(std::tie(wanted[i].hash, wanted[i].conversion, wanted[i].since),
                  std::tie(before[i].hash, before[i].conversion, before[i].since));
    }
}

TEST(KeySearch, FindsWhatFitsAndNothingElse) {
  // Few who look and many, for few keys and many, some of them for the same; against a search of all pairs.
  Random random(6);
  for (int round = 0; round < 2000; ++round) {
    Contents contents;
    BucketPageWriter page = contents.bucket();
    const std::uint32_t low = static_cast<std::uint32_t>(random() % 1'000'000);
    const std::uint32_t high = low + static_cast<std::uint32_t>(random() % 200);
    page.begin(low, high, 1);
    // Evenly spread over the range, or over some part of it; in order or not.
    const std::uint32_t first = low + static_cast<std::uint32_t>(random() % (high - low + 1));
    std::vector<TouchEntry> entries = random_entries(random, random() % 460, random() % 2 == 0 ? low : first, high);
    if (random() % 2 == 0)
      page.fill(entries);
    else
      page.append(entries);
    std::vector<Wanted> wanted;
    for (std::uint64_t i = random() % 30; i > 0; --i) {
      const Micros since = static_cast<Micros>(random() % 1200) - 600;
      wanted.push_back({low + static_cast<std::uint32_t>(random() % (high - low + 1)), static_cast<std::uint32_t>(i),
                        since, since + static_cast<Micros>(random() % 300)});
    }
    sort_by_hash(wanted);

    using Pair = std::pair<std::uint32_t, std::size_t>; // the conversion, and the entry's row
    std::vector<Pair> expected, found;
    for (const Wanted &w : wanted)
      for (const TouchEntry &e : entries_of(page))
        if (e.hash == w.hash && w.since <= e.time && e.time <= w.until)
          expected.emplace_back(w.conversion, std::size_t{e.block} << 16 | e.offset);
    KeySearch search;
    search.begin(wanted);
    search.search(page, [&](const Wanted &w, const TouchEntry &e) {
      found.emplace_back(w.conversion, std::size_t{e.block} << 16 | e.offset);
    });
    std::sort(expected.begin(), expected.end());
    std::sort(found.begin(), found.end());
    ASSERT_EQ(found, expected);
  }
}

} // namespace attribution::core
