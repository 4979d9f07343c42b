#include "kafka.hpp"

#include "errors.hpp"

#include <array>
#include <future>
#include <memory>
#include <thread>

#include <spdlog/spdlog.h>

namespace bridge {

namespace {

constexpr int kTimeoutMs = 10'000;
constexpr std::chrono::seconds kLetGo{5};

// What a bridge needs, before what the configuration says; the first list can be changed there, the second can't.
constexpr std::pair<const char *, const char *> kDefaults[] = {
    {"client.id", "kafka-bridge"},
    {"isolation.level", "read_committed"},
    {"partition.assignment.strategy", "range"},
    {"reconnect.backoff.max.ms", "1000"},
    {"allow.auto.create.topics", "false"},
    // Of messages that are read ahead only their bytes count. What comes at once is compressed yet, so it is little.
    {"queued.max.messages.kbytes", "16384"},
    {"queued.min.messages", "10000000"},
    {"fetch.max.bytes", "1048576"},
    {"fetch.message.max.bytes", "131072"},
    {"fetch.wait.max.ms", "100"},
};
constexpr std::pair<const char *, const char *> kFixed[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},
    // The end of a partition says how far control records go, which are no messages.
    {"enable.partition.eof", "true"},
};

struct DestroyConf {
  void operator()(rd_kafka_conf_t *conf) const { rd_kafka_conf_destroy(conf); }
};

void set(rd_kafka_conf_t *conf, const std::string &name, const std::string &value) {
  std::array<char, 512> error{};
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error.data(), error.size()) != RD_KAFKA_CONF_OK)
    throw ConfigError("kafka.properties: " + std::string(error.data()));
}

void log(const rd_kafka_t *, int level, const char *, const char *text) {
  spdlog::log(level <= 3   ? spdlog::level::warn
              : level <= 5 ? spdlog::level::info
                           : spdlog::level::debug,
              "librdkafka: {}", text);
}

} // namespace

void require(rd_kafka_resp_err_t error, const char *what) {
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    throw KafkaError(std::string(what) + ": " + rd_kafka_err2str(error));
}

KafkaHandle make_consumer(const Config &config, const std::string &group, RebalanceCallback rebalance, void *opaque) {
  std::unique_ptr<rd_kafka_conf_t, DestroyConf> conf(rd_kafka_conf_new());
  for (const auto &[name, value] : kDefaults)
    set(conf.get(), name, value);
  for (const auto &[name, value] : config.kafka_properties) {
    for (const auto &[fixed, its_value] : kFixed)
      if (name == fixed && value != its_value)
        throw ConfigError("kafka.properties: " + name + " must be " + its_value +
                          ", as offsets are kept in PostgreSQL");
    set(conf.get(), name, value);
  }
  for (const auto &[name, value] : kFixed)
    set(conf.get(), name, value);
  set(conf.get(), "bootstrap.servers", config.brokers);
  set(conf.get(), "group.id", group);
  rd_kafka_conf_set_log_cb(conf.get(), log);
  rd_kafka_conf_set_opaque(conf.get(), opaque);
  if (rebalance != nullptr)
    rd_kafka_conf_set_rebalance_cb(conf.get(), rebalance);
  std::array<char, 512> error{};
  KafkaHandle kafka(rd_kafka_new(RD_KAFKA_CONSUMER, conf.get(), error.data(), error.size()));
  if (!kafka)
    throw ConfigError("kafka: " + std::string(error.data()));
  // Kafka's handle owns it by now.
  static_cast<void>(conf.release());
  rd_kafka_poll_set_consumer(kafka.get());
  return kafka;
}

void let_go(KafkaHandle kafka) noexcept {
  try {
    auto gone = std::make_shared<std::promise<void>>();
    std::future<void> is_gone = gone->get_future();
    // It owns the consumer, whatever becomes of the rest.
    std::thread([raw = kafka.get(), gone = std::move(gone)] {
      rd_kafka_destroy(raw);
      gone->set_value();
    }).detach();
    static_cast<void>(kafka.release());
    if (is_gone.wait_for(kLetGo) != std::future_status::ready)
      spdlog::warn("librdkafka does not let go of a consumer, which stays in memory until the bridge ends");
  } catch (const std::exception &error) {
    spdlog::warn("destroying a consumer: {}", error.what());
  }
}

Watermarks watermarks_of(rd_kafka_t *kafka, const std::string &topic, std::int32_t partition) {
  Watermarks ends;
  require(rd_kafka_query_watermark_offsets(kafka, topic.c_str(), partition, &ends.low, &ends.high, kTimeoutMs),
          "asking for the ends of a partition");
  return ends;
}

int partition_count(rd_kafka_t *kafka, const std::string &topic) {
  const std::unique_ptr<rd_kafka_topic_t, decltype(&rd_kafka_topic_destroy)> handle(
      rd_kafka_topic_new(kafka, topic.c_str(), nullptr), rd_kafka_topic_destroy);
  const rd_kafka_metadata_t *raw = nullptr;
  require(rd_kafka_metadata(kafka, 0, handle.get(), &raw, kTimeoutMs), "asking for a topic's partitions");
  const std::unique_ptr<const rd_kafka_metadata_t, decltype(&rd_kafka_metadata_destroy)> metadata(
      raw, rd_kafka_metadata_destroy);
  if (raw->topic_cnt != 1)
    throw KafkaError("asking for a topic's partitions: no answer");
  require(raw->topics[0].err, ("topic " + topic).c_str());
  return raw->topics[0].partition_cnt;
}

std::int64_t resolve_start(rd_kafka_t *kafka, const Start &start, const std::string &topic, std::int32_t partition) {
  const Watermarks ends = watermarks_of(kafka, topic, partition);
  if (start.policy == Start::Policy::latest)
    return ends.high;
  if (start.policy == Start::Policy::earliest)
    return ends.low;
  const PartitionList list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_t *element = rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition);
  if (start.policy == Start::Policy::group) {
    require(rd_kafka_committed(kafka, list.get(), kTimeoutMs), "asking for the group's offsets");
    require(element->err, "asking for the group's offsets");
    return element->offset < 0 ? ends.low : element->offset;
  }
  element->offset = start.unix_ms;
  require(rd_kafka_offsets_for_times(kafka, list.get(), kTimeoutMs), "asking for the offset of a time");
  require(element->err, "asking for the offset of a time");
  return element->offset < 0 ? ends.high : element->offset;
}

void describe(const rd_kafka_message_t &from, bool with_headers, Message &to) {
  to.topic = rd_kafka_topic_name(from.rkt);
  to.partition = from.partition;
  to.offset = from.offset;
  rd_kafka_timestamp_type_t kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  const std::int64_t time = rd_kafka_message_timestamp(&from, &kind);
  to.unix_ms = kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : time;
  to.key.reset();
  if (from.key != nullptr)
    to.key.emplace(static_cast<const char *>(from.key), from.key_len);
  to.payload.reset();
  if (from.payload != nullptr)
    to.payload.emplace(static_cast<const char *>(from.payload), from.len);
  to.headers.clear();
  rd_kafka_headers_t *headers = nullptr;
  if (!with_headers || rd_kafka_message_headers(&from, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return;
  const char *name = nullptr;
  const void *value = nullptr;
  std::size_t length = 0;
  for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &length) == RD_KAFKA_RESP_ERR_NO_ERROR;
       ++i)
    to.headers.emplace_back(name, value == nullptr
                                      ? std::nullopt
                                      : std::optional(std::string_view(static_cast<const char *>(value), length)));
}

} // namespace bridge
