// Bytes as text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bridge {

std::string to_base64(std::string_view bytes);
/// Nothing: it is no base64.
std::optional<std::string> from_base64(std::string_view text);

/// With a question mark for each byte that is no printable ASCII: for what should be text, and may not be.
std::string printable(std::string_view bytes);

} // namespace bridge
