// What the functions about models share.
#pragma once

#include "core/model_text.hpp"
#include "pg/guard.hpp"

namespace attribution::entry {

/// A model as it is written; what is wrong with it is an ERROR.
inline core::ModelSpec model_of(std::string_view text) {
  try {
    return core::parse_model(text);
  } catch (const core::BadModel &error) {
    throw pg::Error(ERRCODE_INVALID_PARAMETER_VALUE, error.message, {}, error.hint);
  }
}

[[noreturn]] inline void raise_out_of_memory(const std::string &what) {
  throw pg::Error(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, what + " does not fit into attribution.work_mem", {},
                  "Raise attribution.work_mem, join rare channels, or lower the order.");
}

} // namespace attribution::entry
