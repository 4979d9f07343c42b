// librdkafka 2.0 stops fetching when its queue is full, and looks at the queue again once a second only, or when it has
// something else to send to that broker. So it is given something to send as soon as there is room.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <librdkafka/rdkafka.h>

namespace bridge {

class Nudge {
public:
  /// The consumer must outlive it.
  explicit Nudge(rd_kafka_t *kafka);
  ~Nudge();
  Nudge(const Nudge &) = delete;
  Nudge &operator=(const Nudge &) = delete;

  using Partition = std::pair<std::string, std::int32_t>;
  /// What is read from now on.
  void set(std::set<Partition> partitions);
  /// Whether no message waits to be taken.
  bool is_empty() const { return rd_kafka_queue_length(queue_) == 0; }
  /// Called again and again while messages are taken: notices when much of the queue is.
  void look();

private:
  void work();
  /// Of each broker one partition that it leads.
  std::vector<Partition> find_leaders(const std::set<Partition> &partitions);

  rd_kafka_t *kafka_;
  rd_kafka_queue_t *queue_;
  std::size_t longest_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<Partition> partitions_;
  bool is_changed_ = false;
  bool is_wanted_ = false;
  bool ending_ = false;
  std::thread thread_;
};

} // namespace bridge
