// assists(), path_lengths() and time_lags(), of anybody's paths.
#include "core/path_statistics.hpp"
#include "entry/path_aggregate.hpp"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_assists_add);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_assists_end);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_path_lengths_add);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_path_lengths_end);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_time_lags_add);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_time_lags_end);
}

namespace {

using namespace attribution;
using namespace attribution::entry;

struct AssistsState final : PathModel {
  void add(std::span<const core::Channel> path, const core::PathCount &count) override { assists.add(path, count); }
  std::size_t bytes() const override { return assists.bytes(); }
  core::Assists assists;
};

struct LengthsState final : PathModel {
  void add(std::span<const core::Channel> path, const core::PathCount &count) override {
    lengths.add(static_cast<std::int64_t>(path.size()), count);
  }
  std::size_t bytes() const override { return lengths.bytes(); }
  core::Distribution lengths;
};

struct LagsState {
  core::Distribution lags; ///< in steps
  core::Micros step = 0;
};

/// An interval as a length of time: a month has 30 days, as when intervals are compared.
core::Micros length_of(FunctionCallInfo fcinfo, int argument, const char *name) {
  const Interval *interval = pg::call([&] { return PG_GETARG_INTERVAL_P(argument); });
  std::int64_t days = 0, micros = 0;
  if (__builtin_mul_overflow(std::int64_t{interval->month}, DAYS_PER_MONTH, &days) ||
      __builtin_add_overflow(days, interval->day, &days) || __builtin_mul_overflow(days, USECS_PER_DAY, &micros) ||
      __builtin_add_overflow(micros, interval->time, &micros))
    throw pg::Error(ERRCODE_INTERVAL_FIELD_OVERFLOW, std::string(name) + " is out of range");
  return micros;
}

} // namespace

// Arguments: path, conversions.
Datum attribution_assists_add(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    auto &state = entry::state<AssistsState>(fcinfo, [] { return std::make_unique<AssistsState>(); });
    add_row(fcinfo, state, {.value = 0, .nulls = 0});
    return PointerGetDatum(&state);
  });
}

Datum attribution_assists_end(PG_FUNCTION_ARGS) {
  return end<AssistsState>(fcinfo, [&](const AssistsState &state, pg::RowArray &rows) {
    enum Column { kChannel, kFirst, kLast, kAssisted, kRatio };
    const std::span<const core::Assists::Total> totals = state.assists.totals();
    for (const core::Channel channel : state.channels.by_name()) {
      if (channel >= totals.size() || totals[channel].seen == 0)
        continue;
      const core::Assists::Total &total = totals[channel];
      rows.set_text(kChannel, state.channels.name(channel));
      rows.set(kFirst, total.first.value());
      rows.set(kLast, total.last.value());
      rows.set(kAssisted, total.assisted.value());
      if (total.last.value() > 0)
        rows.set(kRatio, total.assisted.value() / total.last.value());
      rows.put();
    }
  });
}

// Arguments: path, conversions, value.
Datum attribution_path_lengths_add(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    auto &state = entry::state<LengthsState>(fcinfo, [] { return std::make_unique<LengthsState>(); });
    add_row(fcinfo, state, {.nulls = 0});
    return PointerGetDatum(&state);
  });
}

Datum attribution_path_lengths_end(PG_FUNCTION_ARGS) {
  return end<LengthsState>(fcinfo, [&](const LengthsState &state, pg::RowArray &rows) {
    enum Column { kLength, kConversions, kValue };
    for (const auto &[length, total] : state.lengths.totals()) {
      rows.set(kLength, Int32GetDatum(static_cast<std::int32_t>(length)));
      rows.set(kConversions, total.conversions.value());
      rows.set(kValue, total.value.value());
      rows.put();
    }
  });
}

// Arguments: lag, conversions, value, step.
Datum attribution_time_lags_add(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    if (PG_ARGISNULL(4))
      throw pg::Error(ERRCODE_NULL_VALUE_NOT_ALLOWED, "step must not be null");
    const core::Micros step = length_of(fcinfo, 4, "step");
    if (step <= 0)
      throw pg::Error(ERRCODE_INVALID_PARAMETER_VALUE, "step must be longer than nothing");
    auto &state = entry::state<LagsState>(fcinfo, [] { return std::make_unique<LagsState>(); });
    if (state.step != 0 && state.step != step)
      throw pg::Error(ERRCODE_INVALID_PARAMETER_VALUE, "step must be the same for all rows");
    state.step = step;
    core::PathCount count;
    count.conversions = number(fcinfo, 2, "conversions", false);
    count.value = number(fcinfo, 3, "value", true);
    if (!PG_ARGISNULL(1)) { // without a touchpoint there is no lag
      const core::Micros lag = length_of(fcinfo, 1, "lag");
      state.lags.add(lag / step - (lag % step < 0), count);
    }
    if (state.lags.bytes() > entry::work_mem())
      throw pg::Error(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
                      "the steps that lags fall into do not fit into attribution.work_mem", {},
                      "Raise attribution.work_mem, or take longer steps.");
    return PointerGetDatum(&state);
  });
}

Datum attribution_time_lags_end(PG_FUNCTION_ARGS) {
  return end<LagsState>(fcinfo, [&](const LagsState &state, pg::RowArray &rows) {
    enum Column { kLag, kConversions, kValue };
    for (const auto &[steps, total] : state.lags.totals()) {
      const core::Micros begins = steps * state.step;
      rows.set(kLag, pg::call([&] {
                 auto *lag = static_cast<Interval *>(palloc0(sizeof(Interval)));
                 lag->day = static_cast<int32>(begins / USECS_PER_DAY);
                 lag->time = begins % USECS_PER_DAY;
                 return IntervalPGetDatum(lag);
               }));
      rows.set(kConversions, total.conversions.value());
      rows.set(kValue, total.value.value());
      rows.put();
    }
  });
}
