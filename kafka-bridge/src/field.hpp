// What a decoder finds at a path.
#pragma once

#include <cstdint>
#include <string_view>

namespace bridge {

enum class Kind : std::uint8_t { absent, null, boolean, number, string, json };

/// The views live as long as the payload, and until the decoder decodes again.
struct Field {
  Kind kind = Kind::absent;
  bool truth = false;
  /// The digits of a number as they stand, so that no decimal is lost; a string without its escapes; an object or
  /// array.
  std::string_view text;
  /// As JSON, if the format is JSON: what goes into json and jsonb columns.
  std::string_view raw;
};

} // namespace bridge
