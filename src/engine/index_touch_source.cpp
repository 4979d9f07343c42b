#include "engine/touch_source.hpp"
#include "engine/wanted.hpp"
#include "pg/arrays.hpp"
#include "touch/candidates.hpp"
#include "touch/leaves.hpp"

namespace attribution::engine {

namespace {

/// How many candidates of a conversion are looked at first; if none of them is eligible, it is ever more. Where a row
/// is as good as its entry says, one is enough, but for hashes that collide and rows that are gone; where conditions
/// are to be met; for a whole path.
constexpr std::uint32_t kFirstLookAtPlain = 1;
constexpr std::uint32_t kFirstLook = 4;
constexpr std::uint32_t kFirstLookOfMany = 65536;
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

bool is_virtual_column(Oid table, const std::string &column) {
  return pg::call([&] { return get_attgenerated(table, get_attnum(table, column.c_str())) == 'v'; });
}

/// What it takes to tell, without SQL, whether a row's key is a conversion's.
struct PlainKey {
  pg::Exact exact;
  const BatchColumn *conversion;
  bool by_value;        ///< the conversion's
  AttrNumber attribute; ///< of the table at hand
};

/// The name of the column of `table` that an expression over "touch" is; empty if it is anything else.
std::string column_of(Oid table, const std::string &expression) {
  constexpr std::string_view kTouch = "touch.";
  const std::string name = expression.starts_with(kTouch) ? expression.substr(kTouch.size()) : expression;
  return pg::call([&] { return name == quote_identifier(name.c_str()) && get_attnum(table, name.c_str()) > 0; })
             ? name
             : std::string();
}

/// Takes rows as the tier's query would, where it has no conditions of its own. (200,000 conversions, 18 M touchpoints:
/// 0.47 s; by SQL 0.87 s.)
class PlainRows final : public touch::RowTaker {
public:
  PlainRows(const Batch &batch, std::size_t number, bool channels, CandidateSink &sink)
      : batch_(batch), number_(static_cast<std::uint32_t>(number)), channels_(channels), sink_(sink) {}

  /// False if the tier needs SQL.
  bool begin(const Binding &binding, const TierSpec &spec, const BoundTier &tier);
  /// The rows that follow are of this table, and in the windows of these.
  void begin_table(const touch::Leaf &leaf, const BoundTier &tier);
  bool take(const touch::Candidate &candidate, TupleTableSlot *row) noexcept override;
  void expect(const touch::Candidate &candidate, bool near) const noexcept override;

private:
  const Batch &batch_;
  std::uint32_t number_;
  bool channels_;
  CandidateSink &sink_;
  /// A column of the table at hand, by its place in a touch query. What else such a query has is NULL: the match
  /// columns, which are the same in all that a conversion is offered, so that they settle no tie.
  struct Taken {
    int place;
    const Column *column;
    AttrNumber attribute;
  };
  std::string channel_; ///< the column that is the channel
  Datum no_channel_ = 0;
  std::vector<PlainKey> keys_;
  std::vector<Taken> taken_; ///< beside the time and the id, and the channel
  AttrNumber time_ = 0, id_ = 0, channel_attribute_ = 0;
  AttrNumber last_ = 0;
  TupleTableSlot *touch_ = nullptr; ///< the columns of a touch query, up to the last that is taken
};

bool PlainRows::begin(const Binding &binding, const TierSpec &spec, const BoundTier &tier) {
  if (!spec.filter.empty() || !spec.predicate.empty() || !tier.conflict.empty() || tier.lookback)
    return false;
  // Whoever has less than that has it checked by the executor.
  if (pg::call([&] { return pg_class_aclcheck(tier.touchpoints.oid, GetUserId(), ACL_SELECT); }) != ACLCHECK_OK)
    return false;
  // A virtual generated column is not in the row.
  const auto is_virtual = [&](const Column &column) { return is_virtual_column(tier.touchpoints.oid, column.name); };
  if (is_virtual(tier.id) || std::any_of(tier.columns.begin(), tier.columns.end(), is_virtual))
    return false;
  for (const Pair &pair : tier.match) {
    const pg::Type &other = binding.columns[pair.conversion].type;
    const pg::Exact exact = pg::Exact::of(pair.touch.type, other);
    if (!exact)
      return false;
    keys_.push_back({exact, &batch_.columns[pair.conversion], other.by_value, 0});
  }
  if (channels_) {
    channel_ = column_of(tier.touchpoints.oid, binding.spec.channel);
    if (channel_.empty())
      return false;
    const AttrNumber attribute = pg::call([&] { return get_attnum(tier.touchpoints.oid, channel_.c_str()); });
    const Oid type = pg::call([&] { return getBaseType(get_atttype(tier.touchpoints.oid, attribute)); });
    if ((type != TEXTOID && type != VARCHAROID) || is_virtual_column(tier.touchpoints.oid, channel_))
      return false;
    no_channel_ = pg::text(kNoChannel);
  }
  for (std::size_t i = 0; i < tier.columns.size(); ++i)
    if (const int place = kTouchColumns + static_cast<int>(i);
        std::ranges::find(tier.carried, place) != tier.carried.end())
      taken_.push_back({place, &tier.columns[i], 0});
  const int named = kTouchColumns - 1 + static_cast<int>(tier.columns.size());
  const int columns = channels_ ? named + 1 : taken_.empty() ? kTouchId : named;
  touch_ = pg::call([&] {
    TupleDesc shape = CreateTemplateTupleDesc(columns);
    const auto column = [shape](int number, Oid type) {
      TupleDescInitEntry(shape, static_cast<AttrNumber>(number), nullptr, type, -1, 0);
    };
    column(kTouchNumber, INT4OID);
    column(kTouchTime, TIMESTAMPTZOID);
    column(kTouchLookback, INT8OID);
    column(kTouchFacts, INT4OID);
    column(kTouchId, tier.id.type.oid);
    for (int place = kTouchColumns; place <= std::min(columns, named); ++place)
      column(place, tier.columns[static_cast<std::size_t>(place - kTouchColumns)].type.oid);
    if (channels_)
      column(columns, TEXTOID);
    TupleTableSlot *slot = MakeSingleTupleTableSlot(shape, &TTSOpsVirtual);
    std::fill_n(slot->tts_isnull, columns, true);
    return slot;
  });
  return true;
}

void PlainRows::begin_table(const touch::Leaf &leaf, const BoundTier &tier) {
  const auto attribute_of = [&](const std::string &column) {
    const AttrNumber number = pg::call([&] { return get_attnum(leaf.table, column.c_str()); });
    last_ = std::max(last_, number);
    return number;
  };
  const auto attribute = [&](const Column &column) { return attribute_of(column.name); };
  last_ = 0;
  for (std::size_t i = 0; i < keys_.size(); ++i)
    keys_[i].attribute = attribute(tier.match[i].touch);
  time_ = attribute(tier.time);
  id_ = attribute(tier.id);
  for (Taken &taken : taken_)
    taken.attribute = attribute(*taken.column);
  if (channels_)
    channel_attribute_ = attribute_of(channel_);
}

void PlainRows::expect(const touch::Candidate &candidate, bool near) const noexcept {
  if (!near)
    __builtin_prefetch(&batch_.times[candidate.conversion]);
  for (const PlainKey &key : keys_)
    if (!near)
      __builtin_prefetch(&key.conversion->values[candidate.conversion]);
    else if (!key.by_value)
      __builtin_prefetch(DatumGetPointer(key.conversion->values[candidate.conversion]));
}

bool PlainRows::take(const touch::Candidate &candidate, TupleTableSlot *row) noexcept {
  slot_getsomeattrs(row, last_);
  const auto is_null = [row](AttrNumber attribute) { return row->tts_isnull[attribute - 1]; };
  const auto value = [row](AttrNumber attribute) { return row->tts_values[attribute - 1]; };
  // An entry without a time, or of a row that has another one by now, is of no use.
  if (is_null(time_) || is_null(id_) || DatumGetTimestampTz(value(time_)) != candidate.time)
    return true;
  for (const PlainKey &key : keys_)
    if (is_null(key.attribute) || !key.exact.same(value(key.attribute), key.conversion->values[candidate.conversion]))
      return true;

  ExecClearTuple(touch_);
  const auto set = [this](int column, Datum datum, bool null = false) {
    touch_->tts_values[column - 1] = datum;
    touch_->tts_isnull[column - 1] = null;
  };
  set(kTouchNumber, Int32GetDatum(static_cast<std::int32_t>(candidate.conversion)));
  set(kTouchTime, value(time_));
  set(kTouchFacts, Int32GetDatum(0));
  set(kTouchId, value(id_));
  for (const Taken &taken : taken_)
    set(taken.place, value(taken.attribute), is_null(taken.attribute));
  if (channels_)
    set(touch_->tts_tupleDescriptor->natts, is_null(channel_attribute_) ? no_channel_ : value(channel_attribute_));
  ExecStoreVirtualTuple(touch_);
  core::Touch touch;
  touch.time = candidate.time;
  touch.tier = number_;
  return sink_.offer(candidate.conversion, touch, touch_);
}

/// What a gathering goes by.
struct Manner {
  bool channels;      ///< to be read
  bool whole;         ///< not the best alone
  std::size_t memory; ///< for candidates
};

/// Hands on what is offered, and remembers what became of it, so that most questions need not be asked: what is kept
/// for a conversion is rarely in the processor's cache. (200,000 conversions: 238 ms; 250 if all who were offered
/// something are asked about.)
class Offers final : public CandidateSink {
public:
  /// `nothing_yet`: all come without a touchpoint of another tier. `newest`: the later a touchpoint the better.
  Offers(CandidateSink &sink, std::size_t conversions, bool nothing_yet, bool newest)
      : sink_(sink), needs_(conversions, nothing_yet ? Needs::any : Needs::some), newest_(newest) {}
  bool offer(std::uint32_t conversion, const core::Touch &touch, TupleTableSlot *row) noexcept override {
    is_open_ = sink_.offer(conversion, touch, row);
    core::Touch worse = touch;
    worse.time += newest_ ? -1 : 1;
    needs_[conversion] = sink_.wants(conversion, worse) ? Needs::some : Needs::none_worse;
    return is_open_;
  }
  bool wants(std::uint32_t conversion, const core::Touch &touch) const noexcept override {
    return needs_[conversion] == Needs::any || sink_.wants(conversion, touch);
  }
  /// The same for a touchpoint that is worse than those that were offered.
  bool wants_worse(std::uint32_t conversion, const core::Touch &touch) const noexcept {
    return needs_[conversion] != Needs::none_worse && wants(conversion, touch);
  }
  bool is_open() const noexcept { return is_open_; }

private:
  enum class Needs : std::uint8_t { any, some, none_worse };
  CandidateSink &sink_;
  std::vector<Needs> needs_; ///< by conversion
  bool newest_, is_open_ = true;
};

/// One tier of a batch, by touch indexes.
class Gathering {
public:
  Gathering(const Binding &binding, SqlTouchSource &sql, const Manner &manner, Batch &batch, std::size_t tier,
            CandidateSink &sink)
      : binding_(binding), tier_(binding.tiers[tier]), sql_(sql), manner_(manner), batch_(batch), number_(tier),
        newest_(binding.rule.model.kind == core::Model::last_touch),
        offers_(sink, batch.size(), tier == 0 || binding.rule.path == core::PathKind::first_match, newest_),
        plain_(batch, tier, manner.channels, offers_) {}

  /// Finds where to look; false if touch indexes can't do it.
  bool begin(const std::vector<std::uint32_t> &which);
  void run();

private:
  bool is_wanted(const core::Wanted &wanted) const;
  std::span<const core::Wanted> choose(const touch::Leaf &leaf);
  void hash_keys(const touch::Leaf &leaf);
  void look_into(const touch::Leaf &leaf);
  std::size_t look(const touch::Leaf &leaf, std::span<const core::Wanted> wanted, std::uint32_t most);
  void offer(const touch::Leaf &leaf, std::span<const touch::Candidate> rows);

  const Binding &binding_;
  const BoundTier &tier_;
  SqlTouchSource &sql_;
  Manner manner_;
  Batch &batch_;
  std::size_t number_;
  bool newest_;
  Offers offers_;
  PlainRows plain_;
  bool is_plain_ = false;
  touch::KeyHasher key_{};           ///< of the pairs
  std::vector<touch::Leaf> leaves_;  ///< where the best are first
  std::vector<core::Wanted> wanted_; ///< by hash
  std::vector<int> hashed_;          ///< the order of pairs of these hashes
  std::vector<core::Wanted> still_, next_;
  bool is_beyond_ = false; ///< all of the present leaf is worse than what was offered of those before it
  touch::Candidates *candidates_ = nullptr;
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
    FmgrInfo *hash = hash_of(binding_, pair);
    if (hash == nullptr)
      return false;
    key_.column[key_.columns++] = {hash, pair.touch.type.collation};
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
  candidates_ = static_cast<touch::Candidates *>(pg::call([&] { return palloc(sizeof(touch::Candidates)); }));
  new (candidates_) touch::Candidates(newest_, manner_.memory);
  core::Micros reached = newest_ ? core::kInfinity : core::kMinusInfinity;
  for (const touch::Leaf &leaf : leaves_) {
    if (!offers_.is_open())
      return;
    is_beyond_ = &leaf == leaves_.data() || (newest_ ? leaf.until < reached : leaf.since > reached);
    look_into(leaf);
    reached = newest_ ? std::min(reached, leaf.since) : std::max(reached, leaf.until);
  }
}

/// Whether the best row that can be in somebody's window could matter, which is worse than those of this leaf that were
/// offered.
bool Gathering::is_wanted(const core::Wanted &wanted) const {
  core::Touch best;
  best.tier = static_cast<std::uint32_t>(number_);
  best.time = newest_ ? wanted.until : wanted.since;
  return is_beyond_ ? offers_.wants_worse(wanted.conversion, best) : offers_.wants(wanted.conversion, best);
}

/// Who looks for rows of a leaf. Who needs none that is as good as those of this leaf can be is done with.
std::span<const core::Wanted> Gathering::choose(const touch::Leaf &leaf) {
  const auto is_here = [&](const core::Wanted &wanted) {
    return wanted.since <= leaf.until && wanted.until >= leaf.since;
  };
  bool all_are = true;
  std::erase_if(wanted_, [&](core::Wanted wanted) {
    if (!is_here(wanted)) {
      all_are = false;
      return false;
    }
    wanted.since = std::max(wanted.since, leaf.since);
    wanted.until = std::min(wanted.until, leaf.until);
    return !is_wanted(wanted);
  });
  if (all_are)
    return wanted_;
  still_.clear();
  std::ranges::copy_if(wanted_, std::back_inserter(still_), is_here);
  return still_;
}

void Gathering::hash_keys(const touch::Leaf &leaf) {
  std::vector<int> order(leaf.columns, leaf.columns + tier_.match.size());
  if (order == hashed_)
    return;
  hashed_ = std::move(order);
  order_by_key(wanted_, key_, hashed_, [this](std::uint32_t conversion, int place) {
    return batch_.columns[tier_.match[static_cast<std::size_t>(place)].conversion].values[conversion];
  });
}

void Gathering::look_into(const touch::Leaf &leaf) {
  hash_keys(leaf);
  if (is_plain_)
    plain_.begin_table(leaf, tier_);
  std::span<const core::Wanted> still = choose(leaf);
  const std::uint32_t first = is_plain_ ? kFirstLookAtPlain : kFirstLook;
  for (std::uint32_t most = manner_.whole ? kFirstLookOfMany : first; !still.empty() && offers_.is_open();
       most = std::min(most, kMostLooks) * kMoreLooks) {
    next_.clear();
    while (!still.empty() && offers_.is_open())
      still = still.subspan(look(leaf, still, most));
    still_.swap(next_);
    still = still_;
  }
}

/// Looks for the best of those who are wanted, as many as there is memory for; returns how many of them that were. Who
/// may need more goes to `next_`.
std::size_t Gathering::look(const touch::Leaf &leaf, std::span<const core::Wanted> wanted, std::uint32_t most) {
  pg::Context memory("attribution candidates");
  const pg::Within within(memory);
  std::size_t done = 0;
  const std::span<const touch::Candidate> rows = pg::call([&] {
    candidates_->begin(wanted, most);
    done = touch::find_candidates(leaf.index, GetActiveSnapshot(), *candidates_);
    return candidates_->look_up(leaf.table, GetActiveSnapshot(), is_plain_ ? &plain_ : nullptr);
  });
  if (!is_plain_)
    offer(leaf, rows);
  for (std::size_t i = 0; i < done; ++i) {
    const core::Micros *worst = candidates_->beyond(i);
    if (worst == nullptr)
      continue;
    core::Wanted more = wanted[i];
    if (newest_)
      more.until = std::min(more.until, *worst - 1);
    else
      more.since = std::max(more.since, *worst + 1);
    if (more.since <= more.until && is_wanted(more))
      next_.push_back(more);
  }
  return done;
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
    sql_.gather_found(batch_, which, number_, leaf.table, places, leaf.since, leaf.until, offers_);
  }
}

} // namespace

void IndexTouchSource::gather(Batch &batch, const std::vector<std::uint32_t> &which, std::size_t tier,
                              CandidateSink &sink) {
  pg::Context memory("attribution gathering");
  const pg::Within within(memory);
  const Manner manner{.channels = channels_, .whole = keep_ != core::Keep::winners, .memory = memory_};
  Gathering gathering(binding_, sql_, manner, batch, tier, sink);
  last_[tier] = enabled_ && gathering.begin(which) ? Way::touch_index : Way::sql;
  if (last_[tier] == Way::touch_index) {
    ++ways_.touch_index;
    gathering.run();
  } else {
    ++ways_.sql;
    sql_.gather(batch, which, tier, sink);
  }
}

} // namespace attribution::engine
