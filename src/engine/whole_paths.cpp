#include "engine/whole_paths.hpp"

namespace attribution::engine {

WholePaths::WholePaths(const Binding &binding, Oid reader, const PathLimits &limits, bool touch_indexes)
    : binding_(binding), reader_(reader), limits_(limits), channels_(binding),
      source_(binding, reader, limits.conversions, !binding.spec.channel.empty(), core::Keep::path,
              limits.candidate_bytes, touch_indexes),
      decider_(binding, source_, core::Keep::path, limits.touchpoint_bytes),
      sweep_(binding, reader, channels_.table()) {}

void WholePaths::for_each(
    core::Micros since, core::Micros until,
    const std::function<void(const Batch &batch, std::uint32_t conversion, const WholePath &path)> &put) {
  // A sweep takes as many conversions as there is room for.
  const std::uint32_t most = sweep_.is_possible() ? UINT32_MAX : limits_.conversions;
  ConversionReader conversions(binding_, {since, until}, reader_, 0, {most, limits_.conversion_bytes});
  Batch batch;
  while (conversions.next(batch))
    tell(batch, 0, batch.size(),
         [&](std::uint32_t conversion, const WholePath &path) { put(batch, conversion, path); });
}

void WholePaths::tell(Batch &batch, std::uint32_t from, std::uint32_t to, const PathSink &sink) {
  if (!sweep_.is_possible() || !sweep_.pays(batch, from, to)) {
    decide(batch, from, to, sink);
    return;
  }
  switch (sweep_.tell(batch, from, to, limits_.touchpoint_bytes, sink)) {
  case TouchSweep::Outcome::done:
    return;
  case TouchSweep::Outcome::unclear:
    decide(batch, from, to, sink);
    return;
  case TouchSweep::Outcome::too_large:
    if (to - from == 1) {
      decide(batch, from, to, sink); // which says what is wrong
      return;
    }
    const std::uint32_t middle = from + (to - from) / 2;
    tell(batch, from, middle, sink);
    tell(batch, middle, to, sink);
  }
}

void WholePaths::decide(Batch &batch, std::uint32_t from, std::uint32_t to, const PathSink &sink) {
  std::vector<core::PathStep> steps;
  for (std::uint32_t end = from; from < to; from = end) {
    end = from + std::min(limits_.conversions, to - from);
    decider_.decide(batch, from, end,
                    [&](std::uint32_t conversion, const core::Decision &decision, const TouchRowStore &rows) {
                      steps.clear();
                      for (const core::Touch &touch : decision.path)
                        steps.push_back({touch.time, channels_.of(touch, rows)});
                      sink(conversion, {decision.path, steps, rows});
                    });
  }
}

} // namespace attribution::engine
