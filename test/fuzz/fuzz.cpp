// A fuzzer of the touch index's pages and of their search: the first byte of its input says which of the targets below
// takes the rest. A wrong answer aborts, and so does what a sanitizer finds.
#include "core/key_search.hpp"
#include "core/touch_page.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

using namespace attribution::core;

namespace {

void demand(bool holds, const char *what) {
  if (holds)
    return;
  std::fprintf(stderr, "wrong: %s\n", what);
  std::abort();
}

/// Takes values from the input; zeros when it is used up.
class Input {
public:
  Input(const std::uint8_t *data, std::size_t size) : data_(data), size_(size) {}

  std::size_t left() const { return size_; }
  template <class T> T take() {
    T value{};
    const std::size_t some = std::min(sizeof value, size_);
    std::memcpy(&value, data_, some);
    skip(some);
    return value;
  }
  std::size_t below(std::size_t limit) { return take<std::uint16_t>() % limit; }
  void copy(std::byte *to, std::size_t size) {
    const std::size_t some = std::min(size, size_);
    std::memcpy(to, data_, some);
    skip(some);
  }

private:
  void skip(std::size_t some) {
    data_ += some;
    size_ -= some;
  }
  const std::uint8_t *data_;
  std::size_t size_;
};

/// A page's contents in memory of their own, so that a step beyond is seen. What PostgreSQL leaves of its page sizes.
class Contents {
public:
  explicit Contents(Input &input)
      : size_(kSizes[input.below(std::size(kSizes))]), words_(std::make_unique<std::uint64_t[]>(size_ / 8)) {}

  std::byte *bytes() { return reinterpret_cast<std::byte *>(words_.get()); }
  std::size_t size() const { return size_; }
  BucketPageWriter bucket() { return {bytes(), size_}; }

private:
  static constexpr std::size_t kSizes[] = {1024 - 24, 8192 - 24, 32768 - 24};
  std::size_t size_;
  std::unique_ptr<std::uint64_t[]> words_;
};

/// Few hashes at either end of what there are, so that they meet.
std::uint32_t take_hash(Input &input) {
  const auto byte = input.take<std::uint8_t>();
  return byte < 128 ? byte : UINT32_MAX - (255 - byte);
}

std::vector<TouchEntry> entries_of(const BucketPage &page) {
  std::vector<TouchEntry> entries;
  for (std::size_t i = 0; i < page.count(); ++i)
    entries.push_back(page.entry(i));
  return entries;
}

/// Searches a sound page, for whatever the input says, in all ways.
void search(Input &input, const BucketPage &page) {
  std::vector<Wanted> wanted(input.below(40));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    // Hashes that are there, for some.
    const std::uint32_t hash = page.count() > 0 && input.take<std::uint8_t>() % 2 == 0
                                   ? page.hashes()[input.below(page.count())]
                                   : take_hash(input);
    const Micros since = input.take<std::int8_t>();
    wanted[i] = {hash, static_cast<std::uint32_t>(i), since, since + input.take<std::int8_t>()};
    if (input.take<std::uint8_t>() % 4 == 0)
      std::tie(wanted[i].since, wanted[i].until) = std::pair(kMinusInfinity, kInfinity);
  }
  std::stable_sort(wanted.begin(), wanted.end(), [](const Wanted &a, const Wanted &b) { return a.hash < b.hash; });

  using Pair = std::pair<std::uint32_t, std::pair<Micros, std::uint64_t>>; // the conversion, and the entry
  const auto pair = [](const Wanted &w, const TouchEntry &e) {
    return Pair(w.conversion, {e.time, std::uint64_t{e.block} << 16 | e.offset});
  };
  std::vector<Pair> expected, found;
  for (const Wanted &w : wanted)
    for (const TouchEntry &e : entries_of(page))
      if (e.hash == w.hash && w.since <= e.time && e.time <= w.until)
        expected.push_back(pair(w, e));
  KeySearch keys;
  keys.begin(wanted);
  keys.search(page, [&](const Wanted &w, const TouchEntry &e) {
    demand(w.hash == e.hash, "an entry of another key is found");
    found.push_back(pair(w, e));
  });
  std::sort(expected.begin(), expected.end());
  std::sort(found.begin(), found.end());
  demand(found == expected, "a search finds what reading all finds");
}

/// Entries are appended and removed; the page has what a plain list has.
void build(Input &input) {
  Contents contents(input);
  BucketPageWriter page = contents.bucket();
  std::uint32_t low = take_hash(input);
  std::uint32_t high = take_hash(input);
  if (low > high)
    std::swap(low, high);
  page.begin(low, high, 7);
  std::vector<TouchEntry> expected;
  while (input.left() > 0) {
    if (input.take<std::uint8_t>() % 8 == 0) {
      const std::uint32_t dead = input.take<std::uint8_t>();
      const auto is_dead = [dead](const TouchEntry &e) { return (e.block ^ e.offset) % 4 == dead % 4; };
      const std::size_t removed = page.remove(is_dead);
      demand(removed == std::erase_if(expected, is_dead), "as many are removed as are dead");
    } else {
      std::vector<TouchEntry> some(input.below(200));
      for (TouchEntry &entry : some)
        entry = {input.take<std::int8_t>(), std::clamp(take_hash(input), low, high), input.take<std::uint32_t>(),
                 input.take<std::uint16_t>()};
      const std::size_t room = page.room();
      const bool whole = page.count() == 0 && input.take<std::uint8_t>() % 2 == 0;
      const std::size_t put = whole ? page.fill(some) : page.append(some);
      demand(put == std::min(room, some.size()), "as many are put as there is room for");
      expected.insert(expected.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(put));
    }
    demand(entries_of(page) == expected, "a page has what was put there");
    demand(page.is_sound(), "a page that was written is sound");
    demand(page.lower() <= page.upper(), "hashes and places don't meet");
  }
  search(input, page);
}

/// Arbitrary bytes as a page: whether it is sound can be asked of any, and what is sound can be read and searched.
void harm(Input &input) {
  Contents contents(input);
  BucketPageWriter page = contents.bucket();
  const bool from_nothing = input.take<std::uint8_t>() % 4 == 0;
  if (from_nothing) {
    input.copy(contents.bytes(), contents.size());
  } else {
    page.begin(0, UINT32_MAX, 7);
    std::vector<TouchEntry> some(input.below(500));
    for (TouchEntry &entry : some)
      entry = {input.take<std::int8_t>(), take_hash(input), 1, 1};
    if (input.take<std::uint8_t>() % 2 == 0)
      page.fill(some);
    else
      page.append(some);
    for (std::size_t i = input.below(20); i > 0; --i) // mostly in the header
      contents.bytes()[input.take<std::uint8_t>() % 2 == 0 ? input.below(48) : input.below(contents.size())] =
          input.take<std::byte>();
  }
  if (!page.is_sound())
    return;
  demand(page.count() <= BucketPage::capacity(contents.size()), "a sound page has no more than fits");
  demand(page.lower() <= page.upper(), "hashes and places don't meet");
  for (const TouchEntry &entry : entries_of(page))
    demand(page.covers(entry.hash) && page.header().oldest <= entry.time && entry.time <= page.header().newest,
           "what a sound page says of its entries is so");
  search(input, page);
}

/// Searches an array from any address to its very end, with vector instructions and without.
void find(Input &input) {
  std::vector<std::uint32_t> hashes(input.below(KeySearch::kMostEntries + 1));
  for (std::uint32_t &hash : hashes)
    hash = take_hash(input) % 5;
  const std::uint32_t wanted = take_hash(input) % 6;
  const std::size_t skip = hashes.empty() ? 0 : input.below(hashes.size());
  const std::size_t count = hashes.size() - skip;
  std::vector<std::uint16_t> expected, found(count), portably(count);
  for (std::size_t i = 0; i < count; ++i)
    if (hashes[skip + i] == wanted)
      expected.push_back(static_cast<std::uint16_t>(i));
  found.resize(find_hash(hashes.data() + skip, count, wanted, found.data()));
  portably.resize(find_hash_portably(hashes.data() + skip, count, wanted, portably.data()));
  demand(found == expected, "find_hash finds each");
  demand(portably == expected, "find_hash_portably finds each");
}

/// Arbitrary bytes as a directory page or a root; those that are sound name one bucket for each hash.
template <class Page> void look_up(Page page, std::uint32_t low, std::uint32_t high, Input &input) {
  demand(page.count() > 0 && page.count() <= page.capacity(), "a sound page has one at least, and no more than fit");
  for (std::size_t i = 1; i < page.count(); ++i)
    demand(page.refs()[i - 1].first < page.refs()[i].first, "the ranges of a sound page are in order");
  for (int i = 0; i < 20; ++i) {
    const auto hash = static_cast<std::uint32_t>(low + input.take<std::uint32_t>() % (std::uint64_t{high} - low + 1));
    const std::size_t at = page.find(hash);
    demand(at < page.count() && page.refs()[at].first <= hash, "a range begins before its hashes");
    demand(at + 1 == page.count() || hash < page.refs()[at + 1].first, "a range ends behind its hashes");
  }
}

void direct(Input &input) {
  Contents contents(input);
  Contents upper_half(input);
  DirectoryPage page(contents.bytes(), contents.size());
  RootPage root(contents.bytes(), contents.size());
  if (input.take<std::uint8_t>() % 4 == 0) {
    input.copy(contents.bytes(), contents.size());
  } else {
    page.begin(0, UINT32_MAX);
    page.insert(0, {0, kNoBlock, 0});
    // Every other one is full, if the input is long enough.
    for (std::size_t i = std::min(input.below(2 * page.capacity()), page.capacity() - 1); i > 0; --i) {
      const auto hash = input.take<std::uint32_t>();
      const std::size_t at = page.find(hash);
      if (page.refs()[at].first != hash)
        page.insert(at + 1, {hash, hash, hash});
    }
    demand(page.is_sound(), "a directory page that was written is sound");
    // As a fault would have it: two of a range, a count that is too large, or any byte.
    if (const std::size_t i = input.below(page.count()); i > 0 && input.take<std::uint8_t>() % 4 == 0)
      page.refs()[i].first = page.refs()[i - 1].first;
    if (input.take<std::uint8_t>() % 4 == 0)
      page.header().count = static_cast<std::uint16_t>(page.capacity() + input.below(4));
    for (std::size_t i = input.below(4); i > 0; --i)
      contents.bytes()[input.below(contents.size())] = input.take<std::byte>();
  }
  if (is_sound(root))
    look_up(root, 0, UINT32_MAX, input);
  if (!page.is_sound())
    return;
  look_up(page, page.header().low, page.header().high, input);
  if (page.count() < 2 || page.count() - page.count() / 2 > DirectoryPage::capacity(upper_half.size()))
    return;
  const std::size_t count = page.count();
  DirectoryPage upper(upper_half.bytes(), upper_half.size());
  page.split(upper);
  demand(page.is_sound() && upper.is_sound(), "both halves of a sound page are");
  demand(page.count() + upper.count() == count && page.header().high + 1 == upper.header().low,
         "and together they are what it was");
}

/// Cuts a range again and again, as a bucket that fills does: it ends, and nothing is left out.
void cut(Input &input) {
  std::uint32_t low = take_hash(input);
  std::uint32_t high = take_hash(input);
  if (low > high)
    std::swap(low, high);
  std::vector<std::uint32_t> hashes(input.below(400));
  for (std::uint32_t &hash : hashes)
    hash = std::clamp(take_hash(input), low, high);
  std::sort(hashes.begin(), hashes.end());
  for (int cuts = 0; const std::uint32_t first = choose_cut(hashes, low, high); ++cuts) {
    demand(low < first && first <= high, "a cut leaves two ranges");
    demand(cuts < 300, "cutting ends");
    const auto at = std::lower_bound(hashes.begin(), hashes.end(), first);
    if (at - hashes.begin() > hashes.end() - at) {
      hashes.erase(at, hashes.end());
      high = first - 1;
    } else {
      hashes.erase(hashes.begin(), at);
      low = first;
    }
  }
  demand(low == high, "what is not cut is one hash");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  Input input(data, size);
  static constexpr void (*kTargets[])(Input &) = {build, harm, find, direct, cut};
  kTargets[input.below(std::size(kTargets))](input);
  return 0;
}
