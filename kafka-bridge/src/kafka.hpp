// librdkafka's handles, with owners.
#pragma once

#include "config.hpp"
#include "message.hpp"

#include <memory>
#include <string>

#include <librdkafka/rdkafka.h>

namespace bridge {

struct DestroyMessage {
  void operator()(rd_kafka_message_t *message) const { rd_kafka_message_destroy(message); }
};
using KafkaMessage = std::unique_ptr<rd_kafka_message_t, DestroyMessage>;

struct DestroyList {
  void operator()(rd_kafka_topic_partition_list_t *list) const { rd_kafka_topic_partition_list_destroy(list); }
};
using PartitionList = std::unique_ptr<rd_kafka_topic_partition_list_t, DestroyList>;

struct DestroyConsumer {
  void operator()(rd_kafka_t *kafka) const { rd_kafka_destroy(kafka); }
};
using KafkaHandle = std::unique_ptr<rd_kafka_t, DestroyConsumer>;

using RebalanceCallback = void (*)(rd_kafka_t *, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *, void *);

/// A consumer that commits nothing by itself and never makes up an offset. Throws ConfigError.
KafkaHandle make_consumer(const Config &config, const std::string &group, RebalanceCallback rebalance, void *opaque);

/// Throws KafkaError unless there is no error.
void require(rd_kafka_resp_err_t error, const char *what);

/// Destroys a consumer that is closed, within some seconds: where a topic was deleted, librdkafka may wait for ever.
/// Then it stays behind, and a log entry says so.
void let_go(KafkaHandle kafka) noexcept;

/// The ends of a partition. Throws KafkaError.
struct Watermarks {
  std::int64_t low = 0;
  std::int64_t high = 0;
};
Watermarks watermarks_of(rd_kafka_t *kafka, const std::string &topic, std::int32_t partition);

int partition_count(rd_kafka_t *kafka, const std::string &topic);

/// Where a partition begins by a policy, as an offset that exists.
std::int64_t resolve_start(rd_kafka_t *kafka, const Start &start, const std::string &topic, std::int32_t partition);

/// Views into librdkafka's message.
void describe(const rd_kafka_message_t &from, bool with_headers, Message &to);

} // namespace bridge
