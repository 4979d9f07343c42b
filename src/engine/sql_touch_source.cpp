#include "engine/given.hpp"
#include "engine/touch_source.hpp"

namespace attribution::engine {

namespace {

/// Makes a core::Touch of each row of a touch query.
class TouchReader final : public pg::RowReceiver {
public:
  TouchReader(std::size_t tier, CandidateSink &sink) : tier_(static_cast<std::uint32_t>(tier)), sink_(sink) {}

  bool row(TupleTableSlot *slot) noexcept override {
    const auto value = [slot](int column) { return slot->tts_values[column - 1]; };
    core::Touch touch;
    touch.time = DatumGetTimestampTz(value(kTouchTime));
    touch.tier = tier_;
    touch.facts = static_cast<std::uint8_t>(DatumGetInt32(value(kTouchFacts)));
    if (!slot->tts_isnull[kTouchLookback - 1])
      touch.lookback = DatumGetInt64(value(kTouchLookback));
    return sink_.offer(static_cast<std::uint32_t>(DatumGetInt32(value(kTouchNumber))), touch, slot);
  }

private:
  std::uint32_t tier_;
  CandidateSink &sink_;
};

} // namespace

SqlTouchSource::SqlTouchSource(const Binding &binding, Oid reader, std::size_t conversions, bool channels)
    : binding_(binding), reader_(reader), channels_(channels && !binding.spec.channel.empty()),
      near_(binding.tiers.size()), found_(binding.tiers.size()) {
  for (std::size_t tier = 0; tier < binding.tiers.size(); ++tier)
    eligible_.push_back(prepare(tier, Search::eligible, planning_for(conversions)));
}

pg::Plan SqlTouchSource::prepare(std::size_t tier, Search search, pg::Planning planning) const {
  std::vector<Oid> types(kParamColumns - 1);
  types[kParamNumber - 1] = INT4ARRAYOID;
  types[kParamSince - 1] = types[kParamUntil - 1] = types[kParamTime - 1] = TIMESTAMPTZARRAYOID;
  types[kParamId - 1] = binding_.id.type.array_oid();
  types[kParamEarliest - 1] = types[kParamLatest - 1] = TIMESTAMPTZOID;
  types[kParamEmpty - 1] = TEXTARRAYOID;
  types[kParamLimit - 1] = INT8OID;
  types[kParamTable - 1] = OIDOID;
  types[kParamRows - 1] = TIDARRAYOID;
  for (const Column &column : binding_.columns)
    types.push_back(column.type.array_oid());
  const pg::Plan plan = pg::Plan::kept(touchpoints_of(binding_, tier, search, channels_), types, planning);
  plan.refuse_volatile("touchpoints of tier \"" + binding_.spec.tiers[tier].name + "\"");
  plan.check_reader(reader_);
  return plan;
}

bool SqlTouchSource::is_parallel_safe() const {
  return std::all_of(eligible_.begin(), eligible_.end(), [](const pg::Plan &plan) { return plan.is_parallel_safe(); });
}

void SqlTouchSource::prepare_near_misses() {
  for (std::size_t tier = 0; tier < binding_.tiers.size(); ++tier)
    if (!near_[tier])
      near_[tier] = prepare(tier, Search::near_misses, pg::Planning::each_time);
}

void SqlTouchSource::run(const pg::Plan &plan, Batch &batch, const std::vector<std::uint32_t> &which, std::size_t tier,
                         const Question &question, CandidateSink &sink) {
  pg::Context memory("attribution touch query");
  pg::Within within(memory);
  const pg::Type number = pg::Type::of(INT4OID, InvalidOid);
  const pg::Type time = pg::Type::of(TIMESTAMPTZOID, InvalidOid);
  const auto since = [&](std::uint32_t i) { return window_since(batch.times[i], question.before); };
  const auto until = [&](std::uint32_t i) { return window_until(batch.times[i], question.after); };

  core::Micros earliest = core::kInfinity;
  core::Micros latest = core::kMinusInfinity;
  for (std::uint32_t i : which) {
    earliest = std::min(earliest, since(i));
    latest = std::max(latest, until(i));
  }
  earliest = std::max(earliest, question.since);
  latest = std::min(latest, question.until);
  std::vector<pg::Param> params;
  params.push_back(array_of(number, which, [](std::uint32_t i) {
    return pg::Param{Int32GetDatum(static_cast<std::int32_t>(i)), false};
  }));
  params.push_back(array_of(time, which, [&](std::uint32_t i) {
    return pg::Param{TimestampTzGetDatum(since(i)), false};
  }));
  params.push_back(array_of(time, which, [&](std::uint32_t i) {
    return pg::Param{TimestampTzGetDatum(until(i)), false};
  }));
  params.push_back(array_of(binding_.id.type, which, [&](std::uint32_t i) { return pg::Param{batch.ids[i], false}; }));
  params.push_back(array_of(time, which, [&](std::uint32_t i) {
    return pg::Param{TimestampTzGetDatum(batch.times[i]), false};
  }));
  params.push_back({TimestampTzGetDatum(earliest), false});
  params.push_back({TimestampTzGetDatum(latest), false});
  params.push_back(text_array(binding_.spec.empty));
  params.insert(params.end(), {question.limit, question.table, question.rows});
  for (std::size_t column = 0; column < binding_.columns.size(); ++column)
    params.push_back(array_of(binding_.columns[column].type, which, [&](std::uint32_t i) {
      return pg::Param{batch.columns[column].values[i], batch.columns[column].nulls[i] != 0};
    }));
  TouchReader reader(tier, sink);
  plan.run(params, reader);
}

void SqlTouchSource::gather(Batch &batch, const std::vector<std::uint32_t> &which, std::size_t tier,
                            CandidateSink &sink) {
  const core::Tier &t = binding_.rule.tiers[tier];
  run(eligible_[tier], batch, which, tier, {.before = t.lookback, .after = t.skew}, sink);
}

void SqlTouchSource::gather_near(Batch &batch, std::uint32_t conversion, std::size_t tier, std::int64_t most,
                                 CandidateSink &sink) {
  if (!near_[tier])
    near_[tier] = prepare(tier, Search::near_misses, pg::Planning::each_time);
  const core::Micros reach = core::plus(binding_.rule.tiers[tier].lookback, binding_.rule.tiers[tier].lookback);
  run(near_[tier], batch, {conversion}, tier,
      {.before = reach,
       .after = std::max(reach, binding_.rule.tiers[tier].skew),
       .limit = {Int64GetDatum(most), false}},
      sink);
}

void SqlTouchSource::gather_found(Batch &batch, const std::vector<std::uint32_t> &which, std::size_t tier, Oid table,
                                  const std::vector<Datum> &rows, core::Micros since, core::Micros until,
                                  CandidateSink &sink) {
  // Planned without knowing how many: then it fetches the rows, and does not read all of the table for them.
  if (!found_[tier])
    found_[tier] = prepare(tier, Search::found, pg::Planning::once);
  const core::Tier &t = binding_.rule.tiers[tier];
  const pg::Type row = pg::Type::of(TIDOID, InvalidOid);
  std::vector<char> nulls(rows.size(), 0);
  std::vector<Datum> values = rows;
  run(found_[tier], batch, which, tier,
      {.before = t.lookback,
       .after = t.skew,
       .since = since,
       .until = until,
       .table = {ObjectIdGetDatum(table), false},
       .rows = {row.array(values.data(), reinterpret_cast<bool *>(nulls.data()), values.size()), false}},
      sink);
}

} // namespace attribution::engine
