#include "core/touch_page.hpp"

#include <algorithm>

namespace attribution::core {

bool BucketPage::is_sound() const noexcept {
  const BucketHeader &h = header();
  if (h.kind != PageKind::bucket || h.count > capacity(size_) || h.low > h.high || h.depth == 0)
    return false;
  for (std::size_t i = 0; i < count(); ++i)
    if (!covers(hashes()[i]) || time(i) < h.oldest || time(i) > h.newest ||
        (is_sorted() && i > 0 && hashes()[i] < hashes()[i - 1]))
      return false;
  return true;
}

void BucketPageWriter::begin(std::uint32_t low, std::uint32_t high, std::uint32_t stamp) noexcept {
  header() = {PageKind::bucket, 0, stamp, low, high, kNoBlock, 1, kIsHead, kInfinity, kMinusInfinity, kMinusInfinity};
}

void BucketPageWriter::put_before(std::uint32_t block, const BucketHeader &older) noexcept {
  BucketHeader &h = header();
  h.older = block;
  h.depth = older.depth == UINT16_MAX ? UINT16_MAX : static_cast<std::uint16_t>(older.depth + 1);
  h.older_newest = std::max(older.newest, older.older_newest);
}

void BucketPageWriter::set(std::size_t i, const TouchEntry &entry) noexcept {
  std::memcpy(contents_ + sizeof(BucketHeader) + i * sizeof entry.hash, &entry.hash, sizeof entry.hash);
  std::byte *to = contents_ + (place(i) - contents_);
  std::memcpy(to, &entry.time, sizeof entry.time);
  std::memcpy(to + 8, &entry.block, sizeof entry.block);
  std::memcpy(to + 12, &entry.offset, sizeof entry.offset);
}

std::size_t BucketPageWriter::append(std::span<const TouchEntry> entries) noexcept {
  BucketHeader &h = header();
  const std::size_t some = std::min(room(), entries.size());
  for (std::size_t i = 0; i < some; ++i) {
    set(h.count + i, entries[i]);
    h.oldest = std::min(h.oldest, entries[i].time);
    h.newest = std::max(h.newest, entries[i].time);
  }
  h.count = static_cast<std::uint16_t>(h.count + some);
  if (some > 0)
    h.flags &= static_cast<std::uint16_t>(~kIsSorted);
  return some;
}

std::size_t BucketPageWriter::fill(std::span<TouchEntry> entries) noexcept {
  const std::span<TouchEntry> some = entries.first(std::min(room(), entries.size()));
  std::sort(some.begin(), some.end(), [](const TouchEntry &a, const TouchEntry &b) { return a.hash < b.hash; });
  append(some);
  header().flags |= kIsSorted;
  return some.size();
}

void DirectoryPage::begin(std::uint32_t low, std::uint32_t high) const noexcept {
  header() = {PageKind::directory, 0, low, high, 0};
}

std::size_t DirectoryPage::find(std::uint32_t hash) const noexcept {
  if (count() == 0)
    return 0;
  std::size_t low = std::min(about_where(hash, header().low, header().high, count()), count() - 1);
  std::size_t high = low + 1;
  // What is before `low` begins too low to be it, and what is at `high` and behind it too high.
  for (std::size_t step = 1; low > 0 && refs()[low].first > hash; step *= 2) {
    high = low;
    low -= std::min(step, low);
  }
  for (std::size_t step = 1; high < count() && refs()[high].first <= hash; step *= 2) {
    low = high;
    high = std::min(high + step, count());
  }
  return RefPage::find(hash, low, high);
}

void DirectoryPage::split(const DirectoryPage &upper) const noexcept {
  const std::size_t kept = count() / 2;
  upper.begin(refs()[kept].first, header().high);
  std::memcpy(upper.refs(), refs() + kept, (count() - kept) * sizeof(BucketRef));
  upper.header().count = static_cast<std::uint16_t>(count() - kept);
  header().high = refs()[kept].first - 1;
  header().count = static_cast<std::uint16_t>(kept);
}

namespace {

template <class Page> bool is_in_order(const Page &page, std::uint32_t low, std::uint32_t high) noexcept {
  if (page.count() == 0 || page.count() > page.capacity() || page.refs()[0].first != low)
    return false;
  for (std::size_t i = 1; i < page.count(); ++i)
    if (page.refs()[i].first <= page.refs()[i - 1].first)
      return false;
  return page.refs()[page.count() - 1].first <= high;
}

} // namespace

bool DirectoryPage::is_sound() const noexcept {
  return header().kind == PageKind::directory && is_in_order(*this, header().low, header().high);
}

void begin(const RootPage &root) noexcept { root.header() = {PageKind::root, 0, kMagic, kFormatVersion, 1, {}}; }

bool is_sound(const RootPage &root) noexcept {
  return root.header().kind == PageKind::root && root.header().magic == kMagic &&
         root.header().version == kFormatVersion && is_in_order(root, 0, UINT32_MAX);
}

std::uint32_t choose_cut(std::span<const std::uint32_t> sorted, std::uint32_t low, std::uint32_t high) noexcept {
  if (low == high)
    return 0;
  const std::uint32_t middle = sorted.empty() ? low + (high - low) / 2 + 1 : sorted[sorted.size() / 2];
  const auto run = std::equal_range(sorted.begin(), sorted.end(), middle);
  // Before the middle key or behind it, whichever is more even; a key at the range's end leaves but one.
  const std::ptrdiff_t before = run.first - sorted.begin();
  const std::ptrdiff_t behind = sorted.end() - run.second;
  if (middle == low || (middle != high && behind > before))
    return middle + 1;
  return middle;
}

} // namespace attribution::core
