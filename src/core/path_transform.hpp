// What is made of paths before they are counted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace attribution::core {

/// A step of a path that is being changed: its channel, and where it was in the path as it came, from 0.
struct NamedStep {
  std::string channel;
  std::uint32_t place;
};

/// Applies a transform:
///
///     unique                          none
///     exposure                        of each run of one channel the first
///     first                           of each channel the first
///     frequency                       of each channel the first, with its number: "mail(3)"
///     remove_if_not_all(channel)      without a channel, unless there is no other
///     remove_if_last_and_not_all(channel)   without a channel at the end, unless there is no other
///     trim_long(steps)                the newest of so many steps
///
/// Throws BadTransform.
void transform(std::vector<NamedStep> &path, std::string_view transform);

struct BadTransform {
  std::string message, hint;
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
