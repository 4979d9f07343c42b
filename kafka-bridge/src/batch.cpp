#include "batch.hpp"

#include "base64.hpp"
#include "decoder.hpp"
#include "json_text.hpp"
#include "time_text.hpp"

#include <array>

namespace bridge {

void Batch::clear() {
  rows.clear();
  ends.clear();
  kept.clear();
  dead.clear();
  progress.clear();
  arena.clear();
  messages = 0;
  bytes = 0;
}

Kept Batch::keep(const Message &message, std::size_t progress_index) {
  Kept kept{progress_index, message.offset, message.unix_ms, {}, {}, {}};
  const auto add = [&](std::string_view text) {
    const Slice slice{arena.size(), static_cast<std::int64_t>(text.size())};
    arena.append(text);
    return slice;
  };
  if (message.key)
    kept.key = add(*message.key);
  if (!message.headers.empty()) {
    std::string json = "[";
    for (const auto &[name, value] : message.headers) {
      json += json.size() > 1 ? ",[" : "[";
      // Names are meant to be text, and values may be anything.
      append_json_string(json, printable(name));
      json += ",";
      json += value ? "\"" + to_base64(*value) + "\"" : "null";
      json += "]";
    }
    kept.headers = add(json + "]");
  }
  if (message.payload) {
    static constexpr std::array<char, Decoder::kPadding> kZeros{};
    kept.payload = add(*message.payload);
    arena.append(kZeros.data(), kZeros.size());
    arena.truncate(arena.size() - kZeros.size());
  }
  bytes += static_cast<std::int64_t>(message.payload.value_or("").size() + message.key.value_or("").size());
  return kept;
}

void append_dead_letter(const std::string &pipeline, const Batch &batch, const DeadLetter &letter, Buffer &out) {
  const Kept &message = letter.message;
  const Progress &progress = batch.progress[message.progress];
  const auto text = [&](std::string_view value) {
    out.int32(static_cast<std::int32_t>(value.size()));
    out.append(value);
  };
  const auto text_or_null = [&](const std::string &value) {
    if (value.empty())
      out.int32(-1);
    else
      text(value);
  };
  const auto bytes = [&](const Slice &slice) {
    if (slice.length < 0)
      out.int32(-1);
    else
      text(batch.bytes_of(slice));
  };
  out.int16(12);
  text(pipeline);
  text(progress.claim.topic);
  out.int32(4);
  out.int32(progress.claim.partition);
  out.int32(8);
  out.int64(message.offset);
  if (message.unix_ms < 0) {
    out.int32(-1);
  } else {
    out.int32(8);
    out.int64(message.unix_ms * 1000 - kMicrosTo2000);
  }
  bytes(message.key);
  bytes(message.payload);
  if (message.headers.length < 0) {
    out.int32(-1);
  } else {
    out.int32(static_cast<std::int32_t>(message.headers.length + 1));
    out.append("\1");
    out.append(batch.bytes_of(message.headers));
  }
  text(name_of(letter.stage));
  text_or_null(letter.field);
  text_or_null(letter.sqlstate);
  text(letter.error);
}

} // namespace bridge
