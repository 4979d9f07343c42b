#include "topics.hpp"

#include <array>

namespace tools {

namespace {

constexpr int kTimeoutMs = 30'000;

template <typename T> using Owned = std::unique_ptr<T, void (*)(T *)>;

/// Waits for the answer to an administrator's request, which `send` puts on the queue. `results` gets the errors out of
/// it.
template <typename Send, typename Results> void administer(rd_kafka_t *kafka, Send send, Results results) {
  const Owned<rd_kafka_queue_t> queue(rd_kafka_queue_new(kafka), rd_kafka_queue_destroy);
  send(queue.get());
  const Owned<rd_kafka_event_t> event(rd_kafka_queue_poll(queue.get(), kTimeoutMs), rd_kafka_event_destroy);
  if (!event)
    fail("the broker does not answer");
  require(rd_kafka_event_error(event.get()), rd_kafka_event_name(event.get()));
  results(event.get());
}

void require_topics(const rd_kafka_topic_result_t **results, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    require(rd_kafka_topic_result_error(results[i]), rd_kafka_topic_result_name(results[i]));
}

} // namespace

bool has_topic(rd_kafka_t *kafka, const std::string &name) {
  // All of them are asked for: to ask for one by its name may make it.
  const rd_kafka_metadata_t *found = nullptr;
  require(rd_kafka_metadata(kafka, 1, nullptr, &found, kTimeoutMs), "asking for the topics");
  const Owned<const rd_kafka_metadata_t> metadata(found, rd_kafka_metadata_destroy);
  for (int i = 0; i < metadata->topic_cnt; ++i)
    if (metadata->topics[i].topic == name)
      return true;
  return false;
}

void create_topic(rd_kafka_t *kafka, const std::string &name, int partitions, const Properties &settings) {
  std::array<char, 512> error{};
  const Owned<rd_kafka_NewTopic_t> topic(rd_kafka_NewTopic_new(name.c_str(), partitions, 1, error.data(), error.size()),
                                         rd_kafka_NewTopic_destroy);
  if (!topic)
    fail(error.data());
  for (const auto &[key, value] : settings)
    require(rd_kafka_NewTopic_set_config(topic.get(), key.c_str(), value.c_str()), key);
  rd_kafka_NewTopic_t *topics[] = {topic.get()};
  administer(
      kafka, [&](rd_kafka_queue_t *queue) { rd_kafka_CreateTopics(kafka, topics, 1, nullptr, queue); },
      [&](rd_kafka_event_t *event) {
        std::size_t count = 0;
        require_topics(rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count), count);
      });
}

void delete_topic(rd_kafka_t *kafka, const std::string &name) {
  const Owned<rd_kafka_DeleteTopic_t> topic(rd_kafka_DeleteTopic_new(name.c_str()), rd_kafka_DeleteTopic_destroy);
  rd_kafka_DeleteTopic_t *topics[] = {topic.get()};
  administer(
      kafka, [&](rd_kafka_queue_t *queue) { rd_kafka_DeleteTopics(kafka, topics, 1, nullptr, queue); },
      [](rd_kafka_event_t *event) {
        std::size_t count = 0;
        require_topics(rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count), count);
      });
}

void grow_topic(rd_kafka_t *kafka, const std::string &name, int partitions) {
  std::array<char, 512> error{};
  const Owned<rd_kafka_NewPartitions_t> wanted(
      rd_kafka_NewPartitions_new(name.c_str(), static_cast<std::size_t>(partitions), error.data(), error.size()),
      rd_kafka_NewPartitions_destroy);
  if (!wanted)
    fail(error.data());
  rd_kafka_NewPartitions_t *topics[] = {wanted.get()};
  administer(
      kafka, [&](rd_kafka_queue_t *queue) { rd_kafka_CreatePartitions(kafka, topics, 1, nullptr, queue); },
      [](rd_kafka_event_t *event) {
        std::size_t count = 0;
        require_topics(rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &count),
                       count);
      });
}

void trim_partition(rd_kafka_t *kafka, const std::string &topic, int partition, std::int64_t offset) {
  const Owned<rd_kafka_topic_partition_list_t> before(rd_kafka_topic_partition_list_new(1),
                                                      rd_kafka_topic_partition_list_destroy);
  rd_kafka_topic_partition_list_add(before.get(), topic.c_str(), partition)->offset = offset;
  const Owned<rd_kafka_DeleteRecords_t> request(rd_kafka_DeleteRecords_new(before.get()),
                                                rd_kafka_DeleteRecords_destroy);
  rd_kafka_DeleteRecords_t *requests[] = {request.get()};
  administer(
      kafka, [&](rd_kafka_queue_t *queue) { rd_kafka_DeleteRecords(kafka, requests, 1, nullptr, queue); },
      [](rd_kafka_event_t *event) {
        const rd_kafka_topic_partition_list_t *done =
            rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
        for (int i = 0; i < done->cnt; ++i)
          require(done->elems[i].err, done->elems[i].topic);
      });
}

std::int64_t count_messages(const std::string &brokers, const std::string &topic, int partitions) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  std::array<char, 512> error{};
  for (const auto &[name, value] : {std::pair{"bootstrap.servers", brokers.c_str()},
                                    {"group.id", "count"},
                                    {"enable.partition.eof", "true"},
                                    {"enable.auto.commit", "false"}})
    if (rd_kafka_conf_set(conf, name, value, error.data(), error.size()) != RD_KAFKA_CONF_OK)
      fail(error.data());
  const Owned<rd_kafka_t> kafka(rd_kafka_new(RD_KAFKA_CONSUMER, conf, error.data(), error.size()), rd_kafka_destroy);
  if (!kafka)
    fail(error.data());
  rd_kafka_poll_set_consumer(kafka.get());
  const Owned<rd_kafka_topic_partition_list_t> all(rd_kafka_topic_partition_list_new(partitions),
                                                   rd_kafka_topic_partition_list_destroy);
  for (int partition = 0; partition < partitions; ++partition)
    rd_kafka_topic_partition_list_add(all.get(), topic.c_str(), partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
  require(rd_kafka_assign(kafka.get(), all.get()), "reading " + topic);
  std::int64_t count = 0;
  for (int ended = 0; ended < partitions;) {
    const Owned<rd_kafka_message_t> message(rd_kafka_consumer_poll(kafka.get(), kTimeoutMs), rd_kafka_message_destroy);
    if (!message)
      fail("the broker does not answer");
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
      ++ended;
    else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
      ++count;
    else
      fail(rd_kafka_message_errstr(message.get()));
  }
  rd_kafka_consumer_close(kafka.get());
  return count;
}

} // namespace tools
