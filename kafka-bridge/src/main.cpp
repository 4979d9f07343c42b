// kafka-bridge: Kafka topics into PostgreSQL staging tables, exactly once.

#include "commands.hpp"
#include "config.hpp"
#include "errors.hpp"
#include "http.hpp"
#include "metrics.hpp"
#include "postgres.hpp"
#include "worker.hpp"

#include <atomic>
#include <csignal>
#include <iostream>
#include <memory>
#include <vector>

#include <CLI/CLI.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace bridge {

namespace {

std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int) { stop = true; }

int run(const Config &config) {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  const auto registry = std::make_shared<prometheus::Registry>();
  prometheus::BuildGauge()
      .Name("kafka_bridge_build_info")
      .Help("What runs.")
      .Register(*registry)
      .Add({{"version", BRIDGE_VERSION}, {"librdkafka", rd_kafka_version_str()}})
      .Set(1);
  std::atomic<int> exit_code{kDone};
  std::vector<std::unique_ptr<PipelineMetrics>> metrics;
  std::vector<std::unique_ptr<Worker>> workers;
  for (const PipelineConfig &pipeline : config.pipelines) {
    metrics.push_back(std::make_unique<PipelineMetrics>(*registry, pipeline.name));
    for (int number = 1; number <= pipeline.workers; ++number)
      workers.push_back(std::make_unique<Worker>(config, pipeline, number, *metrics.back(), stop, exit_code));
  }
  std::unique_ptr<Http> http;
  try {
    if (!config.listen.empty())
      http = std::make_unique<Http>(config.listen, registry, [&workers] {
        std::string text;
        for (const auto &worker : workers)
          if (const std::string trouble = worker->trouble(); !trouble.empty() || !worker->is_ready())
            text += worker->name() + ": " + (trouble.empty() ? "waits for partitions" : trouble) + "\n";
        return text;
      });
  } catch (...) {
    stop = true;
    throw;
  }
  for (const auto &worker : workers)
    worker->join();
  http.reset();
  spdlog::info("stopped");
  return exit_code;
}

int main(int argc, char **argv) {
  CLI::App app{"Copies Kafka topics into PostgreSQL staging tables, exactly once."};
  std::string path;
  bool only_check = false;
  std::string pipeline;
  std::string topic;
  std::string to;
  int partition = -1;
  app.add_option("--config", path, "the configuration, a TOML file")->required()->envname("KAFKA_BRIDGE_CONFIG");
  app.add_flag("--check", only_check, "only say whether configuration, tables and topics fit together");
  app.set_version_flag("--version",
                       std::string("kafka-bridge ") + BRIDGE_VERSION + ", librdkafka " + rd_kafka_version_str());
  app.require_subcommand(0, 1);
  app.fallthrough();
  CLI::App *of_status = app.add_subcommand("status", "how far each partition is, and what waits as dead letters");
  CLI::App *of_seek = app.add_subcommand("seek", "have a pipeline go on elsewhere");
  of_seek->add_option("--pipeline", pipeline)->required();
  of_seek->add_option("--topic", topic)->required();
  of_seek->add_option("--partition", partition, "one partition; all, without");
  of_seek->add_option("--to", to, "earliest, latest, an offset, or a time")->required();
  CLI::App *of_replay = app.add_subcommand("replay-dead-letters", "try again what could not be loaded");
  of_replay->add_option("--pipeline", pipeline)->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? kDone : kBadConfig;
  }
  spdlog::set_default_logger(spdlog::stderr_logger_mt("kafka-bridge"));

  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  try {
    const Config config = read_config(path);
    spdlog::set_level(spdlog::level::from_str(config.log_level));
    if (*of_status)
      return status(config);
    if (*of_seek)
      return seek(config, pipeline, topic, partition < 0 ? std::nullopt : std::optional(partition), to);
    if (*of_replay)
      return replay_dead_letters(config, pipeline);
    return only_check ? check(config) : run(config);
  } catch (const ConfigError &error) {
    spdlog::error("{}", error.what());
    return kBadConfig;
  } catch (const PgError &error) {
    spdlog::error("PostgreSQL: {}", error.what());
    return error.sqlstate.empty() ? kUnreachable : kBroken;
  } catch (const KafkaError &error) {
    spdlog::error("Kafka: {}", error.what());
    return kUnreachable;
  } catch (const std::exception &error) {
    spdlog::error("{}", error.what());
    return kBroken;
  }
}

} // namespace

} // namespace bridge

int main(int argc, char **argv) { return bridge::main(argc, argv); }
