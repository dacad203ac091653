// CUDA's runtime as host code sees it: errors, and the stream of launches.
#pragma once

#include <cuda_runtime_api.h>

#include <new>
#include <stdexcept>
#include <string>

namespace pycnn::cuda {

// Throws what an error of CUDA's runtime is in C++, and clears it where that is possible.
inline void check(cudaError_t error, const char* what) {
    if (error == cudaSuccess) return;
    cudaGetLastError();
    if (error == cudaErrorMemoryAllocation) throw std::bad_alloc();
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

// The stream of the calling thread's launches.
inline cudaStream_t& current_stream() {
    thread_local cudaStream_t stream = nullptr;
    return stream;
}

}  // namespace pycnn::cuda
