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

/// What it takes to tell, without SQL, whether a row's key is a conversion's.
struct PlainKey {
  FmgrInfo *equal;
  Oid collation;
  const BatchColumn *conversion;
  AttrNumber attribute; ///< of the table at hand
};

/// The equality of a pair, if values that are equal are the same to the last bit: then a row's key is no empty value,
/// as that of the conversion is none. Null if not.
FmgrInfo *equality_of(const Binding &binding, const Pair &pair) {
  const Oid touch = pair.touch.type.oid;
  const Oid conversion = binding.columns[pair.conversion].type.oid;
  return pg::call([&]() -> FmgrInfo * {
    const Oid type = getBaseType(touch);
    if (type != getBaseType(conversion) || type == BPCHAROID) // char(3) and char(5) are equal, but not the same
      return nullptr;
    TypeCacheEntry *entry =
        lookup_type_cache(type, TYPECACHE_HASH_OPFAMILY | TYPECACHE_BTREE_OPFAMILY | TYPECACHE_EQ_OPR_FINFO);
    if (!OidIsValid(entry->btree_opf) || !OidIsValid(entry->hash_opf) || !OidIsValid(entry->eq_opr) ||
        entry->eq_opr !=
            get_opfamily_member(entry->hash_opf, entry->hash_opintype, entry->hash_opintype, HTEqualStrategyNumber))
      return nullptr;
    const Oid same =
        get_opfamily_proc(entry->btree_opf, entry->btree_opintype, entry->btree_opintype, BTEQUALIMAGE_PROC);
    if (!OidIsValid(same) ||
        !DatumGetBool(OidFunctionCall1Coll(same, pair.touch.type.collation, ObjectIdGetDatum(entry->btree_opintype))))
      return nullptr;
    return &entry->eq_opr_finfo;
  });
}

/// Takes rows as the tier's query would, where it has no conditions of its own. (200,000 conversions, 18 M touchpoints:
/// 0.47 s; by SQL 0.87 s.)
class PlainRows final : public touch::RowTaker {
public:
  PlainRows(const Batch &batch, std::size_t number, CandidateSink &sink)
      : batch_(batch), number_(static_cast<std::uint32_t>(number)), sink_(sink) {}

  /// False if the tier needs SQL.
  bool begin(const Binding &binding, const TierSpec &spec, const BoundTier &tier);
  /// The rows that follow are of this table, and in the windows of these.
  void begin_table(const touch::Leaf &leaf, const BoundTier &tier);
  bool take(const touch::Candidate &candidate, TupleTableSlot *row) noexcept override;

private:
  const Batch &batch_;
  std::uint32_t number_;
  CandidateSink &sink_;
  std::vector<PlainKey> keys_;
  std::vector<AttrNumber> attributes_; ///< of the columns of a touch query from TouchColumn::kTouchId on; 0: none
  AttrNumber last_ = 0;
  TupleTableSlot *touch_ = nullptr; ///< the columns of a touch query
};

bool PlainRows::begin(const Binding &binding, const TierSpec &spec, const BoundTier &tier) {
  if (!spec.filter.empty() || !spec.predicate.empty() || !tier.conflict.empty() || tier.lookback)
    return false;
  // Whoever has less than that has it checked by the executor.
  if (pg::call([&] { return pg_class_aclcheck(tier.touchpoints.oid, GetUserId(), ACL_SELECT); }) != ACLCHECK_OK)
    return false;
  // A virtual generated column is not in the row.
  const auto is_virtual = [&](const Column &column) {
    return pg::call([&] {
      return get_attgenerated(tier.touchpoints.oid, get_attnum(tier.touchpoints.oid, column.name.c_str())) == 'v';
    });
  };
  if (is_virtual(tier.id) || std::any_of(tier.columns.begin(), tier.columns.end(), is_virtual))
    return false;
  for (const Pair &pair : tier.match) {
    FmgrInfo *equal = equality_of(binding, pair);
    if (equal == nullptr)
      return false;
    keys_.push_back({equal, pair.touch.type.collation, &batch_.columns[pair.conversion], 0});
  }
  const int columns = kTouchColumns - 1 + static_cast<int>(tier.columns.size());
  touch_ = pg::call([&] {
    TupleDesc shape = CreateTemplateTupleDesc(columns);
    const auto column = [shape](int number, Oid type) {
      TupleDescInitEntry(shape, static_cast<AttrNumber>(number), nullptr, type, -1, 0);
    };
    column(kTouchNumber, INT4OID);
    column(kTouchTime, TIMESTAMPTZOID);
    column(kTouchId, tier.id.type.oid);
    column(kTouchLookback, INT8OID);
    column(kTouchFacts, INT4OID);
    for (std::size_t i = 0; i < tier.columns.size(); ++i)
      column(kTouchColumns + static_cast<int>(i), tier.columns[i].type.oid);
    return MakeSingleTupleTableSlot(shape, &TTSOpsVirtual);
  });
  return true;
}

void PlainRows::begin_table(const touch::Leaf &leaf, const BoundTier &tier) {
  const auto attribute = [&](const Column &column) {
    const AttrNumber number = pg::call([&] { return get_attnum(leaf.table, column.name.c_str()); });
    last_ = std::max(last_, number);
    return number;
  };
  last_ = 0;
  for (std::size_t i = 0; i < keys_.size(); ++i)
    keys_[i].attribute = attribute(tier.match[i].touch);
  attributes_ = {attribute(tier.time), attribute(tier.id)};
  for (const Column &column : tier.columns)
    attributes_.push_back(attribute(column));
}

bool PlainRows::take(const touch::Candidate &candidate, TupleTableSlot *row) noexcept {
  slot_getsomeattrs(row, last_);
  const auto is_null = [row](AttrNumber attribute) { return row->tts_isnull[attribute - 1]; };
  const auto value = [row](AttrNumber attribute) { return row->tts_values[attribute - 1]; };
  const AttrNumber time = attributes_[0];
  const AttrNumber id = attributes_[1];
  // An entry without a time, or of a row that has another one by now, is of no use.
  if (is_null(time) || is_null(id) || DatumGetTimestampTz(value(time)) != candidate.time)
    return true;
  for (const PlainKey &key : keys_)
    if (is_null(key.attribute) || !DatumGetBool(FunctionCall2Coll(key.equal, key.collation, value(key.attribute),
                                                                  key.conversion->values[candidate.conversion])))
      return true;

  ExecClearTuple(touch_);
  const auto set = [this](int column, Datum datum, bool null = false) {
    touch_->tts_values[column - 1] = datum;
    touch_->tts_isnull[column - 1] = null;
  };
  set(kTouchNumber, Int32GetDatum(static_cast<std::int32_t>(candidate.conversion)));
  set(kTouchTime, value(time));
  set(kTouchId, value(id));
  set(kTouchLookback, 0, true);
  set(kTouchFacts, Int32GetDatum(0));
  for (std::size_t i = 2; i < attributes_.size(); ++i)
    set(kTouchColumns + static_cast<int>(i) - 2, value(attributes_[i]), is_null(attributes_[i]));
  ExecStoreVirtualTuple(touch_);
  core::Touch touch;
  touch.time = candidate.time;
  touch.tier = number_;
  return sink_.offer(candidate.conversion, touch, touch_);
}

/// One tier of a batch, by touch indexes.
class Gathering {
public:
  Gathering(const Binding &binding, SqlTouchSource &sql, Batch &batch, std::size_t tier, CandidateSink &sink)
      : binding_(binding), tier_(binding.tiers[tier]), sql_(sql), batch_(batch), number_(tier), sink_(sink),
        newest_(binding.rule.model.kind == core::Model::last_touch), plain_(batch, tier, sink) {}

  /// Finds where to look; false if touch indexes can't do it.
  bool begin(const std::vector<std::uint32_t> &which);
  void run();

private:
  bool is_wanted(const core::Wanted &wanted) const;
  void choose(const touch::Leaf &leaf);
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
  PlainRows plain_;
  bool is_plain_ = false;
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
    const core::Micros since = window_since(batch_.times[i], tier.lookback);
    const core::Micros until = window_until(batch_.times[i], tier.skew);
    wanted_.push_back({0, i, since, until});
    sought.since = std::min(sought.since, since);
    sought.until = std::max(sought.until, until);
  }
  int count = 0;
  touch::Leaf *leaves = pg::call([&] { return touch::find_leaves(sought, GetActiveSnapshot(), &count); });
  if (leaves == nullptr)
    return false;
  leaves_.assign(leaves, leaves + count);
  is_plain_ = plain_.begin(binding_, binding_.spec.tiers[number_], tier_);
  std::sort(leaves_.begin(), leaves_.end(), [this](const touch::Leaf &a, const touch::Leaf &b) {
    return newest_ ? a.until > b.until : a.since < b.since;
  });
  return true;
}

void Gathering::run() {
  for (const touch::Leaf &leaf : leaves_)
    look_into(leaf);
}

/// Whether the best row that can be in somebody's window could matter.
bool Gathering::is_wanted(const core::Wanted &wanted) const {
  core::Touch best;
  best.tier = static_cast<std::uint32_t>(number_);
  best.time = newest_ ? wanted.until : wanted.since;
  return sink_.wants(wanted.conversion, best);
}

/// Who looks for rows of a leaf. Who needs none that is as good as those of this leaf can be is done with.
void Gathering::choose(const touch::Leaf &leaf) {
  still_.clear();
  std::size_t left = 0;
  for (const core::Wanted &wanted : wanted_) {
    core::Wanted here = wanted;
    here.since = std::max(here.since, leaf.since);
    here.until = std::min(here.until, leaf.until);
    if (here.since <= here.until) {
      if (!is_wanted(here))
        continue;
      still_.push_back(here);
    }
    wanted_[left++] = wanted;
  }
  wanted_.resize(left);
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
  if (is_plain_)
    plain_.begin_table(leaf, tier_);
  choose(leaf);
  for (std::uint32_t most = kFirstLook; !still_.empty(); most = std::min(most, kMostLooks) * kMoreLooks) {
    pg::Context memory("attribution candidates");
    const pg::Within within(memory);
    auto *candidates = static_cast<touch::Candidates *>(pg::call([&] { return palloc(sizeof(touch::Candidates)); }));
    const std::span<const touch::Candidate> rows = pg::call([&] {
      new (candidates) touch::Candidates(batch_.size(), newest_, most);
      touch::find_candidates(leaf.index, still_, GetActiveSnapshot(), *candidates);
      return candidates->look_up(leaf.table, GetActiveSnapshot(), is_plain_ ? &plain_ : nullptr);
    });
    if (!is_plain_)
      offer(leaf, rows);
    next_.clear();
    for (core::Wanted wanted : still_) {
      const core::Micros *worst = candidates->beyond(wanted.conversion);
      if (worst == nullptr)
        continue;
      if (newest_)
        wanted.until = std::min(wanted.until, *worst - 1);
      else
        wanted.since = std::max(wanted.since, *worst + 1);
      if (wanted.since <= wanted.until && is_wanted(wanted))
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
  pg::Context memory("attribution gathering");
  const pg::Within within(memory);
  Gathering gathering(binding_, sql_, batch, tier, sink);
  if (enabled_ && gathering.begin(which))
    gathering.run();
  else
    sql_.gather(batch, which, tier, sink);
}

} // namespace attribution::engine
