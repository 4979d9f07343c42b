// The models over whole paths, as aggregates: heuristics(), markov(), transitions(), shapley() and their kin.
#include "entry/models.hpp"
#include "core/heuristics.hpp"
#include "core/markov.hpp"
#include "core/model_text.hpp"
#include "core/shapley.hpp"
#include "entry/settings.hpp"
#include "pg/arrays.hpp"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_check_model);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_heuristics_add);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_heuristics_end);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_markov_add);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_markov_end);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_transitions_add);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_transitions_end);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_shapley_add);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_shapley_end);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_shapley_ordered_add);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_shapley_ordered_end);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_conversion_rate_add);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_conversion_rate_end);
}

namespace {

using namespace attribution;

std::string decimal(std::size_t number) {
  return pg::call([&] { return psprintf("%zu", number); });
}

/// What is counted of paths, row by row.
struct PathModel {
  virtual ~PathModel() = default;
  virtual void add(std::span<const core::Channel> path, const core::PathCount &count) = 0;
  virtual std::size_t bytes() const = 0;

  core::Channels channels;
  std::vector<core::Channel> path; ///< that of the present row
};

void check_memory(const PathModel &model) {
  const std::size_t bytes = model.channels.bytes() + model.path.capacity() * sizeof(core::Channel) + model.bytes();
  if (bytes > entry::work_mem())
    entry::raise_out_of_memory("what is counted of the paths");
}

/// The state of an aggregate, made by `make` at the first row. It lives as long as its group.
template <class Model, class Make> Model &state(FunctionCallInfo fcinfo, Make make) {
  if (!PG_ARGISNULL(0))
    return *reinterpret_cast<Model *>(PG_GETARG_POINTER(0));
  MemoryContext group = nullptr;
  if (pg::call([&] { return AggCheckCallContext(fcinfo, &group); }) == 0)
    throw pg::Error(ERRCODE_FEATURE_NOT_SUPPORTED, "this function is a part of an aggregate");
  auto *end = pg::call([&] {
    return static_cast<MemoryContextCallback *>(MemoryContextAllocZero(group, sizeof(MemoryContextCallback)));
  });
  std::unique_ptr<Model> model = make();
  end->func = [](void *made) { delete static_cast<Model *>(made); };
  end->arg = model.get();
  MemoryContextRegisterResetCallback(group, end);
  return *model.release();
}

/// Argument of a row: a finite number; null is 0.
double number(FunctionCallInfo fcinfo, int argument, const char *name, bool may_be_negative) {
  if (PG_NARGS() <= argument || PG_ARGISNULL(argument))
    return 0;
  const double value = PG_GETARG_FLOAT8(argument);
  if (!std::isfinite(value) || (value < 0 && !may_be_negative))
    throw pg::Error(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
                    std::string(name) + " must be finite" + (may_be_negative ? "" : ", and not negative"));
  return value;
}

/// Where a row has which argument; 0: nowhere.
struct Places {
  int conversions = 2, value = 3, nulls = 4;
  bool may_be_negative = true; ///< the value
};

template <class Model> void add_row(FunctionCallInfo fcinfo, Model &model, const Places &places) {
  core::PathCount count;
  count.conversions = number(fcinfo, places.conversions, "conversions", false);
  count.value = places.value > 0 ? number(fcinfo, places.value, "value", places.may_be_negative) : 0;
  count.nulls = places.nulls > 0 ? number(fcinfo, places.nulls, "nulls", false) : 0;
  model.path.clear();
  if (!PG_ARGISNULL(1)) {
    const ArrayType *array = pg::call([&] { return PG_GETARG_ARRAYTYPE_P(1); });
    pg::Texts(array, "path").for_each([&](std::string_view name) {
      model.path.push_back(model.channels.number(name));
    });
  }
  model.add(model.path, count);
  check_memory(model);
}

/// The row for what no channel is credited with.
template <class Put> void put_organic(pg::RowArray &rows, const core::PathCount &organic, Put put) {
  if (organic.conversions == 0 && organic.value == 0)
    return;
  put(organic.conversions, organic.value);
  rows.put();
}

template <class Model, class End> Datum end(FunctionCallInfo fcinfo, End end) {
  return pg::boundary([&] {
    if (PG_ARGISNULL(0)) {
      fcinfo->isnull = true;
      return Datum(0);
    }
    pg::RowArray rows(fcinfo);
    end(*reinterpret_cast<const Model *>(PG_GETARG_POINTER(0)), rows);
    return rows.finish();
  });
}

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

/// Arguments: path, conversions, value, nulls, order.
struct MarkovState final : PathModel {
  explicit MarkovState(unsigned order) : transitions(order) {}
  void add(std::span<const core::Channel> path, const core::PathCount &count) override { transitions.add(path, count); }
  std::size_t bytes() const override { return transitions.bytes(); }
  core::Transitions transitions;
};

MarkovState &markov_state(FunctionCallInfo fcinfo, int order_argument) {
  int order = 1;
  if (PG_NARGS() > order_argument) {
    if (PG_ARGISNULL(order_argument))
      throw pg::Error(ERRCODE_NULL_VALUE_NOT_ALLOWED, "order must not be null");
    order = PG_GETARG_INT32(order_argument);
  }
  if (order < 1 || order > static_cast<int>(core::Transitions::kMostOrder))
    throw pg::Error(ERRCODE_INVALID_PARAMETER_VALUE,
                    "order must be between 1 and " + decimal(core::Transitions::kMostOrder));
  auto &state = ::state<MarkovState>(fcinfo, [&] { return std::make_unique<MarkovState>(order); });
  if (state.transitions.order() != static_cast<unsigned>(order))
    throw pg::Error(ERRCODE_INVALID_PARAMETER_VALUE, "order must be the same for all paths");
  return state;
}

/// The work on a result: it can be cancelled, and fits into attribution.work_mem beside what was counted.
class ResultWork final : public core::Workload {
public:
  explicit ResultWork(std::size_t counted) : Workload(entry::work_mem() - std::min(entry::work_mem(), counted)) {}

private:
  void pause() override { pg::check_for_interrupts(); }
};

struct ShapleyState final : PathModel {
  explicit ShapleyState(bool ordered) : shapley(ordered) {}
  void add(std::span<const core::Channel> path, const core::PathCount &count) override { shapley.add(path, count); }
  std::size_t bytes() const override { return shapley.bytes(); }
  core::Shapley shapley;
};

Datum add_shapley(FunctionCallInfo fcinfo, bool ordered) {
  return pg::boundary([&] {
    auto &state = ::state<ShapleyState>(fcinfo, [&] { return std::make_unique<ShapleyState>(ordered); });
    add_row(fcinfo, state, {.nulls = 0});
    return PointerGetDatum(&state);
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

Datum attribution_check_model(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    (void)entry::model_of(pg::call([&] { return text_to_cstring(PG_GETARG_TEXT_PP(0)); }));
    return Datum(0);
  });
}

Datum attribution_heuristics_add(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    auto &state = ::state<HeuristicsState>(fcinfo, [&] { return make_heuristics(fcinfo); });
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
      put_organic(rows, heuristics.organic(), [&](double conversions, double value) {
        rows.set_text(kModel, state.texts[model]);
        rows.set(kConversions, conversions);
        rows.set(kValue, value);
      });
    }
  });
}

Datum attribution_markov_add(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    MarkovState &state = markov_state(fcinfo, 5);
    if (number(fcinfo, 3, "value", false) > 0 && number(fcinfo, 2, "conversions", false) == 0)
      throw pg::Error(ERRCODE_INVALID_PARAMETER_VALUE, "a path without conversions must not have a value");
    add_row(fcinfo, state, {.may_be_negative = false});
    return PointerGetDatum(&state);
  });
}

Datum attribution_markov_end(PG_FUNCTION_ARGS) {
  return end<MarkovState>(fcinfo, [&](const MarkovState &state, pg::RowArray &rows) {
    enum Column { kChannel, kRemovalEffect, kConversions, kValueRemovalEffect, kValue };
    const std::vector<core::Channel> channels = state.channels.by_name();
    std::vector<core::MarkovCredit> credits;
    try {
      ResultWork work(state.channels.bytes() + state.bytes());
      credits = core::markov(state.transitions, channels, work);
    } catch (const core::OutOfBudget &) {
      entry::raise_out_of_memory("the Markov chain of " + decimal(state.transitions.states().size()) + " states");
    }
    const core::PathCount total = state.transitions.total();
    for (const core::MarkovCredit &credit : credits) {
      rows.set_text(kChannel, state.channels.name(credit.channel));
      if (total.conversions > 0)
        rows.set(kRemovalEffect, credit.removal_effect);
      rows.set(kConversions, credit.conversions);
      if (total.value > 0)
        rows.set(kValueRemovalEffect, credit.value_removal_effect);
      rows.set(kValue, credit.value);
      rows.put();
    }
    put_organic(rows, state.transitions.organic(), [&](double conversions, double value) {
      rows.set(kConversions, conversions);
      rows.set(kValue, value);
    });
  });
}

// Arguments: path, conversions, nulls, order.
Datum attribution_transitions_add(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    MarkovState &state = markov_state(fcinfo, 4);
    add_row(fcinfo, state, {.value = 0, .nulls = 3});
    return PointerGetDatum(&state);
  });
}

Datum attribution_transitions_end(PG_FUNCTION_ARGS) {
  return end<MarkovState>(fcinfo, [&](const MarkovState &state, pg::RowArray &rows) {
    enum Column { kFrom, kTo, kOutcome, kWeight, kProbability };
    struct Line {
      bool from_start;
      std::vector<std::string_view> from;
      int kind; ///< to a state, or to an outcome
      std::vector<std::string_view> to;
      double weight, of;
      auto key() const { return std::tie(from_start, from, kind, to); }
    };
    const core::Transitions &transitions = state.transitions;
    const auto names = [&](std::uint32_t at) {
      std::vector<std::string_view> result;
      for (const core::Channel channel : transitions.channels_of(at))
        result.push_back(state.channels.name(channel));
      return result;
    };
    std::vector<core::Sum> sums(transitions.states().size());
    core::Sum started;
    for (std::size_t at = 0; at < sums.size(); ++at) {
      const core::Transitions::State &from = transitions.states()[at];
      started.add(from.started.value());
      sums[at].add(from.conversions.value());
      sums[at].add(from.nulls.value());
    }
    for (const core::Transitions::Step &step : transitions.steps())
      sums[step.from].add(step.weight.value());
    std::vector<Line> lines;
    for (std::uint32_t at = 0; at < sums.size(); ++at) {
      const core::Transitions::State &from = transitions.states()[at];
      if (from.started.value() > 0)
        lines.push_back({false, {}, 0, names(at), from.started.value(), started.value()});
      for (const auto &[kind, weight] : {std::pair{1, from.conversions.value()}, std::pair{2, from.nulls.value()}})
        if (weight > 0)
          lines.push_back({true, names(at), kind, {}, weight, sums[at].value()});
    }
    for (const core::Transitions::Step &step : transitions.steps())
      if (step.weight.value() > 0)
        lines.push_back({true, names(step.from), 0, names(step.to), step.weight.value(), sums[step.from].value()});
    std::sort(lines.begin(), lines.end(), [](const Line &a, const Line &b) { return a.key() < b.key(); });
    for (const Line &line : lines) {
      pg::check_for_interrupts();
      if (line.from_start)
        rows.set(kFrom, pg::text_array(line.from));
      if (line.kind == 0)
        rows.set(kTo, pg::text_array(line.to));
      else
        rows.set_text(kOutcome, line.kind == 1 ? "conversion" : "null");
      rows.set(kWeight, line.weight);
      rows.set(kProbability, line.weight / line.of);
      rows.put();
    }
  });
}

Datum attribution_shapley_add(PG_FUNCTION_ARGS) { return add_shapley(fcinfo, false); }
Datum attribution_shapley_ordered_add(PG_FUNCTION_ARGS) { return add_shapley(fcinfo, true); }

Datum attribution_shapley_end(PG_FUNCTION_ARGS) {
  return end<ShapleyState>(fcinfo, [&](const ShapleyState &state, pg::RowArray &rows) {
    enum Column { kChannel, kConversions, kValue };
    for (const core::ShapleyCredit &credit : state.shapley.credits(state.channels.by_name())) {
      rows.set_text(kChannel, state.channels.name(credit.channel));
      rows.set(kConversions, credit.conversions);
      rows.set(kValue, credit.value);
      rows.put();
    }
    put_organic(rows, state.shapley.organic(), [&](double conversions, double value) {
      rows.set(kConversions, conversions);
      rows.set(kValue, value);
    });
  });
}

Datum attribution_shapley_ordered_end(PG_FUNCTION_ARGS) {
  return end<ShapleyState>(fcinfo, [&](const ShapleyState &state, pg::RowArray &rows) {
    enum Column { kChannel, kPosition, kConversions, kValue };
    for (const core::ShapleyCredit &credit : state.shapley.credits(state.channels.by_name())) {
      pg::check_for_interrupts();
      rows.set_text(kChannel, state.channels.name(credit.channel));
      rows.set(kPosition, Int32GetDatum(static_cast<std::int32_t>(credit.position)));
      rows.set(kConversions, credit.conversions);
      rows.set(kValue, credit.value);
      rows.put();
    }
    put_organic(rows, state.shapley.organic(), [&](double conversions, double value) {
      rows.set(kConversions, conversions);
      rows.set(kValue, value);
    });
  });
}

Datum attribution_conversion_rate_add(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    auto &state = ::state<ConversionRateState>(fcinfo, [] { return std::make_unique<ConversionRateState>(); });
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
    put_organic(rows, state.game.organic(), [&](double conversions, double value) {
      rows.set(kConversions, conversions);
      rows.set(kValue, value);
    });
  });
}
