#include "time_text.hpp"

#include "json_text.hpp"

#include <charconv>

namespace bridge {

namespace {

constexpr std::int64_t kDay = 86400;

/// Days since 1970-01-01 of the proleptic Gregorian calendar (http://howardhinnant.github.io/date_algorithms.html).
constexpr std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) noexcept {
  year -= month <= 2 ? 1 : 0;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto of_era = static_cast<unsigned>(year - era * 400);
  const unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return era * 146097 + static_cast<std::int64_t>(of_era * 365 + of_era / 4 - of_era / 100 + of_year) - 719468;
}
static_assert(days_from_civil(2000, 1, 1) == 10957);

constexpr unsigned days_of(std::int64_t year, unsigned month) noexcept {
  if (month == 2)
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

class Cursor {
public:
  explicit Cursor(std::string_view text) : text_(text) {}

  bool done() const { return at_ == text_.size(); }
  bool take(char c) {
    if (done() || text_[at_] != c)
      return false;
    ++at_;
    return true;
  }
  bool is_digit() const { return !done() && text_[at_] >= '0' && text_[at_] <= '9'; }
  /// Exactly so many digits.
  bool digits(int count, std::int64_t &value) {
    value = 0;
    for (int i = 0; i < count; ++i) {
      if (!is_digit())
        return false;
      value = value * 10 + (text_[at_++] - '0');
    }
    return true;
  }
  /// The fraction after the point, in millionths.
  bool fraction(std::int64_t &micros) {
    micros = 0;
    if (!is_digit())
      return false;
    for (std::int64_t unit = 100'000; is_digit(); ++at_, unit /= 10)
      micros += unit * (text_[at_] - '0');
    return true;
  }

private:
  std::string_view text_;
  std::size_t at_ = 0;
};

bool read_date(Cursor &cursor, std::int64_t &days) {
  std::int64_t year = 0;
  std::int64_t month = 0;
  std::int64_t day = 0;
  if (!cursor.digits(4, year))
    return false;
  const bool dashes = cursor.take('-');
  if (!cursor.digits(2, month) || (dashes && !cursor.take('-')) || !cursor.digits(2, day))
    return false;
  if (month < 1 || month > 12 || day < 1 || day > days_of(year, static_cast<unsigned>(month)) || year < 1)
    return false;
  days = days_from_civil(year, static_cast<unsigned>(month), static_cast<unsigned>(day));
  return true;
}

bool read_offset(Cursor &cursor, bool negative, std::int64_t &offset) {
  std::int64_t hours = 0;
  std::int64_t minutes = 0;
  if (!cursor.digits(2, hours))
    return false;
  const bool colon = cursor.take(':');
  if ((colon || cursor.is_digit()) && !cursor.digits(2, minutes))
    return false;
  if (hours > 15 || minutes > 59)
    return false;
  offset = (hours * 60 + minutes) * 60;
  if (negative)
    offset = -offset;
  return true;
}

} // namespace

std::optional<PgMicros> parse_iso_time(std::string_view text, const Zone &zone) noexcept {
  Cursor cursor(text);
  std::int64_t days = 0;
  std::int64_t hour = 0;
  std::int64_t minute = 0;
  std::int64_t second = 0;
  std::int64_t micros = 0;
  if (!read_date(cursor, days))
    return std::nullopt;
  if (!cursor.done()) {
    if (!cursor.take('T') && !cursor.take('t') && !cursor.take(' '))
      return std::nullopt;
    if (!cursor.digits(2, hour))
      return std::nullopt;
    const bool colons = cursor.take(':');
    if (!cursor.digits(2, minute))
      return std::nullopt;
    if (colons ? cursor.take(':') : cursor.is_digit()) {
      if (!cursor.digits(2, second))
        return std::nullopt;
      if ((cursor.take('.') || cursor.take(',')) && !cursor.fraction(micros))
        return std::nullopt;
    }
  }
  // 24:00 is the end of a day, and :60 a leap second, which PostgreSQL takes for the next.
  if (hour > 24 || minute > 59 || second > 60 || (hour == 24 && (minute > 0 || second > 0 || micros > 0)))
    return std::nullopt;
  const Seconds local = days * kDay + hour * 3600 + minute * 60 + second;
  cursor.take(' ');
  Seconds utc = 0;
  std::int64_t offset = 0;
  if (cursor.done())
    utc = zone.to_utc(local);
  else if (cursor.take('Z') || cursor.take('z'))
    utc = local;
  else if (const bool negative = cursor.take('-');
           (negative || cursor.take('+')) && read_offset(cursor, negative, offset))
    utc = local - offset;
  else
    return std::nullopt;
  if (!cursor.done())
    return std::nullopt;
  return utc * 1'000'000 + micros - kMicrosTo2000;
}

std::optional<PgMicros> parse_epoch(std::string_view text, TimeUnit unit) noexcept {
  if (!is_json_number(text))
    return std::nullopt;
  // As an integer of microseconds, digit by digit: a double would lose some.
  const bool negative = text.starts_with('-');
  if (negative)
    text.remove_prefix(1);
  int shift = unit == TimeUnit::s ? 6 : unit == TimeUnit::ms ? 3 : 0;
  if (const auto e = text.find_first_of("eE"); e != std::string_view::npos) {
    std::string_view exponent = text.substr(e + 1);
    if (exponent.starts_with('+'))
      exponent.remove_prefix(1);
    int power = 0;
    const auto [end, error] = std::from_chars(exponent.data(), exponent.data() + exponent.size(), power);
    if (error != std::errc() || power > 30 || power < -30)
      return std::nullopt;
    shift += power;
    text = text.substr(0, e);
  }
  const auto point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string_view fraction = point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
  // Times until 294276 AD, as PostgreSQL has them, are below this.
  constexpr std::int64_t kLimit = 9'223'371'331'200'000'000;
  std::int64_t micros = 0;
  const auto add = [&](char c) {
    if (micros > (kLimit - (c - '0')) / 10)
      return false;
    micros = micros * 10 + (c - '0');
    return true;
  };
  const auto digits = static_cast<std::int64_t>(whole.size()) + shift;
  for (std::int64_t i = 0; i < digits; ++i) {
    const auto at = static_cast<std::size_t>(i);
    char c = '0';
    if (at < whole.size())
      c = whole[at];
    else if (at - whole.size() < fraction.size())
      c = fraction[at - whole.size()];
    if (!add(c))
      return std::nullopt;
  }
  micros = negative ? -micros : micros;
  // 4713 BC is where PostgreSQL begins.
  if (micros < -210'866'803'200'000'000)
    return std::nullopt;
  return micros - kMicrosTo2000;
}

std::optional<std::int32_t> parse_date(std::string_view text) noexcept {
  Cursor cursor(text.substr(0, text.find_first_of("Tt ")));
  std::int64_t days = 0;
  if (!read_date(cursor, days) || !cursor.done())
    return std::nullopt;
  return static_cast<std::int32_t>(days - 10957);
}

} // namespace bridge
