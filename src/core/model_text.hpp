// Models as they are written: "position_based(0.3, 0.4)".
#pragma once

#include "core/rule.hpp"

#include <exception>
#include <string_view>

namespace attribution::core {

/// What is wrong with a model's text.
class BadModel final : public std::exception {
public:
  BadModel(std::string message, std::string hint) : message(std::move(message)), hint(std::move(hint)) {}
  const char *what() const noexcept override { return message.c_str(); }
  std::string message, hint;
};

/// Reads a model: its name, and settings in parentheses. Throws BadModel.
///
///     last_touch  first_touch  linear  linear_distinct
///     last_non_direct(channel, ..)            default: direct
///     position_based(first, last)             default: 0.4, 0.4
///     time_decay(half-life)                   default: 7 days; units are seconds, minutes, hours, days and weeks
///     w_shaped(channel, first, milestone, last)   default: 0.3, 0.3, 0.3; the channel has none
///     weighted(function)
ModelSpec parse_model(std::string_view text);

} // namespace attribution::core

#include "core/no_postgres.hpp"
