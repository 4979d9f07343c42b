#include "column.hpp"

#include "decimal.hpp"
#include "errors.hpp"
#include "hex.hpp"
#include "json_text.hpp"
#include "time_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include <arpa/inet.h>
#include <sys/socket.h>

namespace bridge {

namespace {

constexpr std::size_t kShown = 60;

/// The beginning of what somebody sent, for a message that somebody else reads.
std::string shown(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    // Not half a character, nor anything that steers a terminal.
    if (byte >= 0x20 && byte < 0x7F)
      out += c;
    else
      out += '?';
  }
  return out + (text.size() > kShown ? "\"..." : "\"");
}

[[noreturn]] void reject(const Column &column, const Field &field, const char *sqlstate, const char *what) {
  throw Rejected(Stage::map, sqlstate, shown(field.text) + " is " + what, column.config.name);
}

[[noreturn]] void no_such(const Column &column, const Field &field) {
  throw Rejected(Stage::map, "22P02", shown(field.text) + " is no " + column.target.type_name, column.config.name);
}

[[noreturn]] void out_of_range(const Column &column, const Field &field) {
  throw Rejected(Stage::map, "22003", shown(field.text) + " is out of range for " + column.target.type_name,
                 column.config.name);
}

/// The text that a field has for types that are not JSON's own: that of a string or a number.
std::string_view text_of(const Column &column, const Field &field) {
  if (field.kind == Kind::json || field.kind == Kind::boolean)
    no_such(column, field);
  return field.text;
}

void append_text(const Column &column, std::string_view text, Buffer &out) {
  if (text.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
    throw Rejected(Stage::map, "54000", "the text is too long", column.config.name);
  if (text.find('\0') == std::string_view::npos) {
    out.int32(static_cast<std::int32_t>(text.size()));
    out.append(text);
    return;
  }
  if (column.config.on_nul == OnNul::dead_letter)
    throw Rejected(Stage::map, "22021",
                   "the text has a NUL, which PostgreSQL can't store; nul = \"strip\" leaves it out",
                   column.config.name);
  std::string stripped(text);
  std::erase(stripped, '\0');
  out.int32(static_cast<std::int32_t>(stripped.size()));
  out.append(stripped);
}

void encode_text(const Column &column, const Field &field, Buffer &out) { append_text(column, field.text, out); }

void append_json(const Column &column, const Field &field, std::string_view prefix, Buffer &out) {
  std::string written;
  std::string_view json = field.raw;
  if (json.empty()) {
    if (field.kind == Kind::string)
      append_json_string(written, field.text);
    else
      written = field.text;
    json = written;
  }
  switch (flaw_of_json(json)) {
  case JsonFlaw::none:
    break;
  case JsonFlaw::nul:
    if (column.config.on_nul == OnNul::dead_letter)
      throw Rejected(Stage::map, "22P05",
                     "the JSON has an escaped NUL, which PostgreSQL can't store; nul = \"strip\" leaves it out",
                     column.config.name);
    written = without_nul_escapes(json);
    json = written;
    break;
  case JsonFlaw::depth:
    throw Rejected(Stage::map, "54001", "the JSON is nested more than " + std::to_string(kMaxJsonDepth) + " deep",
                   column.config.name);
  case JsonFlaw::syntax:
    throw Rejected(Stage::map, "22P02", shown(json) + " is not valid JSON", column.config.name);
  }
  out.int32(static_cast<std::int32_t>(json.size() + prefix.size()));
  out.append(prefix);
  out.append(json);
}

void encode_json(const Column &column, const Field &field, Buffer &out) { append_json(column, field, {}, out); }
void encode_jsonb(const Column &column, const Field &field, Buffer &out) { append_json(column, field, "\1", out); }

void encode_bytea(const Column &, const Field &field, Buffer &out) {
  out.int32(static_cast<std::int32_t>(field.text.size()));
  out.append(field.text);
}

void encode_bool(const Column &column, const Field &field, Buffer &out) {
  bool truth = field.truth;
  if (field.kind != Kind::boolean) {
    const std::string_view text = text_of(column, field);
    if (text == "true" || text == "t" || text == "1")
      truth = true;
    else if (text == "false" || text == "f" || text == "0")
      truth = false;
    else
      no_such(column, field);
  }
  out.int32(1);
  out.append(truth ? "\1" : std::string_view("\0", 1));
}

/// A whole number, also one that is written with a point or an exponent, such as 1.0 and 1e3.
std::int64_t whole_number(const Column &column, const Field &field) {
  const std::string_view text = text_of(column, field);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size())
    return value;
  if (!is_json_number(text))
    no_such(column, field);
  if (error == std::errc::result_out_of_range)
    out_of_range(column, field);
  const auto e = text.find_first_of("eE");
  std::int64_t power = 0;
  if (e != std::string_view::npos) {
    std::string_view exponent = text.substr(e + 1);
    if (exponent.starts_with('+'))
      exponent.remove_prefix(1);
    const auto parsed = std::from_chars(exponent.data(), exponent.data() + exponent.size(), power);
    if (parsed.ec != std::errc() || power > 30 || power < -1000)
      out_of_range(column, field);
  }
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c == '.')
      power -= static_cast<std::int64_t>(e == std::string_view::npos ? text.size() : e) - 1 -
               static_cast<std::int64_t>(text.find('.'));
    else
      digits += c;
  }
  for (; power > 0; --power)
    digits += '0';
  for (; power < 0 && digits.size() > 1; ++power) {
    if (digits.back() != '0')
      reject(column, field, "22P02", "not a whole number");
    digits.pop_back();
  }
  const auto whole = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (whole.ec != std::errc() || whole.ptr != digits.data() + digits.size())
    out_of_range(column, field);
  if (power < 0 && value != 0)
    reject(column, field, "22P02", "not a whole number");
  return value;
}

template <typename Integer> void encode_integer(const Column &column, const Field &field, Buffer &out) {
  const std::int64_t value = whole_number(column, field);
  if (value < std::numeric_limits<Integer>::min() || value > std::numeric_limits<Integer>::max())
    out_of_range(column, field);
  out.int32(sizeof(Integer));
  if constexpr (sizeof(Integer) == 2)
    out.int16(static_cast<Integer>(value));
  else if constexpr (sizeof(Integer) == 4)
    out.int32(static_cast<Integer>(value));
  else
    out.int64(value);
}

template <typename Float> Float real_number(const Column &column, const Field &field) {
  std::string_view text = text_of(column, field);
  if (field.kind == Kind::string && text.starts_with('+'))
    text.remove_prefix(1);
  Float value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range)
    out_of_range(column, field);
  if (error != std::errc() || end != text.data() + text.size())
    no_such(column, field);
  return value;
}

void encode_float4(const Column &column, const Field &field, Buffer &out) {
  const float value = real_number<float>(column, field);
  std::int32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  out.int32(4);
  out.int32(bits);
}

void encode_float8(const Column &column, const Field &field, Buffer &out) {
  const double value = real_number<double>(column, field);
  std::int64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  out.int32(8);
  out.int64(bits);
}

void encode_numeric(const Column &column, const Field &field, Buffer &out) {
  const std::size_t at = out.size();
  out.int32(0);
  if (!append_numeric(out, text_of(column, field)))
    no_such(column, field);
  out.put_int32(at, static_cast<std::int32_t>(out.size() - at - 4));
}

void encode_uuid(const Column &column, const Field &field, Buffer &out) {
  std::string_view text = text_of(column, field);
  if (text.size() == 38 && text.front() == '{' && text.back() == '}')
    text = text.substr(1, 36);
  const bool dashes = text.size() == 36;
  if (!dashes && text.size() != 32)
    no_such(column, field);
  std::array<char, 16> bytes{};
  std::size_t at = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (dashes && (i == 4 || i == 6 || i == 8 || i == 10) && text[at++] != '-')
      no_such(column, field);
    const int high = hex_value(text[at]);
    const int low = hex_value(text[at + 1]);
    if ((high | low) < 0)
      no_such(column, field);
    bytes[i] = static_cast<char>(high * 16 + low);
    at += 2;
  }
  out.int32(16);
  out.append(bytes.data(), bytes.size());
}

PgMicros time_of(const Column &column, const Field &field) {
  const std::string_view text = text_of(column, field);
  const ColumnConfig &config = column.config;
  std::optional<PgMicros> time;
  if (field.kind == Kind::string && config.iso)
    time = parse_iso_time(text, config.zone);
  for (const TimeUnit unit : config.epochs)
    if (!time)
      time = parse_epoch(text, unit);
  if (!time) {
    if (field.kind == Kind::number && config.epochs.empty())
      throw Rejected(Stage::map, "22007",
                     shown(text) + " is a number: time = \"epoch_s\", \"epoch_ms\" or \"epoch_us\" says of what",
                     config.name);
    throw Rejected(Stage::map, "22007", shown(text) + " is no time", config.name);
  }
  return *time;
}

void encode_time(const Column &column, const Field &field, Buffer &out) {
  const PgMicros time = time_of(column, field);
  out.int32(8);
  out.int64(time);
}

void encode_date(const Column &column, const Field &field, Buffer &out) {
  std::optional<std::int32_t> day;
  if (field.kind == Kind::string)
    day = parse_date(text_of(column, field));
  if (!day) {
    const PgMicros time = time_of(column, field);
    constexpr PgMicros kDay = 86'400'000'000;
    day = static_cast<std::int32_t>(time >= 0 ? time / kDay : -((-time + kDay - 1) / kDay));
  }
  out.int32(4);
  out.int32(*day);
}

void encode_inet(const Column &column, const Field &field, Buffer &out) {
  constexpr char kInet = 2;
  constexpr char kInet6 = 3;
  const std::string_view text = text_of(column, field);
  const auto slash = text.find('/');
  const std::string address(text.substr(0, slash));
  std::array<unsigned char, 16> bytes{};
  const bool is_v6 = address.find(':') != std::string::npos;
  // The C function stops at a NUL.
  if (address.find('\0') != std::string::npos ||
      inet_pton(is_v6 ? AF_INET6 : AF_INET, address.c_str(), bytes.data()) != 1)
    no_such(column, field);
  const unsigned most = is_v6 ? 128 : 32;
  unsigned bits = most;
  if (slash != std::string_view::npos) {
    const std::string_view mask = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(mask.data(), mask.data() + mask.size(), bits);
    if (error != std::errc() || end != mask.data() + mask.size() || bits > most)
      no_such(column, field);
  }
  const std::size_t length = is_v6 ? 16 : 4;
  const bool is_cidr = column.target.type_name == "cidr";
  // PostgreSQL refuses a network with bits beyond its mask, and the whole COPY with it.
  if (is_cidr)
    for (unsigned bit = bits; bit < most; ++bit)
      if ((bytes[bit / 8] >> (7 - bit % 8) & 1) != 0)
        no_such(column, field);
  const std::array<char, 4> head{is_v6 ? kInet6 : kInet, static_cast<char>(bits), is_cidr ? '\1' : '\0',
                                 static_cast<char>(length)};
  out.int32(static_cast<std::int32_t>(head.size() + length));
  out.append(head.data(), head.size());
  out.append(bytes.data(), length);
}

struct Type {
  Oid oid;
  Encode encode;
};

// The types that PostgreSQL brings have fixed numbers (pg_type.dat).
constexpr Type kTypes[] = {
    {16, encode_bool},
    {17, encode_bytea},
    {20, encode_integer<std::int64_t>},
    {21, encode_integer<std::int16_t>},
    {23, encode_integer<std::int32_t>},
    {25, encode_text},
    {114, encode_json},
    {650, encode_inet},
    {700, encode_float4},
    {701, encode_float8},
    {869, encode_inet},
    {1042, encode_text},
    {1043, encode_text},
    {1082, encode_date},
    {1114, encode_time},
    {1184, encode_time},
    {1700, encode_numeric},
    {2950, encode_uuid},
    {3802, encode_jsonb},
};

} // namespace

Encode encoder_for(const TargetColumn &target) {
  // citext is text on the wire, and an enum its label; whether there is such a label, PostgreSQL says.
  if (target.is_enum || target.type_name == "citext")
    return encode_text;
  for (const Type &type : kTypes)
    if (type.oid == target.type)
      return type.encode;
  throw ConfigError("column " + target.name + " is of type " + target.type_name +
                    ", which is not supported: stage it as text or jsonb");
}

} // namespace bridge
