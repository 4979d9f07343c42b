// shapley(), shapley_ordered() and shapley_conversion_rate().
#include "core/shapley.hpp"
#include "entry/path_aggregate.hpp"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_shapley_add);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_shapley_end);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_shapley_ordered_add);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_shapley_ordered_end);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_conversion_rate_add);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_conversion_rate_end);
}

namespace {

using namespace attribution;
using namespace attribution::entry;

struct ShapleyState final : PathModel {
  explicit ShapleyState(bool ordered) : shapley(ordered) {}
  void add(std::span<const core::Channel> path, const core::PathCount &count) override { shapley.add(path, count); }
  std::size_t bytes() const override { return shapley.bytes(); }
  core::Shapley shapley;
};

Datum add_shapley(FunctionCallInfo fcinfo, bool ordered) {
  return pg::boundary([&] {
    auto &state = entry::state<ShapleyState>(fcinfo, [&] { return std::make_unique<ShapleyState>(ordered); });
    add_row(fcinfo, state, {.nulls = 0});
    return PointerGetDatum(&state);
  });
}

/// Columns: channel, position if ordered, conversions, value.
Datum end_shapley(FunctionCallInfo fcinfo, bool ordered) {
  return end<ShapleyState>(fcinfo, [&](const ShapleyState &state, pg::RowArray &rows) {
    const std::size_t conversions = ordered ? 2 : 1, value = conversions + 1;
    for (const core::ShapleyCredit &credit : state.shapley.credits(state.channels.by_name())) {
      pg::check_for_interrupts();
      rows.set_text(0, state.channels.name(credit.channel));
      if (ordered)
        rows.set(1, Int32GetDatum(static_cast<std::int32_t>(credit.position)));
      rows.set(conversions, credit.conversions);
      rows.set(value, credit.value);
      rows.put();
    }
    put_organic(rows, state.shapley.organic(), conversions, value);
  });
}

struct ConversionRateState final : PathModel {
  void add(std::span<const core::Channel> path, const core::PathCount &count) override {
    if (channels.size() > core::ConversionRateGame::kMostChannels)
      throw pg::Error(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                      "the conversion rate game is played by at most " +
                          decimal(core::ConversionRateGame::kMostChannels) + " channels",
                      "All their coalitions have to be tried, which are twice as many with each channel.",
                      "Leave out or join channels, or use attribution.shapley(), which has no such limit.");
    game.add(path, count);
  }
  std::size_t bytes() const override { return 0; } // bounded by the number of channels
  core::ConversionRateGame game;
};

} // namespace

Datum attribution_shapley_add(PG_FUNCTION_ARGS) { return add_shapley(fcinfo, false); }
Datum attribution_shapley_ordered_add(PG_FUNCTION_ARGS) { return add_shapley(fcinfo, true); }

Datum attribution_shapley_end(PG_FUNCTION_ARGS) { return end_shapley(fcinfo, false); }
Datum attribution_shapley_ordered_end(PG_FUNCTION_ARGS) { return end_shapley(fcinfo, true); }

Datum attribution_conversion_rate_add(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    auto &state = entry::state<ConversionRateState>(fcinfo, [] { return std::make_unique<ConversionRateState>(); });
    add_row(fcinfo, state, {});
    return PointerGetDatum(&state);
  });
}

Datum attribution_conversion_rate_end(PG_FUNCTION_ARGS) {
  return end<ConversionRateState>(fcinfo, [&](const ConversionRateState &state, pg::RowArray &rows) {
    enum Column { kChannel, kShapleyValue, kConversions, kValueShapleyValue, kValue };
    for (const core::ConversionRateGame::Credit &credit : state.game.credits(state.channels.by_name())) {
      rows.set_text(kChannel, state.channels.name(credit.channel));
      rows.set(kShapleyValue, credit.shapley_value);
      rows.set(kConversions, credit.conversions);
      rows.set(kValueShapleyValue, credit.value_shapley_value);
      rows.set(kValue, credit.value);
      rows.put();
    }
    put_organic(rows, state.game.organic(), kConversions, kValue);
  });
}
