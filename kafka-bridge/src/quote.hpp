// Names and values within SQL.
#pragma once

#include <string>
#include <string_view>

namespace bridge {

inline std::string quote_identifier(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"')
      out += '"';
    out += c;
  }
  return out + '"';
}

/// With standard_conforming_strings on, which the sessions of the bridge set.
inline std::string quote_literal(std::string_view value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\'')
      out += '\'';
    out += c;
  }
  return out + '\'';
}

} // namespace bridge
