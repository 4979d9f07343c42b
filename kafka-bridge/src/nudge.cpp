#include "nudge.hpp"

#include <chrono>

namespace bridge {

namespace {

/// A queue that was never longer is not what fetching waits for.
constexpr std::size_t kShort = 100;
constexpr int kTimeoutMs = 1000;
/// Leaders move.
constexpr std::chrono::seconds kLeadersFor{30};

} // namespace

Nudge::Nudge(rd_kafka_t *kafka)
    : kafka_(kafka), queue_(rd_kafka_queue_get_consumer(kafka)), thread_([this] { work(); }) {}

Nudge::~Nudge() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
  rd_kafka_queue_destroy(queue_);
}

void Nudge::set(std::set<Partition> partitions) {
  const std::lock_guard lock(mutex_);
  partitions_ = std::move(partitions);
  is_changed_ = true;
}

void Nudge::look() {
  const std::size_t length = rd_kafka_queue_length(queue_);
  if (length > longest_)
    longest_ = length;
  if (longest_ < kShort || length > longest_ / 2)
    return;
  longest_ = length;
  {
    const std::lock_guard lock(mutex_);
    is_wanted_ = true;
  }
  changed_.notify_all();
}

void Nudge::work() {
  std::vector<Partition> leaders;
  std::chrono::steady_clock::time_point found{};
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return is_wanted_ || ending_; });
    if (ending_)
      return;
    is_wanted_ = false;
    const auto now = std::chrono::steady_clock::now();
    const bool is_old = std::exchange(is_changed_, false) || now - found > kLeadersFor;
    const std::set<Partition> partitions = partitions_;
    lock.unlock();
    if (is_old) {
      leaders = find_leaders(partitions);
      found = now;
    }
    // Of no interest is what they answer, nor whether.
    for (const auto &[topic, partition] : leaders) {
      std::int64_t low = 0;
      std::int64_t high = 0;
      rd_kafka_query_watermark_offsets(kafka_, topic.c_str(), partition, &low, &high, kTimeoutMs);
    }
    lock.lock();
  }
}

std::vector<Nudge::Partition> Nudge::find_leaders(const std::set<Partition> &partitions) {
  std::map<std::int32_t, Partition> by_leader;
  const rd_kafka_metadata_t *metadata = nullptr;
  // All topics that this consumer knows.
  if (rd_kafka_metadata(kafka_, 0, nullptr, &metadata, kTimeoutMs) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return {};
  for (int t = 0; t < metadata->topic_cnt; ++t) {
    const rd_kafka_metadata_topic_t &topic = metadata->topics[t];
    for (int p = 0; p < topic.partition_cnt; ++p)
      if (const Partition partition(topic.topic, topic.partitions[p].id); partitions.contains(partition))
        by_leader.emplace(topic.partitions[p].leader, partition);
  }
  rd_kafka_metadata_destroy(metadata);
  std::vector<Partition> out;
  out.reserve(by_leader.size());
  for (const auto &[leader, partition] : by_leader)
    out.push_back(partition);
  return out;
}

} // namespace bridge
