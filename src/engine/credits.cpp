#include "engine/credits.hpp"

#include "engine/expression.hpp"

namespace attribution::engine {

namespace {

std::vector<core::Channel> numbers_of(const core::ModelSpec &model, core::Channels &table) {
  std::vector<core::Channel> numbers;
  for (const std::string &name : model.channels)
    numbers.push_back(table.number(name));
  return numbers;
}

/// All weights of a path by one query.
std::string ask_weights(const std::string &function) {
  return joined({"SELECT ", function,
                 "(place::pg_catalog.int4, pg_catalog.cardinality($1), age)::pg_catalog.float8"
                 " FROM pg_catalog.unnest($1) WITH ORDINALITY AS touch(age, place) ORDER BY place"});
}

} // namespace

core::Keep keep_for(const Binding &binding) noexcept {
  return core::is_single_touch(binding.rule.model.kind) ? core::Keep::winners : core::Keep::path;
}

bool reads_channels(const Binding &binding) noexcept {
  return !binding.spec.channel.empty() && core::needs_channels(binding.rule.model.kind);
}

core::Keep keep_to_store(const Binding &binding) noexcept {
  return binding.spec.path_summary ? core::Keep::path : keep_for(binding);
}

bool stores_channels(const Binding &binding) noexcept {
  return reads_channels(binding) || (binding.spec.path_summary && !binding.spec.channel.empty());
}

core::Channel TouchChannels::of(const core::Touch &touch, const TouchRowStore &rows) {
  if (binding_.spec.channel.empty())
    return table_.number(binding_.spec.tiers[touch.tier].name);
  return table_.number(rows.channel(touch));
}

Divider::Divider(const core::ModelSpec &model, core::Channels &channels)
    : weigher_(model, numbers_of(model, channels)) {
  if (model.kind != core::Model::weighted)
    return;
  author_ = pg::Plan::kept(ask_weights(model.function), {INTERVALARRAYOID}, pg::Planning::once);
  author_.refuse_volatile("model weighted(" + model.function + ")");
}

std::span<const double> Divider::divide(core::Micros conversion_time, std::span<const core::PathStep> path) {
  credits_.assign(path.size(), 0);
  if (model().kind == core::Model::weighted)
    ask_author(conversion_time, path);
  weigher_.weigh(path, credits_);
  return credits_;
}

void Divider::ask_author(core::Micros conversion_time, std::span<const core::PathStep> path) {
  const std::string what = "model weighted(" + model().function + ")";
  std::vector<Datum> ages;
  for (const core::PathStep &step : path) {
    auto *age = pg::call([] { return static_cast<Interval *>(palloc0(sizeof(Interval))); });
    age->time = core::minus(conversion_time, step.time);
    ages.push_back(PointerGetDatum(age));
  }
  std::vector<char> nulls(ages.size(), 0);
  const pg::Rows rows = author_.execute(
      {{pg::Type::of(INTERVALOID, InvalidOid).array(ages.data(), reinterpret_cast<bool *>(nulls.data()), ages.size()),
        false}},
      true);
  bool any = false;
  for (std::uint64_t row = 0; row < rows.count; ++row) {
    bool null = true;
    const Datum value = rows.get(row, 1, &null);
    const double weight = null ? -1 : DatumGetFloat8(value);
    if (!std::isfinite(weight) || weight < 0)
      throw pg::Error(ERRCODE_DATA_EXCEPTION, what + " gives a touchpoint a weight that is none",
                      "Touchpoint " + std::to_string(static_cast<int>(row) + 1) + " of " +
                          std::to_string(static_cast<int>(path.size())) +
                          " has a weight that is null, negative or not finite.",
                      "Weights are finite, and at least 0.");
    credits_[row] = weight;
    any = any || weight > 0;
  }
  pg::call([&] { SPI_freetuptable(rows.table); });
  if (!any)
    throw pg::Error(ERRCODE_DATA_EXCEPTION, what + " gives all touchpoints of a path the weight 0",
                    "The path has " + std::to_string(static_cast<int>(path.size())) + " touchpoints.");
}

std::span<const double> Crediting::credits(core::Micros conversion_time, const core::Decision &decision,
                                           const TouchRowStore &rows) {
  const bool channels = core::needs_channels(divider_.model().kind);
  steps_.clear();
  for (const core::Touch &touch : decision.path)
    steps_.push_back({touch.time, channels ? channels_.of(touch, rows) : 0});
  return divider_.divide(conversion_time, steps_);
}

} // namespace attribution::engine
