// Bytes that are appended to, with numbers in network order.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace bridge {

class Buffer {
public:
  std::size_t size() const noexcept { return size_; }
  const char *data() const noexcept { return bytes_.data(); }
  std::string_view view(std::size_t begin, std::size_t length) const noexcept {
    return {bytes_.data() + begin, length};
  }
  void clear() noexcept { size_ = 0; }
  void truncate(std::size_t size) noexcept { size_ = size; }

  /// Room for so many bytes more; what was returned before is invalid.
  char *room(std::size_t length) {
    if (bytes_.size() - size_ < length)
      bytes_.resize((size_ + length) + (size_ + length) / 2);
    return bytes_.data() + size_;
  }
  void append(const void *bytes, std::size_t length) {
    if (length == 0)
      return;
    std::memcpy(room(length), bytes, length);
    size_ += length;
  }
  void append(std::string_view text) { append(text.data(), text.size()); }

  void int16(std::int16_t value) { number(static_cast<std::uint16_t>(value)); }
  void int32(std::int32_t value) { number(static_cast<std::uint32_t>(value)); }
  void int64(std::int64_t value) { number(static_cast<std::uint64_t>(value)); }

  /// Puts a number where there are bytes already.
  void put_int32(std::size_t at, std::int32_t value) noexcept {
    for (int i = 0; i < 4; ++i)
      bytes_[at + static_cast<std::size_t>(i)] = static_cast<char>(static_cast<std::uint32_t>(value) >> (24 - 8 * i));
  }

private:
  template <typename Unsigned> void number(Unsigned value) {
    char *to = room(sizeof value);
    for (std::size_t i = 0; i < sizeof value; ++i)
      to[i] = static_cast<char>(value >> (8 * (sizeof value - 1 - i)));
    size_ += sizeof value;
  }

  std::vector<char> bytes_;
  std::size_t size_ = 0;
};

} // namespace bridge
