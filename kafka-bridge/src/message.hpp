// A message as Kafka has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace bridge {

/// Views into memory of whoever handed it out.
struct Message {
  std::string_view topic;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  /// Milliseconds since 1970; -1: Kafka has none.
  std::int64_t unix_ms = -1;
  std::optional<std::string_view> key;
  /// None: a tombstone. Followed by Decoder::kPadding bytes.
  std::optional<std::string_view> payload;
  std::vector<std::pair<std::string_view, std::optional<std::string_view>>> headers;
};

} // namespace bridge
