// A hand on Kafka for tests. Without an argument it is the broker itself, librdkafka's mock cluster; with an address it
// works on the one that is there. Prints the address, then obeys lines, and answers each with "ok", or "ok" and a
// number:
//     topic NAME PARTITIONS [KEY=VALUE ..]   make a topic
//     produce TOPIC PARTITIONS FIRST PAST [UNIX_MS]   events with the ids FIRST .. PAST-1, spread over the partitions
//     paced TOPIC PARTITIONS FIRST PAST PER_SECOND   the same at that rate
//     keyed TOPIC KEYS FIRST PAST            the same into partition 0, with so many keys in turns
//     transaction TOPIC PARTITIONS FIRST PAST commit|abort   the same within a transaction
//     raw TOPIC PARTITION TEXT               a message as it stands; nothing: a tombstone
//     down | up                              all brokers of the mock cluster
//     grow TOPIC PARTITIONS | delete TOPIC | trim TOPIC PARTITION OFFSET   of a real broker
//     count TOPIC PARTITIONS                 how many messages a reader gets
// It ends with its input.

#include "client.hpp"
#include "event.hpp"
#include "topics.hpp"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <sstream>
#include <thread>

namespace {

using namespace tools;

struct Range {
  std::string topic;
  int partitions = 0;
  long first = 0;
  long past = 0;
};

void produce(Producer &producer, const Range &range, std::int64_t unix_ms) {
  for (long id = range.first; id < range.past; ++id) {
    const std::string payload = event(id);
    const std::string key = std::to_string(id);
    producer.send({range.topic, static_cast<int>(id % range.partitions), payload, key, unix_ms});
  }
  producer.flush();
}

/// What is due is sent once a millisecond, as sleeps are no shorter.
void produce_paced(Producer &producer, const Range &range, long per_second) {
  const auto began = std::chrono::steady_clock::now();
  for (long id = range.first; id < range.past; ++id) {
    if ((id - range.first) % std::max(1L, per_second / 1000) == 0)
      std::this_thread::sleep_until(began + std::chrono::microseconds((id - range.first) * 1'000'000 / per_second));
    const std::string payload = event(id);
    producer.send({range.topic, static_cast<int>(id % range.partitions), payload, std::nullopt, 0});
  }
  producer.flush();
}

void produce_transaction(const std::string &brokers, const Range &range, const std::string &outcome) {
  Producer producer(brokers, {{"transactional.id", "mock-kafka"}});
  require(rd_kafka_init_transactions(producer.handle(), 30'000));
  require(rd_kafka_begin_transaction(producer.handle()));
  produce(producer, range, 0);
  require(outcome == "commit" ? rd_kafka_commit_transaction(producer.handle(), 30'000)
                              : rd_kafka_abort_transaction(producer.handle(), 30'000));
}

class Hand {
public:
  explicit Hand(const std::string &address)
      : embedded_(address.empty() ? std::make_unique<EmbeddedBrokers>() : nullptr),
        brokers_(embedded_ ? embedded_->addresses() : address),
        // A real broker is restarted under it; the mock's clients must not need a producer's id.
        properties_{{"enable.idempotence", embedded_ ? "false" : "true"}},
        producer_(std::make_unique<Producer>(brokers_, properties_)) {}

  const std::string &brokers() const { return brokers_; }

  std::string obey(std::istringstream words) {
    std::string verb;
    Range range;
    words >> verb;
    if (verb == "topic") {
      words >> range.topic >> range.partitions;
      if (embedded_) {
        embedded_->make_topic(range.topic, range.partitions);
        return "ok";
      }
      Properties settings;
      for (std::string setting; words >> setting;)
        settings.emplace_back(setting.substr(0, setting.find('=')), setting.substr(setting.find('=') + 1));
      create_topic(producer_->handle(), range.topic, range.partitions, settings);
    } else if (verb == "produce") {
      std::int64_t unix_ms = 0;
      words >> range.topic >> range.partitions >> range.first >> range.past >> unix_ms;
      produce(*producer_, range, unix_ms);
    } else if (verb == "paced") {
      long per_second = 0;
      words >> range.topic >> range.partitions >> range.first >> range.past >> per_second;
      produce_paced(*producer_, range, per_second);
    } else if (verb == "keyed") {
      words >> range.topic >> range.partitions >> range.first >> range.past;
      for (long id = range.first; id < range.past; ++id) {
        const std::string payload = event(id);
        const std::string key = std::to_string(id % range.partitions);
        producer_->send({range.topic, 0, payload, key, 0});
      }
      producer_->flush();
    } else if (verb == "raw") {
      std::string payload;
      words >> range.topic >> range.partitions;
      std::getline(words >> std::ws, payload);
      producer_->send({range.topic, range.partitions,
                       payload.empty() ? std::nullopt : std::optional<std::string_view>(payload), "raw", 0});
      producer_->flush();
    } else if (verb == "transaction") {
      std::string outcome;
      words >> range.topic >> range.partitions >> range.first >> range.past >> outcome;
      produce_transaction(brokers_, range, outcome);
    } else if (verb == "down" || verb == "up") {
      embedded_->set_down(verb == "down");
    } else if (verb == "grow") {
      words >> range.topic >> range.partitions;
      grow_topic(producer_->handle(), range.topic, range.partitions);
      renew();
    } else if (verb == "delete") {
      words >> range.topic;
      delete_topic(producer_->handle(), range.topic);
      renew();
    } else if (verb == "trim") {
      words >> range.topic >> range.partitions >> range.first;
      trim_partition(producer_->handle(), range.topic, range.partitions, range.first);
    } else if (verb == "count") {
      words >> range.topic >> range.partitions;
      return "ok " + std::to_string(count_messages(brokers_, range.topic, range.partitions));
    } else {
      fail("there is no \"" + verb + "\"");
    }
    return "ok";
  }

private:
  /// One that knows nothing of the topics.
  void renew() { producer_ = std::make_unique<Producer>(brokers_, properties_); }

  std::unique_ptr<EmbeddedBrokers> embedded_;
  std::string brokers_;
  Properties properties_;
  std::unique_ptr<Producer> producer_;
};

} // namespace

int main(int argc, char **argv) {
  Hand hand(argc > 1 ? argv[1] : "");
  std::cout << hand.brokers() << std::endl;
  for (std::string line; std::getline(std::cin, line);)
    std::cout << hand.obey(std::istringstream(line)) << std::endl;
  return 0;
}
