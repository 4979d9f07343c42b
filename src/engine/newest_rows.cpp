#include "engine/newest_rows.hpp"

#include "engine/wanted.hpp"
#include "pg/memory.hpp"
#include "touch/candidates.hpp"

namespace attribution::engine {

namespace {

using Newest = std::vector<std::optional<core::Micros>>;

/// How many rows with a key's hash are looked at first; if none of them has the key, it is ever more.
constexpr std::uint32_t kFirstLook = 2;
constexpr std::uint32_t kMoreLooks = 16;
constexpr std::uint32_t kMostLooks = UINT32_MAX / kMoreLooks;
/// What the list of candidates may take.
constexpr std::size_t kMemory = 16 << 20;

/// Notes the newest of the rows that have a key, and not only its hash.
class SameKey final : public touch::RowTaker {
public:
  SameKey(const KeysWanted &keys, const std::vector<std::vector<Datum>> &values, Newest &newest)
      : values_(values), newest_(newest) {
    for (const KeysWanted::Column &column : keys.columns) {
      const TypeCacheEntry *type =
          pg::call([&] { return lookup_type_cache(getBaseType(column.type.oid), TYPECACHE_EQ_OPR_FINFO); });
      columns_.push_back({const_cast<FmgrInfo *>(&type->eq_opr_finfo), column.type.collation, 0});
    }
  }

  void begin_table(const KeysWanted &keys, Oid table) {
    for (std::size_t i = 0; i < columns_.size(); ++i)
      columns_[i].attribute = pg::call([&] { return get_attnum(table, keys.columns[i].name); });
  }

  bool take(const touch::Candidate &candidate, TupleTableSlot *row) noexcept override {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const Column &column = columns_[i];
      slot_getsomeattrs(row, column.attribute);
      if (row->tts_isnull[column.attribute - 1] ||
          !DatumGetBool(FunctionCall2Coll(column.equal, column.collation, row->tts_values[column.attribute - 1],
                                          values_[i][candidate.conversion])))
        return true;
    }
    newest_[candidate.conversion] = std::max(newest_[candidate.conversion], std::optional(candidate.time));
    return true;
  }

private:
  struct Column {
    FmgrInfo *equal;
    Oid collation;
    AttrNumber attribute;
  };
  const std::vector<std::vector<Datum>> &values_; ///< of each column
  Newest &newest_;
  std::vector<Column> columns_;
};

class Search {
public:
  explicit Search(const KeysWanted &keys)
      : keys_(keys), values_(keys.columns.size()), newest_(keys.count), same_key_(keys, values_, newest_) {
    for (std::uint32_t i = 0; i < keys.count; ++i) {
      bool whole = true;
      for (std::size_t column = 0; column < values_.size(); ++column) {
        const pg::Param value = keys.value(i, static_cast<int>(column));
        whole = whole && !value.null;
        values_[column].push_back(value.value);
      }
      if (whole)
        wanted_.push_back({0, i, core::kMinusInfinity, keys.until(i)});
    }
    for (const KeysWanted::Column &column : keys.columns)
      hasher_.column[hasher_.columns++] = {pg::call([&] { return touch::hash_function(column.type.oid, column.name); }),
                                           column.type.collation};
  }

  void look_into(const touch::Leaf &leaf) {
    std::vector<int> order(leaf.columns, leaf.columns + hasher_.columns);
    if (order != hashed_) {
      hashed_ = std::move(order);
      order_by_key(wanted_, hasher_, hashed_,
                   [this](std::uint32_t i, int column) { return values_[static_cast<std::size_t>(column)][i]; });
    }
    same_key_.begin_table(keys_, leaf.table);
    still_ = wanted_;
    for (std::uint32_t most = kFirstLook; !still_.empty(); most = std::min(most, kMostLooks) * kMoreLooks) {
      next_.clear();
      for (std::span<const core::Wanted> left = still_; !left.empty();)
        left = left.subspan(look(leaf, left, most));
      still_.swap(next_);
    }
    // In another partition only what is newer.
    for (core::Wanted &wanted : wanted_)
      if (newest_[wanted.conversion])
        wanted.since = *newest_[wanted.conversion] + 1;
    std::erase_if(wanted_, [this](const core::Wanted &wanted) {
      return wanted.since > wanted.until || (keys_.any && newest_[wanted.conversion]);
    });
  }

  Newest newest() && { return std::move(newest_); }

private:
  std::size_t look(const touch::Leaf &leaf, std::span<const core::Wanted> wanted, std::uint32_t most) {
    pg::Context memory("attribution newest rows");
    const pg::Within within(memory);
    auto *candidates = static_cast<touch::Candidates *>(pg::call([&] { return palloc(sizeof(touch::Candidates)); }));
    std::size_t done = 0;
    pg::call([&] {
      new (candidates) touch::Candidates(true, kMemory);
      candidates->begin(wanted, most);
      done = touch::find_candidates(leaf.index, GetActiveSnapshot(), *candidates);
      (void)candidates->look_up(leaf.table, GetActiveSnapshot(), &same_key_);
    });
    for (std::size_t i = 0; i < done; ++i) {
      const core::Micros *worst = candidates->beyond(i);
      core::Wanted more = wanted[i];
      if (worst == nullptr || newest_[more.conversion] >= std::optional(more.since))
        continue;
      more.until = std::min(more.until, *worst - 1);
      if (more.since <= more.until)
        next_.push_back(more);
    }
    return done;
  }

  const KeysWanted &keys_;
  std::vector<std::vector<Datum>> values_;
  Newest newest_;
  SameKey same_key_;
  touch::KeyHasher hasher_{};
  std::vector<int> hashed_;          ///< the order of the key's columns by which it was hashed
  std::vector<core::Wanted> wanted_; ///< by hash
  std::vector<core::Wanted> still_, next_;
};

} // namespace

std::optional<Newest> find_newest(const KeysWanted &keys) {
  if (keys.columns.size() >= INDEX_MAX_KEYS)
    return std::nullopt;
  pg::Context memory("attribution newest rows");
  const pg::Within within(memory);
  touch::Sought sought{};
  sought.relation = keys.relation;
  sought.time = keys.time;
  sought.since = core::kMinusInfinity;
  sought.until = core::kMinusInfinity;
  for (const KeysWanted::Column &column : keys.columns)
    sought.columns[sought.count++] = column.name;
  for (std::uint32_t i = 0; i < keys.count; ++i)
    sought.until = std::max(sought.until, keys.until(i));
  const auto leaves = leaves_of(sought);
  if (!leaves)
    return std::nullopt;
  if (leaves->empty())
    return Newest(keys.count);
  Search search(keys);
  for (const touch::Leaf &leaf : *leaves)
    search.look_into(leaf);
  return std::move(search).newest();
}

} // namespace attribution::engine
