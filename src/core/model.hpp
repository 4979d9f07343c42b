// How credit is divided over a path.
#pragma once

#include "core/rule.hpp"

#include <cstddef>

namespace attribution::core {

/// The credit of the touchpoint at `position` (0 is the oldest) of a path of `length` >= 1; over a path it sums to 1.
double credit(Model model, std::size_t position, std::size_t length) noexcept;

/// The position that a single-touch model gives all the credit.
std::size_t winner(Model model, std::size_t length) noexcept;

} // namespace attribution::core

#include "core/no_postgres.hpp"
