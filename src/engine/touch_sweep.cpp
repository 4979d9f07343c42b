#include "engine/touch_sweep.hpp"

#include "core/decide.hpp"
#include "core/eligibility.hpp"
#include "engine/expression.hpp"
#include "engine/queries.hpp"
#include "engine/touch_source.hpp"

namespace attribution::engine {

namespace {

/// Reading a touchpoint in passing takes about this part of looking for those of a conversion.
constexpr double kTouchpointsPerConversion = 100;

/// The columns of a sweep; those to match on follow, and the channel, if the rule says what that is.
enum SweepColumn : int { kSweepTime = 1, kSweepId, kSweepKeys };

/// The touchpoints of a tier from $1 to $2.
std::string all_touchpoints(const Binding &binding, std::size_t number) {
  const BoundTier &tier = binding.tiers[number];
  const TierSpec &spec = binding.spec.tiers[number];
  const std::string time = "touch." + tier.time.quoted;
  const std::string id = "touch." + tier.id.quoted;
  std::string keys;
  for (const Pair &pair : tier.match)
    keys += ", touch." + pair.touch.quoted;
  const std::string channel = binding.spec.channel.empty() ? "" : ", " + channel_of(binding);
  const std::string filter = spec.filter.empty() ? "" : " AND " + embed(spec.filter);
  return joined({"SELECT ", time, ", ", id, keys, channel, " FROM ", tier.touchpoints.name, " AS touch WHERE ", time,
                 " >= $1 AND ", time, " <= $2 AND ", id, " IS NOT NULL", filter});
}

/// What is kept of a touchpoint.
struct Swept {
  core::Micros time;
  Datum id;
  core::Channel channel;
  std::uint32_t group; ///< of the conversions with its key
};

/// The touchpoints of one tier, by the keys of conversions.
class SweptTier final : public pg::RowReceiver {
public:
  SweptTier(const std::vector<pg::Exact> &keys, const BoundTier &tier, const Batch &batch, core::Channels *channels,
            core::Channel tier_channel, std::size_t memory, MemoryContext context)
      : keys_(keys), tier_(tier), batch_(batch), channels_(channels), tier_channel_(tier_channel), memory_(memory),
        context_(context) {}

  /// Says that the touchpoints of a conversion are wanted.
  void want(std::uint32_t conversion);
  bool is_wanted(std::uint32_t conversion) const {
    return groups_of_.size() > conversion && groups_of_[conversion] != kNone;
  }

  bool row(TupleTableSlot *slot) noexcept override;
  /// Puts what was found in order. False if there are touchpoints that it can't tell apart.
  bool arrange(const pg::Type &id);
  /// Whether the memory did not do.
  bool over() const;
  std::size_t bytes() const noexcept { return bytes_; }

  /// The touchpoints that have a conversion's key, by (time, id).
  std::span<const Swept> of(std::uint32_t conversion) const {
    const std::uint32_t group = groups_of_[conversion];
    return std::span<const Swept>(found_).subspan(begins_[group], begins_[group + 1] - begins_[group]);
  }

private:
  static constexpr std::uint32_t kNone = core::HashIndex::kNone;
  static constexpr std::size_t kTouchBytes = 2 * sizeof(Swept); // they are put in order as copies

  template <class Value> std::uint64_t hash(Value value) const {
    std::uint64_t hash = 0;
    for (std::size_t i = 0; i < keys_.size(); ++i)
      hash = core::mix(hash ^ keys_[i].hashed(value(i)));
    return hash;
  }
  template <class Value> std::uint32_t find(std::uint64_t hash, Value value) const {
    return index_.find(hash, [&](std::uint32_t group) {
      for (std::size_t i = 0; i < keys_.size(); ++i)
        if (!keys_[i].same(value(i), group_keys_[group * keys_.size() + i]))
          return false;
      return true;
    });
  }
  Datum key(std::uint32_t conversion, std::size_t i) const {
    return batch_.columns[tier_.match[i].conversion].values[conversion];
  }

  const std::vector<pg::Exact> &keys_;
  const BoundTier &tier_;
  const Batch &batch_;
  core::Channels *channels_; ///< none: all touchpoints have that of the tier
  core::Channel tier_channel_;
  std::size_t memory_, bytes_ = 0;
  MemoryContext context_;
  core::HashIndex index_;                ///< of groups
  std::vector<Datum> group_keys_;        ///< by group, then by pair
  std::vector<std::uint32_t> groups_of_; ///< by conversion
  std::vector<Swept> found_;
  std::vector<std::size_t> begins_; ///< of groups, once in order
  bool over_ = false;
  std::exception_ptr failure_;
};

void SweptTier::want(std::uint32_t conversion) {
  groups_of_.resize(batch_.size(), kNone);
  const auto value = [&](std::size_t i) { return key(conversion, i); };
  const std::uint64_t hashed = pg::call([&] { return hash(value); });
  std::uint32_t group = pg::call([&] { return find(hashed, value); });
  if (group == kNone) {
    group = index_.add(hashed);
    for (std::size_t i = 0; i < keys_.size(); ++i)
      group_keys_.push_back(value(i));
  }
  groups_of_[conversion] = group;
}

bool SweptTier::row(TupleTableSlot *slot) noexcept {
  const auto value = [slot](std::size_t i) { return slot->tts_values[kSweepKeys - 1 + i]; };
  for (std::size_t i = 0; i < keys_.size(); ++i)
    if (slot->tts_isnull[kSweepKeys - 1 + i])
      return true;
  const std::uint32_t group = find(hash(value), value);
  if (group == kNone)
    return true;
  Swept touch{DatumGetTimestampTz(slot->tts_values[kSweepTime - 1]), slot->tts_values[kSweepId - 1], tier_channel_,
              group};
  if (!tier_.id.type.by_value) {
    MemoryContext outer = MemoryContextSwitchTo(context_);
    touch.id = datumCopy(touch.id, false, tier_.id.type.length);
    MemoryContextSwitchTo(outer);
    bytes_ += datumGetSize(touch.id, false, tier_.id.type.length);
  }
  const text *channel = channels_ == nullptr ? nullptr : DatumGetTextPP(value(keys_.size()));
  try {
    if (channel != nullptr)
      touch.channel = channels_->number({VARDATA_ANY(channel), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(channel))});
    found_.push_back(touch);
  } catch (...) { // it must not pass through the executor; over() throws it on
    failure_ = std::current_exception();
    return false;
  }
  bytes_ += kTouchBytes;
  over_ = bytes_ > memory_;
  return !over_;
}

bool SweptTier::over() const {
  if (failure_)
    std::rethrow_exception(failure_);
  return over_;
}

bool SweptTier::arrange(const pg::Type &id) {
  begins_.assign(index_.size() + 1, 0);
  for (const Swept &touch : found_)
    ++begins_[touch.group + 1];
  for (std::size_t group = 0; group < index_.size(); ++group)
    begins_[group + 1] += begins_[group];
  std::vector<Swept> ordered(found_.size());
  std::vector<std::size_t> next(begins_.begin(), begins_.end() - 1);
  for (const Swept &touch : found_)
    ordered[next[touch.group]++] = touch;
  found_ = std::move(ordered);

  const pg::Order ids(id.oid);
  const bool exact = static_cast<bool>(pg::Exact::of(id));
  for (std::size_t group = 0; group < index_.size(); ++group) {
    pg::check_for_interrupts();
    const std::span<Swept> touches(found_.begin() + static_cast<std::ptrdiff_t>(begins_[group]),
                                   begins_[group + 1] - begins_[group]);
    std::ranges::sort(touches, [&](const Swept &a, const Swept &b) {
      return a.time != b.time ? a.time < b.time : ids(a.id, b.id) < 0;
    });
    // One touchpoint as two rows: the least by text counts, which is one as good as the other if all that is kept is
    // the same.
    for (std::size_t i = 1; i < touches.size(); ++i)
      if (touches[i - 1].time == touches[i].time && ids(touches[i - 1].id, touches[i].id) == 0 &&
          (!exact || touches[i - 1].channel != touches[i].channel))
        return false;
  }
  return true;
}

/// Answers the core's questions about touchpoints of a sweep, whose handles are their addresses.
class SweptIds final : public TouchIds {
public:
  explicit SweptIds(Oid id) : order_(id) {}
  static const Swept &of(const core::Touch &touch) { return *reinterpret_cast<const Swept *>(touch.row); }
  Datum id(const core::Touch &touch) const override { return of(touch).id; }
  int compare_ids(const core::Touch &a, const core::Touch &b) override { return order_(id(a), id(b)); }
  int compare_texts(const core::Touch &, const core::Touch &) override { return 0; } // see arrange()

private:
  pg::Order order_;
};

/// Adds the touchpoints of a tier that are eligible for a conversion.
void add_eligible(std::span<const Swept> swept, const core::Tier &tier, std::uint32_t number, core::Micros time,
                  std::vector<core::Touch> &touches) {
  const core::Window window = core::window_of(tier, time);
  for (auto at = std::ranges::lower_bound(swept, window.since, {}, &Swept::time);
       at != swept.end() && at->time <= window.until; ++at) {
    const core::Touch touch{.time = at->time, .row = reinterpret_cast<std::uintptr_t>(&*at), .tier = number};
    if (core::judge(tier, time, touch) == core::Eligibility::eligible)
      touches.push_back(touch);
  }
}

} // namespace

TouchSweep::TouchSweep(const Binding &binding, Oid reader, core::Channels &channels)
    : binding_(binding), channels_(channels), possible_(true), keys_(binding.tiers.size()) {
  for (std::size_t number = 0; number < binding.tiers.size() && possible_; ++number) {
    const BoundTier &tier = binding.tiers[number];
    possible_ = binding.spec.tiers[number].predicate.empty() && tier.conflict.empty() && !tier.lookback;
    for (const Pair &pair : tier.match) {
      keys_[number].push_back(pg::Exact::of(pair.touch.type, binding.columns[pair.conversion].type));
      possible_ = possible_ && keys_[number].back();
    }
  }
  for (std::size_t number = 0; number < binding.tiers.size() && possible_; ++number) {
    const pg::Plan plan =
        pg::Plan::kept(all_touchpoints(binding, number), {TIMESTAMPTZOID, TIMESTAMPTZOID}, pg::Planning::each_time);
    plan.refuse_volatile("touchpoints of tier \"" + binding.spec.tiers[number].name + "\"");
    plan.check_reader(reader);
    plans_.push_back(plan);
  }
}

std::vector<pg::Param> TouchSweep::params(const Batch &batch, std::uint32_t from, std::uint32_t to,
                                          std::size_t tier) const {
  const auto [first, last] = std::minmax_element(batch.times.begin() + from, batch.times.begin() + to);
  const core::Tier &t = binding_.rule.tiers[tier];
  return {{TimestampTzGetDatum(window_since(*first, t.lookback)), false},
          {TimestampTzGetDatum(window_until(*last, t.skew)), false}};
}

bool TouchSweep::pays(const Batch &batch, std::uint32_t from, std::uint32_t to) const {
  double rows = 0;
  for (std::size_t tier = 0; tier < plans_.size(); ++tier)
    rows += pg::Cursor(plans_[tier], params(batch, from, to, tier)).expected_rows();
  return rows <= kTouchpointsPerConversion * (to - from);
}

TouchSweep::Outcome TouchSweep::tell(const Batch &batch, std::uint32_t from, std::uint32_t to, std::size_t memory,
                                     const PathSink &sink) {
  const core::Rule &rule = binding_.rule;
  pg::Context ids("attribution touchpoint ids");
  std::vector<std::unique_ptr<SweptTier>> tiers;
  std::vector<core::Touch> touches;
  // In a waterfall whoever has touchpoints in a tier needs none of those below.
  const auto eligible = [&](std::uint32_t conversion) -> const std::vector<core::Touch> & {
    touches.clear();
    for (std::uint32_t number = 0; number < tiers.size(); ++number)
      if (tiers[number]->is_wanted(conversion) && (rule.path == core::PathKind::all || touches.empty()))
        add_eligible(tiers[number]->of(conversion), rule.tiers[number], number, batch.times[conversion], touches);
    return touches;
  };
  std::size_t bytes = 0;
  for (std::size_t number = 0; number < plans_.size(); ++number) {
    const bool channels = !binding_.spec.channel.empty();
    auto tier = std::make_unique<SweptTier>(
        keys_[number], binding_.tiers[number], batch, channels ? &channels_ : nullptr,
        channels ? 0 : channels_.number(binding_.spec.tiers[number].name), memory - bytes, ids);
    for (std::uint32_t conversion = from; conversion < to; ++conversion)
      if (batch.has_key(binding_.tiers[number], conversion) &&
          (rule.path == core::PathKind::all || number == 0 || eligible(conversion).empty()))
        tier->want(conversion);
    {
      pg::Context scratch("attribution sweep");
      const pg::Within within(scratch);
      plans_[number].run(params(batch, from, to, number), *tier);
    }
    if (tier->over())
      return Outcome::too_large;
    if (!tier->arrange(binding_.touch_id))
      return Outcome::unclear;
    bytes += tier->bytes();
    tiers.push_back(std::move(tier));
  }

  pg::Context scratch("attribution path");
  SweptIds rows(binding_.touch_id.oid);
  std::vector<core::PathStep> steps;
  for (std::uint32_t conversion = from; conversion < to; ++conversion) {
    pg::check_for_interrupts();
    eligible(conversion);
    const core::Decision decision = core::decide(rule, touches, rows);
    steps.clear();
    for (const core::Touch &touch : decision.path)
      steps.push_back({touch.time, SweptIds::of(touch).channel});
    {
      const pg::Within within(scratch);
      sink(conversion, {decision.path, steps, rows});
    }
    scratch.reset();
  }
  return Outcome::done;
}

} // namespace attribution::engine
