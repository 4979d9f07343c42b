// Decimals of any length, as PostgreSQL's numeric has them on the wire.
#pragma once

#include "buffer.hpp"

#include <string_view>

namespace bridge {

/// Appends a decimal, by the grammar of JSON or "NaN", without losing a digit. False: it is none, or beyond what a
/// numeric can hold.
bool append_numeric(Buffer &out, std::string_view text);

} // namespace bridge
