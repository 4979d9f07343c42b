// What goes into one transaction: rows, dead letters, and how far each partition comes.
#pragma once

#include "buffer.hpp"
#include "errors.hpp"
#include "message.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace bridge {

/// A partition that this bridge has claimed.
struct Claim {
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t epoch = 0;
};

/// What a batch does to one partition.
struct Progress {
  Claim claim;
  std::int64_t since = 0;
  std::int64_t until = 0;
  std::int64_t rows = 0;
  std::int64_t dead = 0;
  std::int64_t log_end = -1;
  std::int64_t last_unix_ms = -1;
};

/// A part of a batch's arena. `length` < 0: there is nothing, not even an empty text.
struct Slice {
  std::size_t begin = 0;
  std::int64_t length = -1;
};

/// A message as it is kept until its batch is committed.
struct Kept {
  std::size_t progress = 0;
  std::int64_t offset = 0;
  std::int64_t unix_ms = -1;
  Slice key;
  Slice payload;
  Slice headers;
};

struct DeadLetter {
  Kept message;
  Stage stage = Stage::decode;
  std::string field;
  std::string sqlstate;
  std::string error;
};

struct Batch {
  Buffer rows;
  /// Where each row ends within `rows`, and of which message it is.
  std::vector<std::size_t> ends;
  std::vector<Kept> kept;
  std::vector<DeadLetter> dead;
  std::vector<Progress> progress;
  Buffer arena;
  std::int64_t messages = 0;
  std::int64_t bytes = 0;
  std::chrono::steady_clock::time_point began;

  bool empty() const noexcept { return progress.empty(); }
  std::size_t memory() const noexcept { return rows.size() + arena.size(); }
  std::string_view bytes_of(const Slice &slice) const {
    return slice.length < 0 ? std::string_view() : arena.view(slice.begin, static_cast<std::size_t>(slice.length));
  }
  void clear();
  /// Copies what is to outlive Kafka's own buffers; the payload is followed by padding.
  Kept keep(const Message &message, std::size_t progress_index);
  std::string_view row(std::size_t first, std::size_t past) const {
    const std::size_t begin = first == 0 ? 0 : ends[first - 1];
    const std::size_t end = past == 0 ? 0 : ends[past - 1];
    return rows.view(begin, end - begin);
  }
};

/// Dead letters as COPY BINARY has them, for the columns of kDeadLetterColumns.
void append_dead_letter(const std::string &pipeline, const Batch &batch, const DeadLetter &letter, Buffer &out);
inline constexpr char kDeadLetterColumns[] =
    "pipeline, topic, kafka_partition, kafka_offset, kafka_time, key, payload, headers, stage, field, sqlstate, error";

} // namespace bridge
