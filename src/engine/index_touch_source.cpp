#include "engine/touch_source.hpp"
#include "touch/candidates.hpp"
#include "touch/key.hpp"
#include "touch/leaves.hpp"

namespace attribution::engine {

namespace {

/// How many candidates of a conversion are looked at first. If none of them is eligible, it is ever more.
constexpr std::uint32_t kFirstLook = 4;
constexpr std::uint32_t kMoreLooks = 16;
constexpr std::uint32_t kMostLooks = UINT32_MAX / kMoreLooks;
/// So many rows at a time: they become arrays.
constexpr std::size_t kRowsAtATime = 10000;

/// The hash function for the conversion's side of a pair, if the touch index of the other side goes by the same.
FmgrInfo *hash_of(const Binding &binding, const Pair &pair) {
  const Oid touch = pair.touch.type.oid;
  const Oid conversion = binding.columns[pair.conversion].type.oid;
  return pg::call([&]() -> FmgrInfo * {
    const auto family_of = [](Oid type) {
      return lookup_type_cache(getBaseType(type), TYPECACHE_HASH_OPFAMILY | TYPECACHE_HASH_PROC_FINFO);
    };
    TypeCacheEntry *one = family_of(touch);
    TypeCacheEntry *other = family_of(conversion);
    if (one->hash_opf != other->hash_opf || !OidIsValid(one->hash_proc_finfo.fn_oid))
      return nullptr;
    return OidIsValid(other->hash_proc_finfo.fn_oid) ? &other->hash_proc_finfo : nullptr;
  });
}

/// One tier of a batch, by touch indexes.
class Gathering {
public:
  Gathering(const Binding &binding, SqlTouchSource &sql, Batch &batch, std::size_t tier, CandidateSink &sink)
      : binding_(binding), tier_(binding.tiers[tier]), sql_(sql), batch_(batch), number_(tier), sink_(sink),
        newest_(binding.rule.model == core::Model::last_touch) {}

  /// Finds where to look; false if touch indexes can't do it.
  bool begin(const std::vector<std::uint32_t> &which);
  void run();

private:
  bool is_wanted(core::Wanted &wanted, const touch::Leaf &leaf) const;
  void hash_keys(const touch::Leaf &leaf);
  void look_into(const touch::Leaf &leaf);
  void offer(const touch::Leaf &leaf, std::span<const touch::Candidate> rows);

  const Binding &binding_;
  const BoundTier &tier_;
  SqlTouchSource &sql_;
  Batch &batch_;
  std::size_t number_;
  CandidateSink &sink_;
  bool newest_;
  std::vector<FmgrInfo *> hashes_;   ///< by pair
  std::vector<touch::Leaf> leaves_;  ///< where the best are first
  std::vector<core::Wanted> wanted_; ///< by hash
  std::vector<int> hashed_;          ///< the order of columns of these hashes
  std::vector<core::Wanted> still_, next_;
};

bool Gathering::begin(const std::vector<std::uint32_t> &which) {
  const core::Tier &tier = binding_.rule.tiers[number_];
  touch::Sought sought{};
  sought.relation = tier_.touchpoints.oid;
  sought.time = tier_.time.name.c_str();
  sought.since = core::kInfinity;
  sought.until = core::kMinusInfinity;
  if (tier_.match.empty() || tier_.match.size() >= INDEX_MAX_KEYS)
    return false;
  for (const Pair &pair : tier_.match) {
    hashes_.push_back(hash_of(binding_, pair));
    if (hashes_.back() == nullptr)
      return false;
    sought.columns[sought.count++] = pair.touch.name.c_str();
  }
  wanted_.reserve(which.size());
  for (std::uint32_t i : which) {
    const core::Micros since = std::max(core::minus(batch_.times[i], tier.lookback), core::kMinusInfinity + 1);
    const core::Micros until = std::min(core::plus(batch_.times[i], tier.skew), core::kInfinity - 1);
    wanted_.push_back({0, i, since, until});
    sought.since = std::min(sought.since, since);
    sought.until = std::max(sought.until, until);
  }
  int count = 0;
  touch::Leaf *leaves = pg::call([&] { return touch::find_leaves(sought, GetActiveSnapshot(), &count); });
  if (leaves == nullptr)
    return false;
  leaves_.assign(leaves, leaves + count);
  std::sort(leaves_.begin(), leaves_.end(), [this](const touch::Leaf &a, const touch::Leaf &b) {
    return newest_ ? a.until > b.until : a.since < b.since;
  });
  return true;
}

void Gathering::run() {
  for (const touch::Leaf &leaf : leaves_)
    look_into(leaf);
}

/// Whether the best row that a leaf can have for a conversion could matter.
bool Gathering::is_wanted(core::Wanted &wanted, const touch::Leaf &leaf) const {
  wanted.since = std::max(wanted.since, leaf.since);
  wanted.until = std::min(wanted.until, leaf.until);
  if (wanted.since > wanted.until)
    return false;
  core::Touch best;
  best.tier = static_cast<std::uint32_t>(number_);
  best.time = newest_ ? wanted.until : wanted.since;
  return sink_.wants(wanted.conversion, best);
}

void Gathering::hash_keys(const touch::Leaf &leaf) {
  const std::vector<int> order(leaf.columns, leaf.columns + tier_.match.size());
  if (order == hashed_)
    return;
  hashed_ = order;
  pg::call([&] {
    for (core::Wanted &wanted : wanted_) {
      std::uint32_t hash = 0;
      for (int place : hashed_) {
        const Pair &pair = tier_.match[static_cast<std::size_t>(place)];
        const Datum value = batch_.columns[pair.conversion].values[wanted.conversion];
        hash = core::combine(hash, DatumGetUInt32(FunctionCall1Coll(hashes_[static_cast<std::size_t>(place)],
                                                                    pair.touch.type.collation, value)));
      }
      wanted.hash = core::key_hash(hash);
    }
  });
  std::sort(wanted_.begin(), wanted_.end(),
            [](const core::Wanted &a, const core::Wanted &b) { return a.hash < b.hash; });
}

void Gathering::look_into(const touch::Leaf &leaf) {
  hash_keys(leaf);
  still_.clear();
  for (core::Wanted wanted : wanted_)
    if (is_wanted(wanted, leaf))
      still_.push_back(wanted);
  for (std::uint32_t most = kFirstLook; !still_.empty(); most = std::min(most, kMostLooks) * kMoreLooks) {
    pg::Context memory("attribution candidates");
    const pg::Within within(memory);
    auto *candidates = static_cast<touch::Candidates *>(pg::call([&] { return palloc(sizeof(touch::Candidates)); }));
    offer(leaf, pg::call([&] {
            new (candidates) touch::Candidates(batch_.size(), newest_, most);
            touch::find_candidates(leaf.index, still_, GetActiveSnapshot(), *candidates);
            return candidates->look_up(leaf.table, GetActiveSnapshot());
          }));
    next_.clear();
    for (core::Wanted wanted : still_) {
      const core::Micros *worst = candidates->beyond(wanted.conversion);
      if (worst == nullptr)
        continue;
      if (newest_)
        wanted.until = std::min(wanted.until, *worst - 1);
      else
        wanted.since = std::max(wanted.since, *worst + 1);
      if (is_wanted(wanted, leaf))
        next_.push_back(wanted);
    }
    still_.swap(next_);
  }
}

void Gathering::offer(const touch::Leaf &leaf, std::span<const touch::Candidate> rows) {
  std::vector<std::uint32_t> which;
  std::vector<Datum> places;
  for (std::size_t from = 0; from < rows.size(); from += kRowsAtATime) {
    which.clear();
    places.clear();
    for (const touch::Candidate &row : rows.subspan(from, std::min(kRowsAtATime, rows.size() - from))) {
      which.push_back(row.conversion);
      places.push_back(PointerGetDatum(&row.row));
    }
    sql_.gather_found(batch_, which, number_, leaf.table, places, leaf.since, leaf.until, sink_);
  }
}

} // namespace

void IndexTouchSource::gather(Batch &batch, const std::vector<std::uint32_t> &which, std::size_t tier,
                              CandidateSink &sink) {
  Gathering gathering(binding_, sql_, batch, tier, sink);
  if (enabled_ && gathering.begin(which))
    gathering.run();
  else
    sql_.gather(batch, which, tier, sink);
}

} // namespace attribution::engine
