// The attribution.* settings.
#pragma once

#include <cstddef>
#include <cstdint>

namespace attribution::entry {

void define_settings();

/// attribution.work_mem, in bytes.
std::size_t work_mem();
/// The share of it that a batch's values may take.
std::size_t batch_bytes();
/// attribution.batch_size.
std::uint32_t batch_size();

} // namespace attribution::entry
