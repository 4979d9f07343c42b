// Whole paths of a rule: conversion_paths(), null_paths(), compare_models(); and transform_path(), of anybody's.
#include "core/path_transform.hpp"
#include "core/sum.hpp"
#include "engine/null_paths.hpp"
#include "engine/whole_paths.hpp"
#include "entry/bound_rule.hpp"
#include "entry/models.hpp"
#include "entry/settings.hpp"
#include "pg/arrays.hpp"
#include "pg/resultset.hpp"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_conversion_paths);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_null_paths);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_compare_models);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_path_places);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_transform_path);
}

namespace {

using namespace attribution;
using entry::BoundRule;
using entry::required;

struct Range {
  explicit Range(FunctionCallInfo fcinfo)
      : since(PG_ARGISNULL(1) ? core::kMinusInfinity : PG_GETARG_TIMESTAMPTZ(1)),
        until(PG_ARGISNULL(2) ? core::kInfinity : PG_GETARG_TIMESTAMPTZ(2)) {
    if (since > until)
      throw pg::Error(ERRCODE_INVALID_PARAMETER_VALUE, "since must not be after until");
  }
  core::Micros since, until;
};

engine::WholePaths whole_paths(const BoundRule &rule) {
  return {rule.binding(),
          rule.reader(),
          {entry::batch_size(), entry::batch_bytes(), entry::candidate_bytes(), entry::work_mem()},
          entry::is_touch_index_on()};
}

Datum array(Oid type, std::vector<Datum> values) {
  std::vector<char> nulls(values.size(), 0);
  return pg::Type::of(type, InvalidOid).array(values.data(), reinterpret_cast<bool *>(nulls.data()), values.size());
}

/// The value of a conversion as a number; 0 without one.
double value_of(const engine::Binding &binding, const engine::Batch &batch, std::uint32_t i) {
  if (!binding.value || batch.value.nulls[i])
    return 0;
  return DatumGetFloat8(pg::call([&] { return DirectFunctionCall1(numeric_float8, batch.value.values[i]); }));
}

/// A path with transforms applied to it. Arguments: path, transforms.
std::vector<core::NamedStep> transformed(FunctionCallInfo fcinfo) {
  std::vector<core::NamedStep> path;
  pg::Texts(pg::call([&] { return PG_GETARG_ARRAYTYPE_P(0); }), "path").for_each([&](std::string_view channel) {
    path.push_back({std::string(channel), static_cast<std::uint32_t>(path.size())});
  });
  pg::Texts(pg::call([&] { return PG_GETARG_ARRAYTYPE_P(1); }), "transforms").for_each([&](std::string_view text) {
    try {
      core::transform(path, text);
    } catch (const core::BadTransform &error) {
      throw pg::Error(ERRCODE_INVALID_PARAMETER_VALUE, error.message, {}, error.hint);
    }
  });
  return path;
}

} // namespace

// Arguments: rule, since, until, overrides.
Datum attribution_conversion_paths(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    enum Column { kId, kTime, kValue, kPath, kTouchIds, kTouchTimes, kCredits };
    pg::ResultSet result(
        fcinfo, {TEXTOID, TIMESTAMPTZOID, NUMERICOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, FLOAT8ARRAYOID});
    const Range range(fcinfo);
    const BoundRule rule(required(fcinfo, 0, "rule"), required(fcinfo, 3, "overrides"));
    const engine::Binding &binding = rule.binding();
    engine::WholePaths paths = whole_paths(rule);
    engine::Divider divider(binding.rule.model, paths.channels());
    paths.for_each(range.since, range.until,
                   [&](const engine::Batch &batch, std::uint32_t i, const engine::WholePath &path) {
                     std::vector<Datum> names, ids, times, credits;
                     for (const core::PathStep &step : path.steps)
                       names.push_back(pg::text(paths.channels().name(step.channel)));
                     for (const core::Touch &touch : path.touches) {
                       ids.push_back(pg::text(binding.touch_id.text(path.rows.id(touch))));
                       times.push_back(TimestampTzGetDatum(touch.time));
                     }
                     if (!path.steps.empty())
                       for (const double credit : divider.divide(batch.times[i], path.steps))
                         credits.push_back(Float8GetDatum(credit));
                     result.set_as(kId, binding.id.type, batch.ids[i]);
                     result.set(kTime, TimestampTzGetDatum(batch.times[i]));
                     if (binding.value && !batch.value.nulls[i])
                       result.set(kValue, batch.value.values[i]);
                     result.set(kPath, array(TEXTOID, std::move(names)));
                     result.set(kTouchIds, array(TEXTOID, std::move(ids)));
                     result.set(kTouchTimes, array(TIMESTAMPTZOID, std::move(times)));
                     result.set(kCredits, array(FLOAT8OID, std::move(credits)));
                     result.put();
                   });
    return Datum(0);
  });
}

// Arguments: rule, since, until, overrides.
Datum attribution_null_paths(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    enum Column { kPath, kTouchIds, kTouchTimes };
    pg::ResultSet result(fcinfo, {TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID});
    const Range range(fcinfo);
    const BoundRule rule(required(fcinfo, 0, "rule"), required(fcinfo, 3, "overrides"));
    const engine::Binding &binding = rule.binding();
    if (binding.tiers.empty())
      return Datum(0);
    const pg::Plan plan(engine::null_paths(binding), {TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTARRAYOID, INT8OID});
    plan.refuse_volatile("null paths of rule \"" + binding.spec.name + "\"");
    plan.check_reader(rule.reader());
    pg::Cursor cursor(plan, {{TimestampTzGetDatum(range.since), false},
                             {TimestampTzGetDatum(range.until), false},
                             engine::text_array(binding.spec.empty),
                             {Int64GetDatum(binding.rule.tiers.front().lookback), false}});
    constexpr long kAtOnce = 1000;
    while (true) {
      const pg::Rows rows = cursor.fetch(kAtOnce);
      if (rows.count == 0)
        return Datum(0);
      for (std::uint64_t row = 0; row < rows.count; ++row) {
        for (const Column column : {kPath, kTouchIds, kTouchTimes}) {
          bool null = true;
          const Datum value = rows.get(row, column + 1, &null);
          if (column == kPath && binding.spec.channel.empty()) { // the tier's name
            const int length = pg::call([&] { return ArrayGetNItems(1, ARR_DIMS(DatumGetArrayTypeP(value))); });
            result.set(kPath, array(TEXTOID, std::vector<Datum>(static_cast<std::size_t>(length),
                                                                pg::text(binding.spec.tiers.front().name))));
          } else {
            result.set(column, value);
          }
        }
        result.put();
      }
      pg::call([&] { SPI_freetuptable(rows.table); });
    }
  });
}

// Arguments: rule, since, until, models, overrides.
Datum attribution_compare_models(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    enum Column { kModel, kChannel, kConversions, kValue };
    pg::ResultSet result(fcinfo, {TEXTOID, TEXTOID, FLOAT8OID, FLOAT8OID});
    const Range range(fcinfo);
    std::vector<std::string> texts;
    pg::Texts(pg::call([&] { return DatumGetArrayTypeP(required(fcinfo, 3, "models")); }), "models")
        .for_each([&](std::string_view text) { texts.emplace_back(text); });
    const BoundRule rule(required(fcinfo, 0, "rule"), required(fcinfo, 4, "overrides"));
    const engine::Binding &binding = rule.binding();

    engine::WholePaths paths = whole_paths(rule);
    core::Channels &channels = paths.channels();
    struct Total {
      core::Sum conversions, value;
    };
    std::vector<engine::Divider> models;
    std::vector<std::vector<Total>> totals(texts.size()); // by model, then by channel
    std::vector<char> seen;                               // by channel
    for (const std::string &text : texts) {
      const core::ModelSpec model = entry::model_of(text);
      if (model.kind == core::Model::weighted && text != binding.spec.model)
        throw pg::Error(ERRCODE_INSUFFICIENT_PRIVILEGE, "models must not name a function", {},
                        "A rule weighs by the function that its own model names.");
      models.emplace_back(model, channels);
    }
    Total organic;
    paths.for_each(range.since, range.until,
                   [&](const engine::Batch &batch, std::uint32_t i, const engine::WholePath &path) {
                     const double value = value_of(binding, batch, i);
                     if (path.steps.empty()) {
                       organic.conversions.add(1);
                       organic.value.add(value);
                       return;
                     }
                     seen.resize(channels.size());
                     for (const core::PathStep &step : path.steps)
                       seen[step.channel] = true;
                     for (std::size_t model = 0; model < models.size(); ++model) {
                       totals[model].resize(channels.size());
                       const std::span<const double> credits = models[model].divide(batch.times[i], path.steps);
                       for (std::size_t at = 0; at < credits.size(); ++at) {
                         if (credits[at] == 0)
                           continue;
                         Total &total = totals[model][path.steps[at].channel];
                         total.conversions.add(credits[at]);
                         if (value != 0)
                           total.value.add(credits[at] * value);
                       }
                     }
                   });
    seen.resize(channels.size());
    for (std::size_t model = 0; model < models.size(); ++model) {
      const auto put = [&](const char *channel, const Total &total) {
        result.set_text(kModel, texts[model].c_str());
        if (channel != nullptr)
          result.set_text(kChannel, channel);
        result.set(kConversions, Float8GetDatum(total.conversions.value()));
        result.set(kValue, Float8GetDatum(total.value.value()));
        result.put();
      };
      totals[model].resize(channels.size());
      for (const core::Channel channel : channels.by_name())
        if (seen[channel])
          put(std::string(channels.name(channel)).c_str(), totals[model][channel]);
      if (organic.conversions.value() > 0)
        put(nullptr, organic);
    }
    return Datum(0);
  });
}

Datum attribution_transform_path(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    std::vector<Datum> path;
    for (const core::NamedStep &step : transformed(fcinfo))
      path.push_back(pg::text(step.channel));
    return array(TEXTOID, std::move(path));
  });
}

Datum attribution_path_places(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    std::vector<Datum> places;
    for (const core::NamedStep &step : transformed(fcinfo))
      places.push_back(Int32GetDatum(static_cast<std::int32_t>(step.place) + 1));
    return array(INT4OID, std::move(places));
  });
}
