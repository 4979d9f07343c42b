// Times as messages have them.
#pragma once

#include "zone.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace bridge {

/// Microseconds since 2000-01-01 00:00 UTC, as PostgreSQL counts.
using PgMicros = std::int64_t;

constexpr PgMicros kMicrosTo2000 = 946'684'800'000'000;

enum class TimeUnit { s, ms, us };

/// ISO 8601: a date and a time, T or space between, a fraction of any length (digits beyond microseconds are cut off),
/// Z, an offset, or nothing, which means the zone's clocks. A date alone is its midnight. Nothing: it is not that, or
/// no such day.
std::optional<PgMicros> parse_iso_time(std::string_view text, const Zone &zone) noexcept;

/// A decimal number of units since 1970-01-01 00:00 UTC, with a fraction or an exponent or without. Digits beyond
/// microseconds are cut off.
std::optional<PgMicros> parse_epoch(std::string_view text, TimeUnit unit) noexcept;

/// "2026-01-31" as days since 2000-01-01; of a longer text the date that it begins with.
std::optional<std::int32_t> parse_date(std::string_view text) noexcept;

} // namespace bridge
