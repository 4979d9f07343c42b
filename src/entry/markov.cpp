// markov() and transitions().
#include "core/markov.hpp"
#include "entry/path_aggregate.hpp"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_markov_add);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_markov_end);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_transitions_add);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_transitions_end);
}

namespace {

using namespace attribution;
using namespace attribution::entry;

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
  auto &state = entry::state<MarkovState>(fcinfo, [&] { return std::make_unique<MarkovState>(order); });
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

} // namespace

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
    put_organic(rows, state.transitions.organic(), kConversions, kValue);
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
