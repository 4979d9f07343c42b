// What an operator asks for beside running.
#pragma once

#include "config.hpp"

#include <optional>
#include <string>

namespace bridge {

/// Each returns an exit code, and throws what the program reports.
int check(const Config &config);
int status(const Config &config);
int seek(const Config &config, const std::string &pipeline, const std::string &topic, std::optional<int> partition,
         const std::string &to);
int replay_dead_letters(const Config &config, const std::string &pipeline);

} // namespace bridge
