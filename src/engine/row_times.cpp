#include "engine/row_times.hpp"

#include "engine/wanted.hpp"
#include "pg/memory.hpp"
#include "touch/candidates.hpp"

namespace attribution::engine {

namespace {

/// So many, or so many times as many as there are ids: where there are more, SQL finds the rows, which needs no memory
/// for them.
constexpr std::size_t kMost = 1000;
constexpr std::size_t kMostEach = 4;

class Times final : public touch::EntryTaker {
public:
  explicit Times(std::size_t most) : most_(most) { times.reserve(most); }
  void take(const core::Wanted &wanted, const core::TouchEntry &entry) noexcept override {
    if (times.size() < most_)
      times.push_back({wanted.conversion, entry.time});
    else
      are_too_many = true;
  }

  std::vector<RowTime> times;
  bool are_too_many = false;

private:
  std::size_t most_;
};

} // namespace

std::optional<std::vector<RowTime>> find_row_times(const IdColumn &column, const pg::Type &type,
                                                   std::span<const Datum> ids) {
  pg::Context memory("attribution row times");
  const pg::Within within(memory);
  touch::Sought sought{};
  sought.relation = column.relation;
  sought.time = column.time;
  sought.since = core::kMinusInfinity;
  sought.until = core::kInfinity;
  sought.columns[sought.count++] = column.id;
  const auto leaves = leaves_of(sought);
  if (!leaves)
    return std::nullopt;
  if (leaves->empty())
    return std::vector<RowTime>();
  touch::KeyHasher hasher{};
  hasher.column[hasher.columns++] = {pg::call([&] { return touch::hash_function(type.oid, column.id); }),
                                     type.collation};
  std::vector<core::Wanted> wanted;
  wanted.reserve(ids.size());
  for (std::uint32_t i = 0; i < ids.size(); ++i)
    wanted.push_back({0, i, core::kMinusInfinity, core::kInfinity});
  constexpr int kId[] = {0};
  order_by_key(wanted, hasher, kId, [&](std::uint32_t i, int) { return ids[i]; });
  Times found(std::max(kMost, kMostEach * ids.size()));
  for (const touch::Leaf &leaf : *leaves)
    pg::call([&] { touch::find_entries(leaf.index, wanted, GetActiveSnapshot(), found); });
  if (found.are_too_many)
    return std::nullopt;
  std::sort(found.times.begin(), found.times.end());
  found.times.erase(std::unique(found.times.begin(), found.times.end()), found.times.end());
  return std::move(found.times);
}

} // namespace attribution::engine
