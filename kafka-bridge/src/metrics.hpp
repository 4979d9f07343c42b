// What Prometheus sees.
#pragma once

#include <string>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

namespace bridge {

struct PipelineMetrics {
  PipelineMetrics(prometheus::Registry &registry, const std::string &pipeline);

  prometheus::Gauge &lag(const std::string &topic, int partition);
  prometheus::Counter &errors(const std::string &sqlstate);

  prometheus::Counter *rows;
  prometheus::Counter *bytes;
  prometheus::Counter *batches;
  prometheus::Counter *dead_decode;
  prometheus::Counter *dead_map;
  prometheus::Counter *dead_load;
  prometheus::Counter *dropped;
  prometheus::Counter *fenced;
  prometheus::Counter *rebalances;
  prometheus::Counter *out_of_range;
  prometheus::Counter *sessions;
  prometheus::Histogram *copy_seconds;
  prometheus::Histogram *commit_seconds;
  prometheus::Histogram *fill_seconds;
  prometheus::Histogram *latency_seconds;
  prometheus::Gauge *up;

private:
  prometheus::Family<prometheus::Gauge> *lags_;
  prometheus::Family<prometheus::Counter> *errors_;
  std::string pipeline_;
};

} // namespace bridge
