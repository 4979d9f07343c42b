// heuristics(): the models of single paths, over many; and the check of a model.
#include "core/heuristics.hpp"
#include "entry/path_aggregate.hpp"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_check_model);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_heuristics_add);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_heuristics_end);
}

namespace {

using namespace attribution;
using namespace attribution::entry;

/// Arguments: path, conversions, value, models.
struct HeuristicsState final : PathModel {
  explicit HeuristicsState(std::vector<std::string> texts, const std::vector<core::ModelSpec> &models)
      : texts(std::move(texts)), heuristics(models, channels) {}
  void add(std::span<const core::Channel> path, const core::PathCount &count) override { heuristics.add(path, count); }
  std::size_t bytes() const override { return heuristics.bytes(); }
  std::vector<std::string> texts; ///< the models as they were written
  core::Heuristics heuristics;
};

std::unique_ptr<HeuristicsState> make_heuristics(FunctionCallInfo fcinfo) {
  if (PG_ARGISNULL(4))
    throw pg::Error(ERRCODE_NULL_VALUE_NOT_ALLOWED, "models must not be null");
  std::vector<std::string> texts;
  std::vector<core::ModelSpec> models;
  pg::Texts(pg::call([&] { return PG_GETARG_ARRAYTYPE_P(4); }), "models").for_each([&](std::string_view text) {
    texts.emplace_back(text);
    models.push_back(entry::model_of(text));
    if (models.back().kind == core::Model::weighted)
      throw pg::Error(ERRCODE_FEATURE_NOT_SUPPORTED, "whole paths can not be weighted by a function",
                      "Whole paths have neither times nor the rights of a rule's owner.");
  });
  return std::make_unique<HeuristicsState>(std::move(texts), models);
}

} // namespace

Datum attribution_check_model(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    (void)entry::model_of(pg::call([&] { return text_to_cstring(PG_GETARG_TEXT_PP(0)); }));
    return Datum(0);
  });
}

Datum attribution_heuristics_add(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    auto &state = entry::state<HeuristicsState>(fcinfo, [&] { return make_heuristics(fcinfo); });
    add_row(fcinfo, state, {.nulls = 0});
    return PointerGetDatum(&state);
  });
}

Datum attribution_heuristics_end(PG_FUNCTION_ARGS) {
  return end<HeuristicsState>(fcinfo, [&](const HeuristicsState &state, pg::RowArray &rows) {
    enum Column { kModel, kChannel, kConversions, kValue };
    const core::Heuristics &heuristics = state.heuristics;
    const std::vector<core::Channel> channels = state.channels.by_name();
    for (std::size_t model = 0; model < heuristics.models(); ++model) {
      for (const core::Channel channel : channels) {
        if (channel >= heuristics.end() || !heuristics.total(model, channel).any)
          continue;
        rows.set_text(kModel, state.texts[model]);
        rows.set_text(kChannel, state.channels.name(channel));
        rows.set(kConversions, heuristics.total(model, channel).conversions.value());
        rows.set(kValue, heuristics.total(model, channel).value.value());
        rows.put();
      }
      rows.set_text(kModel, state.texts[model]);
      put_organic(rows, heuristics.organic(), kConversions, kValue);
    }
  });
}
