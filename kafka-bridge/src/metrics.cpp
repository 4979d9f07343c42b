#include "metrics.hpp"

namespace bridge {

namespace {

using Labels = std::map<std::string, std::string>;

prometheus::Counter *counter(prometheus::Registry &registry, const char *name, const char *help, const Labels &labels) {
  return &prometheus::BuildCounter()
              .Name(std::string("kafka_bridge_") + name)
              .Help(help)
              .Register(registry)
              .Add(labels);
}

prometheus::Histogram *histogram(prometheus::Registry &registry, const char *name, const char *help,
                                 const Labels &labels) {
  return &prometheus::BuildHistogram()
              .Name(std::string("kafka_bridge_") + name)
              .Help(help)
              .Register(registry)
              .Add(labels,
                   prometheus::Histogram::BucketBoundaries{0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100});
}

} // namespace

PipelineMetrics::PipelineMetrics(prometheus::Registry &registry, const std::string &pipeline) : pipeline_(pipeline) {
  const Labels labels{{"pipeline", pipeline}};
  const auto dead = [&](const char *stage) {
    return counter(registry, "dead_letters_total", "Messages set aside.", {{"pipeline", pipeline}, {"stage", stage}});
  };
  rows = counter(registry, "rows_total", "Rows committed.", labels);
  bytes = counter(registry, "bytes_total", "Bytes of the messages committed.", labels);
  batches = counter(registry, "batches_total", "Transactions committed.", labels);
  dead_decode = dead("decode");
  dead_map = dead("map");
  dead_load = dead("load");
  dropped =
      counter(registry, "dropped_total", "Messages that came twice, or of partitions that are not claimed.", labels);
  fenced = counter(registry, "fenced_total", "Batches refused because somebody else has claimed a partition.", labels);
  rebalances = counter(registry, "rebalances_total", "Times that partitions were given or taken.", labels);
  out_of_range = counter(registry, "out_of_range_total", "Partitions whose next offset was not there.", labels);
  sessions = counter(registry, "sessions_total", "Times that a worker connected anew to Kafka and PostgreSQL.", labels);
  copy_seconds = histogram(registry, "copy_seconds", "Time of a batch's COPY.", labels);
  commit_seconds = histogram(registry, "commit_seconds", "Time of moving the offsets and of the commit.", labels);
  fill_seconds =
      histogram(registry, "fill_seconds", "Time from a batch's first message until it was full or old enough.", labels);
  latency_seconds =
      histogram(registry, "latency_seconds", "From Kafka's timestamp of a batch's last message to its commit.", labels);
  up = &prometheus::BuildGauge()
            .Name("kafka_bridge_up")
            .Help("Workers that are at work.")
            .Register(registry)
            .Add(labels);
  lags_ = &prometheus::BuildGauge()
               .Name("kafka_bridge_lag")
               .Help("Messages that are in Kafka and not committed here.")
               .Register(registry);
  errors_ = &prometheus::BuildCounter()
                 .Name("kafka_bridge_postgres_errors_total")
                 .Help("Errors of PostgreSQL, by SQLSTATE.")
                 .Register(registry);
}

prometheus::Gauge &PipelineMetrics::lag(const std::string &topic, int partition) {
  return lags_->Add({{"pipeline", pipeline_}, {"topic", topic}, {"partition", std::to_string(partition)}});
}

prometheus::Counter &PipelineMetrics::errors(const std::string &sqlstate) {
  return errors_->Add({{"pipeline", pipeline_}, {"sqlstate", sqlstate.empty() ? "connection" : sqlstate}});
}

} // namespace bridge
