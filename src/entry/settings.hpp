// The attribution.* settings.
#pragma once

#include "engine/batch.hpp"

#include <cstddef>
#include <cstdint>

namespace attribution::entry {

void define_settings();

/// attribution.work_mem, in bytes.
std::size_t work_mem();
/// The share of it that a batch's values may take.
std::size_t batch_bytes();
/// What bounds a batch where nothing is written.
engine::BatchLimits read_limits();
/// The share that candidates of touch indexes may take, before their rows are looked up.
std::size_t candidate_bytes();
/// attribution.batch_size: where nothing is written, or as many as fit.
std::uint32_t batch_size();
/// The same, of a transaction.
std::uint32_t run_batch_size();
/// attribution.min_parallel_conversions.
int min_parallel_conversions();

/// attribution.enable_touch_index.
bool is_touch_index_on();

/// attribution.worker.
bool is_worker_on();
/// attribution.worker_interval, in microseconds.
core::Micros worker_interval();
/// attribution.worker_retry_limit, in microseconds.
core::Micros worker_retry_limit();

} // namespace attribution::entry
