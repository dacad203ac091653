// Kernels that exist in several builds, and the call of the one to use.
//
// A header of this folder declares the C++ entry points of a primitive family once, with
// PYCNN_PER_BUILD(...), for whoever defines them: csrc/cpu in the namespace of each instruction set
// (pycnn::baseline, avx2, avx512), csrc/cuda in pycnn::cuda. A caller, csrc/bindings, writes
// PYCNN_BEST(max_pool2d_fprop)(arguments...).
#pragma once

#ifdef PYCNN_CUDA  // an extension module of the CUDA kernels: compiled by nvcc, or emulated

#define PYCNN_PER_BUILD(...) \
    namespace cuda {         \
    __VA_ARGS__              \
    }
// A pointer to the function; overloads need a cast around it.
#define PYCNN_BEST(function) (&::pycnn::cuda::function)

#else

#include "cpu/isa.h"

#ifdef PYCNN_HAS_AVX2
#define PYCNN_IF_AVX2(...) __VA_ARGS__
#else
#define PYCNN_IF_AVX2(...)
#endif
#ifdef PYCNN_HAS_AVX512
#define PYCNN_IF_AVX512(...) __VA_ARGS__
#else
#define PYCNN_IF_AVX512(...)
#endif

#define PYCNN_PER_BUILD(...)                   \
    namespace baseline {                       \
    __VA_ARGS__                                \
    }                                          \
    PYCNN_IF_AVX2(namespace avx2{__VA_ARGS__}) \
    PYCNN_IF_AVX512(namespace avx512{__VA_ARGS__})

// A pointer to the function of the instruction set in use; overloads need a cast around it.
#define PYCNN_BEST(function)                                                                       \
    (PYCNN_IF_AVX512(::pycnn::active_isa() == ::pycnn::Isa::avx512 ? &::pycnn::avx512::function :) \
         PYCNN_IF_AVX2(::pycnn::active_isa() == ::pycnn::Isa::avx2 ? &::pycnn::avx2::function :) & \
     ::pycnn::baseline::function)

#endif
