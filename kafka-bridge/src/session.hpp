// A worker's connections to Kafka and PostgreSQL, from joining the group until something fails. Whatever fails, the
// session ends and a new one begins where the ledger says: there is no state to repair.
#pragma once

#include "catalog.hpp"
#include "conveyor.hpp"
#include "guard.hpp"
#include "kafka.hpp"
#include "loader.hpp"
#include "mapper.hpp"
#include "metrics.hpp"
#include "nudge.hpp"

#include <atomic>
#include <exception>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace bridge {

/// What is to be known of a worker from outside.
struct WorkerState {
  std::atomic<bool> ready{false};
};

class Session {
public:
  Session(const Config &config, const PipelineConfig &pipeline, std::string owner, Guard &guard,
          PipelineMetrics &metrics, WorkerState &state);
  ~Session();

  /// Until `stop`, or an exception: PgError, KafkaError, Fault, ConfigError.
  void run(const std::atomic<bool> &stop);

private:
  struct Owned {
    Claim claim;
    /// The next offset of the partition: what is before it has been seen.
    std::int64_t next = 0;
    /// Its place in the batch that is being filled, by the batch's number.
    std::uint64_t batch = 0;
    std::size_t progress = 0;
  };

  static void on_rebalance(rd_kafka_t *kafka, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *partitions,
                           void *opaque);
  void rebalance(rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *partitions);
  void claim(rd_kafka_topic_partition_list_t *partitions);
  void claim_topic(const std::string &topic, const std::vector<rd_kafka_topic_partition_t *> &partitions);
  std::int64_t within_range(const std::string &topic, std::int32_t partition, std::int64_t next);
  void apply(rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *partitions);
  void receive(const rd_kafka_message_t &message);
  void take(const rd_kafka_message_t &message);
  void take_end(const rd_kafka_message_t &message);
  Owned *owned(const rd_kafka_message_t &message);
  Progress &progress_of(Owned &owned);
  void set_aside(const Kept &kept, const Rejected &rejected);
  void flush(std::chrono::milliseconds within);
  void finish();
  bool is_full();
  /// As much as may be in memory.
  bool is_heavy();
  bool is_old();
  void look_at_claims();
  void discard();
  void close() noexcept;

  const Config &config_;
  const PipelineConfig &pipeline_;
  std::string owner_;
  PipelineMetrics &metrics_;
  WorkerState &state_;
  Postgres postgres_;
  Target target_;
  Mapper mapper_;
  Loader loader_;
  Conveyor conveyor_;
  std::unordered_map<std::string, std::unordered_map<std::int32_t, Owned>> owned_;
  /// Those of the last message.
  const rd_kafka_topic_t *last_topic_ = nullptr;
  Owned *last_owned_ = nullptr;
  std::uint64_t batch_number_ = 1;
  std::chrono::steady_clock::time_point looked_{};
  std::exception_ptr failure_;
  Message message_;
  std::uint64_t received_ = 0;
  bool was_assigned_ = false;
  KafkaHandle kafka_;
  std::unique_ptr<Nudge> nudge_;
};

} // namespace bridge
