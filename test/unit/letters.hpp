// Paths as the tests write them: "abc", a channel a letter.
#pragma once

#include "core/channels.hpp"

#include <string>
#include <vector>

namespace attribution::core {

/// The channels of a path; all letters are known, in alphabetical order.
inline std::vector<Channel> numbers(const std::string &path) {
  std::vector<Channel> result;
  for (const char c : path)
    result.push_back(static_cast<Channel>(c - 'a'));
  return result;
}

} // namespace attribution::core
