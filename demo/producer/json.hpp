// One JSON object, written a field at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace producer {

class Json {
public:
  Json &text(std::string_view name, std::string_view value) {
    begin(name);
    quote(value);
    return *this;
  }
  Json &text_or_null(std::string_view name, const std::optional<std::string> &value) {
    return value ? text(name, std::string_view(*value)) : plain(name, "null");
  }
  Json &number(std::string_view name, std::int64_t value) { return plain(name, std::to_string(value)); }
  /// A decimal: so many hundredths.
  Json &hundredths(std::string_view name, std::int64_t value) {
    const std::int64_t rest = value % 100;
    return plain(name, std::to_string(value / 100) + (rest < 10 ? ".0" : ".") + std::to_string(rest));
  }
  Json &plain(std::string_view name, std::string_view value) {
    begin(name);
    out_ += value;
    return *this;
  }
  std::string done() && { return std::move(out_) + "}"; }

private:
  void begin(std::string_view name) {
    out_ += out_.size() > 1 ? "," : "";
    quote(name);
    out_ += ':';
  }
  /// Nothing here has other control characters.
  void quote(std::string_view value) {
    out_ += '"';
    for (const char c : value) {
      if (c == '\n') {
        out_ += "\\n";
        continue;
      }
      if (c == '"' || c == '\\')
        out_ += '\\';
      out_ += c;
    }
    out_ += '"';
  }

  std::string out_ = "{";
};

} // namespace producer
