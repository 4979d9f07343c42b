// What an administrator does to the topics of a real broker.
#pragma once

#include "client.hpp"

namespace tools {

bool has_topic(rd_kafka_t *kafka, const std::string &name);
void create_topic(rd_kafka_t *kafka, const std::string &name, int partitions, const Properties &settings);
void delete_topic(rd_kafka_t *kafka, const std::string &name);
/// To so many partitions in all.
void grow_topic(rd_kafka_t *kafka, const std::string &name, int partitions);
/// Deletes what lies before an offset.
void trim_partition(rd_kafka_t *kafka, const std::string &topic, int partition, std::int64_t offset);
/// How many messages a reader gets of a topic, from the beginning to the end of each partition.
std::int64_t count_messages(const std::string &brokers, const std::string &topic, int partitions);

} // namespace tools
