// Aggregates over whole paths: what those that count them row by row share.
#pragma once

#include "core/transitions.hpp"
#include "entry/models.hpp"
#include "entry/settings.hpp"
#include "pg/arrays.hpp"

namespace attribution::entry {

inline std::string decimal(std::size_t number) {
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

inline void check_memory(const PathModel &model) {
  const std::size_t bytes = model.channels.bytes() + model.path.capacity() * sizeof(core::Channel) + model.bytes();
  if (bytes > work_mem())
    raise_out_of_memory("what is counted of the paths");
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

/// The most that a number of a row may be: sums of any number of them are finite.
constexpr double kMostNumber = 1e100;

/// Argument of a row: a finite number; null is 0.
inline double number(FunctionCallInfo fcinfo, int argument, const char *name, bool may_be_negative) {
  if (PG_NARGS() <= argument || PG_ARGISNULL(argument))
    return 0;
  const double value = PG_GETARG_FLOAT8(argument);
  if (!std::isfinite(value) || (value < 0 && !may_be_negative))
    throw pg::Error(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
                    std::string(name) + " must be finite" + (may_be_negative ? "" : ", and not negative"));
  if (std::abs(value) > kMostNumber)
    throw pg::Error(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, std::string(name) + " must not be beyond 1e100");
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
inline void put_organic(pg::RowArray &rows, const core::PathCount &organic, std::size_t conversions,
                        std::size_t value) {
  if (organic.conversions == 0 && organic.value == 0)
    return;
  rows.set(conversions, organic.conversions);
  rows.set(value, organic.value);
  rows.put();
}

/// The end of an aggregate: `end(state, rows)` puts its rows.
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

} // namespace attribution::entry
