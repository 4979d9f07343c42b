// What happens, one event after the other, in the order of its time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace producer {

struct Message {
  std::string topic;
  std::optional<std::string> key;
  std::string payload;
  /// When it happened, in ms since 1970.
  std::int64_t unix_ms = 0;
};

class Stream {
public:
  Stream() = default;
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;
  virtual ~Stream() = default;

  virtual std::vector<std::string> topics() const = 0;
  /// The event that comes next, at that time.
  virtual Message next(std::int64_t unix_ms) = 0;
};

/// Clicks, impressions and events of mobile apps, as attribution.create_mobile() has them, on so many devices.
std::unique_ptr<Stream> make_mobile(std::uint64_t seed, std::int64_t devices);

/// Clicks on products and checkouts of a shop.
std::unique_ptr<Stream> make_checkout(std::uint64_t seed);

} // namespace producer
