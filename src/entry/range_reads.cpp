// The functions that decide a range of conversions and return what comes out, with the help of other processes where
// the range is large: attribute(), touchpoints(), and what diff() compares.
#include "engine/credits.hpp"
#include "engine/decider.hpp"
#include "engine/horizon.hpp"
#include "engine/installations.hpp"
#include "engine/parcel.hpp"
#include "engine/slices.hpp"
#include "entry/bound_rule.hpp"
#include "entry/settings.hpp"
#include "pg/arrays.hpp"
#include "pg/team.hpp"
#include "touch/collect.hpp"
#include "touch/recent.hpp"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_attribute);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_touchpoints);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_outlook);
/// Where PostgreSQL's parallel workers begin.
PGDLLEXPORT void attribution_help_read(dsm_segment *segment, shm_toc *contents);
}

namespace {

using namespace attribution;
using entry::BoundRule;
using entry::required;

/// What a helper is to read.
enum class Reading : std::uint8_t { credits, touchpoints, outlook };

/// The columns of attribute().
struct EmitCredits {
  explicit EmitCredits(const engine::Binding &binding) : binding(binding), crediting(binding) {
    for (const engine::TierSpec &tier : binding.spec.tiers)
      tiers.push_back(pg::text(tier.name));
  }
  const engine::Binding &binding;
  engine::Crediting crediting;
  // Words of many rows, made once.
  Datum attributed = pg::text("attributed"), organic = pg::text("organic");
  std::vector<Datum> tiers;

  static constexpr Reading kReading = Reading::credits;
  static constexpr core::Keep kKeep = core::Keep::winners;
  enum Column { kId, kTime, kOutcome, kKind, kTier, kTouchId, kTouchTime, kPosition, kCredit };
  static constexpr std::initializer_list<Oid> types = {InvalidOid, TIMESTAMPTZOID, TEXTOID, TEXTOID,  TEXTOID,
                                                       InvalidOid, TIMESTAMPTZOID, INT4OID, FLOAT8OID};

  void put(const engine::Batch &batch, std::uint32_t i, const core::Decision &decision, engine::TouchRowStore &rows,
           pg::ResultSet &result) {
    const auto put_credit = [&](int position, const core::Touch *touch, double credit) {
      result.set_as(kId, binding.id.type, batch.ids[i]);
      result.set(kTime, TimestampTzGetDatum(batch.times[i]));
      result.set(kOutcome, touch != nullptr ? attributed : organic);
      if (const char *kind = engine::name_of(batch.kinds[i]))
        result.set_text(kKind, kind);
      result.set(kPosition, Int32GetDatum(position));
      result.set(kCredit, Float8GetDatum(credit));
      if (touch != nullptr) {
        result.set(kTier, tiers[touch->tier]);
        result.set_as(kTouchId, binding.touch_id, rows.id(*touch));
        result.set(kTouchTime, TimestampTzGetDatum(touch->time));
      }
      result.put();
    };
    crediting.for_each(batch.times[i], decision, rows, put_credit);
  }
};

/// What diff() compares with what is stored: one row a conversion, with the touchpoint of the most credit, and of equal
/// ones the newest; all but the id as text.
struct EmitOutlook {
  explicit EmitOutlook(const engine::Binding &binding) : binding(binding), crediting(binding) {}
  const engine::Binding &binding;
  engine::Crediting crediting;

  static constexpr Reading kReading = Reading::outlook;
  static constexpr core::Keep kKeep = core::Keep::winners;
  enum Column { kId, kTime, kTier, kTouchId, kTouchTime, kCredits, kValue, kCarried, kBeyondHorizon };
  static constexpr std::initializer_list<Oid> types = {
      InvalidOid, TIMESTAMPTZOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, NUMERICOID, TEXTARRAYOID, BOOLOID};

  void put(const engine::Batch &batch, std::uint32_t i, const core::Decision &decision, engine::TouchRowStore &rows,
           pg::ResultSet &result) {
    const core::Touch *most = nullptr;
    double credit = 0;
    int count = 0;
    std::string credits; // of several, all that there is to tell of them
    crediting.for_each(batch.times[i], decision, rows, [&](int position, const core::Touch *touch, double share) {
      count = position;
      if (touch == nullptr)
        return;
      if (share >= credit) {
        most = touch;
        credit = share;
      }
      credits += binding.spec.tiers[touch->tier].name;
      for (const char *text : {binding.touch_id.text(rows.id(*touch)), time.text(TimestampTzGetDatum(touch->time)),
                               number.text(Float8GetDatum(share))})
        (credits += '/') += text;
      credits += ' ';
    });
    result.set_as(kId, binding.id.type, batch.ids[i]);
    result.set(kTime, TimestampTzGetDatum(batch.times[i]));
    if (binding.value && !batch.value.nulls[i])
      result.set(kValue, batch.value.values[i]);
    if (most != nullptr) {
      result.set_text(kTier, binding.spec.tiers[most->tier].name.c_str());
      result.set_text(kTouchId, binding.touch_id.text(rows.id(*most)));
      result.set(kTouchTime, TimestampTzGetDatum(most->time));
      result.set(kCarried, rows.carried_texts(*most));
    }
    if (count > 1)
      result.set_text(kCredits, credits.c_str());
    result.set(kBeyondHorizon, BoolGetDatum(engine::is_beyond_horizon(binding, batch.times[i])));
    result.put();
  }

private:
  pg::Type time = pg::Type::of(TIMESTAMPTZOID, InvalidOid), number = pg::Type::of(FLOAT8OID, InvalidOid);
};

/// The columns of touchpoints().
struct EmitTouchpoints {
  explicit EmitTouchpoints(const engine::Binding &binding) : binding(binding), crediting(binding) {}
  const engine::Binding &binding;
  engine::Crediting crediting;

  static constexpr Reading kReading = Reading::touchpoints;
  static constexpr core::Keep kKeep = core::Keep::everything;
  enum Column { kId, kTime, kTier, kPosition, kLength, kTouchId, kTouchTime, kCredit };
  static constexpr std::initializer_list<Oid> types = {InvalidOid, TIMESTAMPTZOID, TEXTOID,        INT4OID,
                                                       INT4OID,    InvalidOid,     TIMESTAMPTZOID, FLOAT8OID};

  void put(const engine::Batch &batch, std::uint32_t i, const core::Decision &decision, engine::TouchRowStore &rows,
           pg::ResultSet &result) {
    const std::size_t length = decision.path.size();
    const auto put_touch = [&](const core::Touch &touch, double credit) {
      result.set_as(kId, binding.id.type, batch.ids[i]);
      result.set(kTime, TimestampTzGetDatum(batch.times[i]));
      result.set_text(kTier, binding.spec.tiers[touch.tier].name.c_str());
      result.set_as(kTouchId, binding.touch_id, rows.id(touch));
      result.set(kTouchTime, TimestampTzGetDatum(touch.time));
      result.set(kCredit, Float8GetDatum(credit));
      result.put();
    };
    const std::span<const double> credits =
        length > 0 ? crediting.credits(batch.times[i], decision, rows) : std::span<const double>();
    for (std::size_t at = 0; at < length; ++at) {
      result.set(kPosition, Int32GetDatum(static_cast<std::int32_t>(at) + 1));
      result.set(kLength, Int32GetDatum(static_cast<std::int32_t>(length)));
      put_touch(decision.path[at], credits[at]);
    }
    for (const core::Touch &touch : decision.rest)
      put_touch(touch, 0);
  }
};

/// What is read, and for whom. So many processes read side by side, and share attribution.work_mem.
template <class Emit> class Reader {
public:
  Reader(const engine::Binding &binding, Oid reader, std::uint32_t processes)
      : binding_(binding), reader_(reader), processes_(processes),
        keep_(Emit::kKeep == core::Keep::winners ? engine::keep_for(binding) : Emit::kKeep),
        source_(binding, reader, entry::batch_size(), engine::reads_channels(binding), keep_,
                entry::candidate_bytes() / processes, entry::is_touch_index_on()),
        installations_(binding, reader), emit_(binding) {}

  /// Decides the conversions of a slice, batch by batch. Calls `meanwhile` now and then.
  template <class F> void read(const engine::Slices &slices, std::uint32_t slice, pg::ResultSet &result, F meanwhile) {
    constexpr std::uint32_t kNowAndThen = 64;
    // A path that fits for one process is to fit for each of several.
    engine::Decider decider(binding_, source_, keep_,
                            entry::work_mem() / (keep_ == core::Keep::winners ? processes_ : 1));
    engine::BatchLimits limits = entry::read_limits();
    limits.bytes /= processes_;
    engine::ConversionReader conversions(binding_, slices.ranges[slice], reader_, slices.conversions / slices.count(),
                                         limits);
    engine::Batch batch;
    std::uint32_t put = 0;
    while (conversions.next(batch)) {
      meanwhile();
      installations_.tell(batch);
      decider.decide(batch, [&](std::uint32_t i, const core::Decision &decision, engine::TouchRowStore &rows) {
        emit_.put(batch, i, decision, rows, result);
        if (++put % kNowAndThen == 0)
          meanwhile();
      });
    }
  }

  bool is_parallel_safe() const {
    return source_.is_parallel_safe() && installations_.is_parallel_safe() && emit_.crediting.is_parallel_safe() &&
           engine::ConversionReader::is_parallel_safe(binding_, reader_);
  }

private:
  const engine::Binding &binding_;
  Oid reader_;
  std::uint32_t processes_;
  core::Keep keep_;
  engine::IndexTouchSource source_;
  engine::Installations installations_;
  Emit emit_;
};

/// The leader's part: all of it, where nobody helps. Arguments: rule, since, until, overrides.
template <class Emit> void read_range(FunctionCallInfo fcinfo) {
  pg::ResultSet result(fcinfo, Emit::types);
  const core::Micros since = PG_ARGISNULL(1) ? core::kMinusInfinity : PG_GETARG_TIMESTAMPTZ(1);
  const core::Micros until = PG_ARGISNULL(2) ? core::kInfinity : PG_GETARG_TIMESTAMPTZ(2);
  if (since > until)
    throw pg::Error(ERRCODE_INVALID_PARAMETER_VALUE, "since must not be after until");
  const BoundRule rule(required(fcinfo, 0, "rule"), entry::overrides_or_none(fcinfo, 3));
  const engine::Binding &binding = rule.binding();
  result.expect(Emit::kId, binding.id.type);
  if (Emit::types.begin()[Emit::kTouchId] == InvalidOid)
    entry::expect_touch_id(result, Emit::kTouchId, binding);

  const bool may_share = pg::may_have_helpers();
  const std::uint32_t most = may_share ? static_cast<std::uint32_t>(max_parallel_workers_per_gather) + 1 : 1;
  engine::Slices slices =
      engine::slices_of(binding, since, until, rule.reader(), most, entry::min_parallel_conversions());
  std::optional<Reader<Emit>> reader;
  reader.emplace(binding, rule.reader(), slices.count());
  if (slices.count() > 1 && reader->is_parallel_safe()) {
    pg::call([] { touch::write_collected(); });
    engine::Packer order;
    order(Emit::kReading, rule.reader(), binding.spec, slices.ranges, slices.conversions);
    pg::Team team("attribution_help_read", static_cast<int>(slices.count()) - 1, order.bytes(), touch::known_places(),
                  slices.count(), result);
    if (!team.empty()) {
      const touch::SharedPlaces places(team.shared());
      while (const std::optional<std::uint32_t> piece = team.take_piece())
        reader->read(slices, *piece, result, [&] { team.receive(); });
      team.finish();
      return;
    }
  }
  if (slices.count() > 1)
    reader.emplace(binding, rule.reader(), 1);
  slices.ranges = {{since, until}};
  reader->read(slices, 0, result, [] {});
}

/// A helper's part.
template <class Emit> void help_read(pg::Helper &helper, engine::Unpacker &order) {
  Oid reader = InvalidOid;
  engine::RuleSpec spec;
  engine::Slices slices;
  order(reader, spec, slices.ranges, slices.conversions);
  const engine::Binding binding = engine::bind(std::move(spec));
  Reader<Emit> reads(binding, reader, slices.count());
  while (const std::optional<std::uint32_t> piece = helper.take_piece())
    reads.read(slices, *piece, helper.result(), [] {});
}

} // namespace

Datum attribution_attribute(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    read_range<EmitCredits>(fcinfo);
    return Datum(0);
  });
}

Datum attribution_touchpoints(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    read_range<EmitTouchpoints>(fcinfo);
    return Datum(0);
  });
}

Datum attribution_outlook(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    read_range<EmitOutlook>(fcinfo);
    return Datum(0);
  });
}

// Arguments: what Packer put in read_range().
void attribution_help_read(dsm_segment *segment, shm_toc *contents) {
  pg::boundary([&] {
    const pg::Spi spi;
    const pg::KeptPlans kept;
    pg::Helper helper(segment, contents);
    engine::Unpacker order(helper.message());
    touch::share_places(helper.shared());
    Reading reading{};
    order(reading);
    switch (reading) {
    case Reading::credits:
      help_read<EmitCredits>(helper, order);
      break;
    case Reading::touchpoints:
      help_read<EmitTouchpoints>(helper, order);
      break;
    case Reading::outlook:
      help_read<EmitOutlook>(helper, order);
      break;
    }
    return Datum(0);
  });
}
