// How a format is read. A further one implements Decoder, and is named in decoder.cpp.
#pragma once

#include "field.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bridge {

/// The names from the top of a message down to a field.
using Path = std::vector<std::string>;

class Decoder {
public:
  Decoder() = default;
  Decoder(const Decoder &) = delete;
  Decoder &operator=(const Decoder &) = delete;
  virtual ~Decoder() = default;

  /// So many bytes after the payload must be readable.
  static constexpr std::size_t kPadding = 64;

  /// Fills one field for each path that the decoder was made with, and one more for the fields that no path names, if
  /// those were asked for. Throws Rejected. Whatever the bytes are, nothing else happens.
  virtual void decode(std::string_view payload, std::vector<Field> &fields) = 0;
};

/// Throws ConfigError for a format that there is not. Without paths nothing is decoded, and any payload will do.
std::unique_ptr<Decoder> make_decoder(const std::string &format, const std::vector<Path> &paths, bool rest);

} // namespace bridge
