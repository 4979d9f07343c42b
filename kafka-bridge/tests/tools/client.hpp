// librdkafka as the programs of the tests use it: to produce, to change topics, and as a broker within the process.
// What fails ends the program, and says why.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

namespace tools {

using Properties = std::vector<std::pair<std::string, std::string>>;

[[noreturn]] void fail(const std::string &what);

/// Three brokers on ports of 127.0.0.1 that are free. Each partition keeps 5 MiB; aborted transactions are visible;
/// nobody may join whose session timeout is 3 s or less.
class EmbeddedBrokers {
public:
  EmbeddedBrokers();
  std::string addresses() const { return rd_kafka_mock_cluster_bootstraps(cluster_.get()); }
  void make_topic(const std::string &name, int partitions);
  void set_down(bool down);

private:
  struct Destroy {
    void operator()(rd_kafka_t *kafka) const { rd_kafka_destroy(kafka); }
    void operator()(rd_kafka_mock_cluster_t *cluster) const { rd_kafka_mock_cluster_destroy(cluster); }
  };
  std::unique_ptr<rd_kafka_t, Destroy> keeper_;
  std::unique_ptr<rd_kafka_mock_cluster_t, Destroy> cluster_;
};

struct Record {
  std::string topic;
  int partition = RD_KAFKA_PARTITION_UA;
  /// Nothing: a tombstone.
  std::optional<std::string_view> payload;
  std::optional<std::string_view> key;
  /// In ms; 0: now.
  std::int64_t unix_ms = 0;
};

class Producer {
public:
  Producer(const std::string &brokers, const Properties &properties);
  /// Waits where the queue is full.
  void send(const Record &record);
  /// Until all is delivered. Whatever can't be ends the program.
  void flush();
  rd_kafka_t *handle() const { return kafka_.get(); }

private:
  struct Destroy {
    void operator()(rd_kafka_t *kafka) const { rd_kafka_destroy(kafka); }
  };
  std::unique_ptr<rd_kafka_t, Destroy> kafka_;
};

void require(rd_kafka_error_t *error);
void require(rd_kafka_resp_err_t error, const std::string &what);

} // namespace tools
