// An embedded broker for tests: librdkafka's mock cluster in a process of its own. Prints its address, then obeys
// lines:
//     topic NAME PARTITIONS          make a topic
//     produce TOPIC PARTITIONS FIRST PAST   events with the ids FIRST .. PAST-1, spread over the partitions
//     transaction TOPIC PARTITIONS FIRST PAST commit|abort   the same within a transaction
//     raw TOPIC PARTITION TEXT       a message as it stands; nothing: a tombstone
//     down | up                      all brokers
// and answers each with "ok". It ends with its input.
//
// The mock keeps 5 MiB a partition, returns aborted transactions, and lets nobody join whose session timeout is 3 s or
// less.

#include <array>
#include <cstdio>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

namespace {

struct Destroy {
  void operator()(rd_kafka_t *kafka) const { rd_kafka_destroy(kafka); }
  void operator()(rd_kafka_mock_cluster_t *cluster) const { rd_kafka_mock_cluster_destroy(cluster); }
};
using Handle = std::unique_ptr<rd_kafka_t, Destroy>;

void require(rd_kafka_error_t *error) {
  if (error == nullptr)
    return;
  std::fprintf(stderr, "mock-kafka: %s\n", rd_kafka_error_string(error));
  std::exit(1);
}

Handle make_producer(const std::string &brokers, const std::string &transactional_id = "") {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  std::array<char, 512> error{};
  for (const auto &[name, value] :
       {std::pair{"linger.ms", "20"}, {"compression.codec", "zstd"}, {"queue.buffering.max.messages", "2000000"}})
    rd_kafka_conf_set(conf, name, value, error.data(), error.size());
  if (!transactional_id.empty())
    rd_kafka_conf_set(conf, "transactional.id", transactional_id.c_str(), error.data(), error.size());
  if (!brokers.empty())
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers.c_str(), error.data(), error.size());
  Handle kafka(rd_kafka_new(RD_KAFKA_PRODUCER, conf, error.data(), error.size()));
  if (!kafka) {
    std::fprintf(stderr, "mock-kafka: %s\n", error.data());
    std::exit(1);
  }
  return kafka;
}

void send(rd_kafka_t *kafka, const std::string &topic, int partition, const std::string *payload,
          const std::string &key) {
  while (rd_kafka_producev(
             kafka, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(partition),
             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key.data(), key.size()),
             RD_KAFKA_V_VALUE(payload ? const_cast<char *>(payload->data()) : nullptr, payload ? payload->size() : 0),
             RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
    rd_kafka_poll(kafka, 50);
}

std::string event(long id) {
  std::array<char, 700> text{};
  const unsigned long mixed = static_cast<unsigned long>(id) * 0x9E3779B97F4A7C15UL;
  const int length = std::snprintf(
      text.data(), text.size(),
      R"({"event_id":"%08lx-0000-4000-8000-%012lx","event_time":"2026-01-%02ldT%02ld:%02ld:%02ld.%03ldZ","device":{"id":"%08lx-0000-4000-8000-000000000000","os":"android"},)"
      R"("app_id":"com.example.game%ld","campaign":"spring sale %ld","network":"network%ld","creative":"banner %ld of many","ip":"10.%ld.%ld.%ld","country":"DE",)"
      R"("user_agent":"Mozilla/5.0 (Linux; Android 14; Phone %ld) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124 Mobile","click_cost":0.%04ld,"is_view_through":%s})",
      static_cast<unsigned long>(id) & 0xFFFFFFFF, static_cast<unsigned long>(id) & 0xFFFFFFFFFFFF, id % 28 + 1,
      id / 60 % 24, id / 7 % 60, id % 60, id % 1000, mixed >> 40, id % 20, id % 300, id % 15, id % 900, id % 256,
      id / 256 % 256, id / 65536 % 256, id % 40, id % 10000, id % 3 == 0 ? "true" : "false");
  return std::string(text.data(), static_cast<std::size_t>(length));
}

} // namespace

int main(int argc, char **argv) {
  // With an address it only produces, to a broker that is there.
  Handle keeper;
  std::unique_ptr<rd_kafka_mock_cluster_t, Destroy> cluster;
  std::string brokers = argc > 1 ? argv[1] : "";
  if (brokers.empty()) {
    keeper = make_producer("");
    cluster.reset(rd_kafka_mock_cluster_new(keeper.get(), 3));
    brokers = rd_kafka_mock_cluster_bootstraps(cluster.get());
  }
  const Handle producer = make_producer(brokers);
  std::cout << brokers << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string verb;
    std::string topic;
    words >> verb;
    if (verb == "topic") {
      int partitions = 0;
      words >> topic >> partitions;
      rd_kafka_mock_topic_create(cluster.get(), topic.c_str(), partitions, 1);
    } else if (verb == "produce") {
      int partitions = 0;
      long first = 0;
      long past = 0;
      words >> topic >> partitions >> first >> past;
      for (long id = first; id < past; ++id) {
        const std::string payload = event(id);
        send(producer.get(), topic, static_cast<int>(id % partitions), &payload, std::to_string(id));
      }
      rd_kafka_flush(producer.get(), 60'000);
    } else if (verb == "raw") {
      int partition = 0;
      std::string payload;
      words >> topic >> partition;
      std::getline(words >> std::ws, payload);
      send(producer.get(), topic, partition, payload.empty() ? nullptr : &payload, "raw");
      rd_kafka_flush(producer.get(), 60'000);
    } else if (verb == "transaction") {
      int partitions = 0;
      long first = 0;
      long past = 0;
      std::string outcome;
      words >> topic >> partitions >> first >> past >> outcome;
      const Handle transactional = make_producer(brokers, "mock-kafka");
      require(rd_kafka_init_transactions(transactional.get(), 30'000));
      require(rd_kafka_begin_transaction(transactional.get()));
      for (long id = first; id < past; ++id) {
        const std::string payload = event(id);
        send(transactional.get(), topic, static_cast<int>(id % partitions), &payload, std::to_string(id));
      }
      rd_kafka_flush(transactional.get(), 60'000);
      require(outcome == "commit" ? rd_kafka_commit_transaction(transactional.get(), 30'000)
                                  : rd_kafka_abort_transaction(transactional.get(), 30'000));
    } else if (verb == "down") {
      rd_kafka_mock_broker_set_down(cluster.get(), -1);
    } else if (verb == "up") {
      rd_kafka_mock_broker_set_up(cluster.get(), -1);
    }
    std::cout << "ok" << std::endl;
  }
  return 0;
}
