// How many threads the CPU kernels use.
#pragma once

#include <cstdint>

namespace pycnn {

constexpr int64_t kMaxThreads = 1024;

// PYCNN_NUM_THREADS, or else the number of cores this process may run on, until set_num_threads.
// Throws ValueError if PYCNN_NUM_THREADS is not an integer from 1 to kMaxThreads.
int num_threads();

// Throws ValueError unless 1 <= count <= kMaxThreads.
void set_num_threads(int64_t count);

}  // namespace pycnn
