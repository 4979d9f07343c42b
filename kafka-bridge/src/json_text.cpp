#include "json_text.hpp"

#include "hex.hpp"

#include <cstddef>
#include <vector>

namespace bridge {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// Walks over a value without recursion, as depth is in the hands of whoever sends it.
class Checker {
public:
  explicit Checker(std::string_view json) : json_(json) {}

  JsonFlaw check() {
    if (!value())
      return flaw_;
    while (!open_.empty()) {
      space();
      if (take(open_.back() == '{' ? '}' : ']')) {
        open_.pop_back();
        continue;
      }
      if (!first_ && !take(','))
        return JsonFlaw::syntax;
      if (open_.back() == '{') {
        space();
        if (!string())
          return flaw_;
        space();
        if (!take(':'))
          return JsonFlaw::syntax;
      }
      if (!value())
        return flaw_;
    }
    space();
    if (at_ != json_.size())
      return JsonFlaw::syntax;
    return nul_ ? JsonFlaw::nul : JsonFlaw::none;
  }

private:
  bool fail(JsonFlaw flaw = JsonFlaw::syntax) {
    flaw_ = flaw;
    return false;
  }
  char peek() const { return at_ < json_.size() ? json_[at_] : '\0'; }
  bool take(char c) {
    if (peek() != c)
      return false;
    ++at_;
    return true;
  }
  void space() {
    while (at_ < json_.size() && is_space(json_[at_]))
      ++at_;
  }

  /// A scalar, or the beginning of an object or an array. `first_`: no comma comes before what follows.
  bool value() {
    space();
    first_ = false;
    const char c = peek();
    if (c == '{' || c == '[') {
      if (open_.size() >= static_cast<std::size_t>(kMaxJsonDepth))
        return fail(JsonFlaw::depth);
      open_.push_back(c);
      ++at_;
      first_ = true;
      return true;
    }
    if (c == '"')
      return string();
    for (const std::string_view word : {"true", "false", "null"})
      if (json_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return true;
      }
    const std::size_t begin = at_;
    while (at_ < json_.size() && (is_digit(json_[at_]) || json_[at_] == '-' || json_[at_] == '+' || json_[at_] == '.' ||
                                  json_[at_] == 'e' || json_[at_] == 'E'))
      ++at_;
    return is_json_number(json_.substr(begin, at_ - begin)) || fail();
  }

  bool string() {
    if (!take('"'))
      return fail();
    while (at_ < json_.size()) {
      const char c = json_[at_++];
      if (c == '"')
        return true;
      if (static_cast<unsigned char>(c) < 0x20)
        return fail();
      if (c == '\\' && !escape())
        return fail();
    }
    return fail();
  }

  bool escape() {
    const char c = peek();
    ++at_;
    if (c != 'u')
      return c != '\0' && std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos;
    const int unit = code_unit();
    if (unit < 0)
      return false;
    if (unit == 0)
      nul_ = true;
    if (unit >= 0xDC00 && unit < 0xE000)
      return false;
    if (unit < 0xD800 || unit >= 0xDC00)
      return true;
    // The first half of a pair.
    if (!take('\\') || !take('u'))
      return false;
    const int low = code_unit();
    return low >= 0xDC00 && low < 0xE000;
  }

  int code_unit() {
    if (json_.size() - at_ < 4 || at_ > json_.size())
      return -1;
    int unit = 0;
    for (int i = 0; i < 4; ++i) {
      const int digit = hex_value(json_[at_++]);
      if (digit < 0)
        return -1;
      unit = unit * 16 + digit;
    }
    return unit;
  }

  std::string_view json_;
  std::size_t at_ = 0;
  std::vector<char> open_;
  bool first_ = false;
  bool nul_ = false;
  JsonFlaw flaw_ = JsonFlaw::syntax;
};

} // namespace

JsonFlaw flaw_of_json(std::string_view json) { return Checker(json).check(); }

std::string without_nul_escapes(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (std::size_t i = 0; i < json.size(); ++i) {
    if (json[i] == '\\' && i + 1 < json.size()) {
      if (json.substr(i, 6) == "\\u0000") {
        i += 5;
        continue;
      }
      out += json[i++];
    }
    out += json[i];
  }
  return out;
}

void append_json_string(std::string &out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

bool is_json_number(std::string_view text) {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t begin = i;
    while (i < text.size() && is_digit(text[i]))
      ++i;
    return i > begin;
  };
  if (i < text.size() && text[i] == '-')
    ++i;
  if (i < text.size() && text[i] == '0')
    ++i;
  else if (!digits())
    return false;
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (!digits())
      return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '-' || text[i] == '+'))
      ++i;
    if (!digits())
      return false;
  }
  return i == text.size();
}

} // namespace bridge
