// JSON as text: whether it is what PostgreSQL's jsonb takes.
#pragma once

#include <string>
#include <string_view>

namespace bridge {

enum class JsonFlaw { none, syntax, depth, nul };

/// Deeper values are refused: PostgreSQL parses them by recursion.
constexpr int kMaxJsonDepth = 1000;

/// What is wrong with a JSON value, which must be valid UTF-8. `nul`: the only flaw is an escaped NUL, which no text of
/// PostgreSQL can hold.
JsonFlaw flaw_of_json(std::string_view json);

/// Without its escaped NULs.
std::string without_nul_escapes(std::string_view json);

/// A string as JSON has it, quoted.
void append_json_string(std::string &out, std::string_view text);

/// Whether this is a number by the grammar of JSON.
bool is_json_number(std::string_view text);

} // namespace bridge
