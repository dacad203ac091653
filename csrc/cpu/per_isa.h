// Functions that exist once per instruction set, and the call of the one in use.
//
// A family's header declares its entry points with PYCNN_PER_ISA(...), its source defines them in
// namespace pycnn::PYCNN_ISA and is compiled once for each (CMakeLists.txt); a caller writes
// PYCNN_BEST(max_pool2d_fprop)(arguments...).
#pragma once

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

#define PYCNN_PER_ISA(...)                     \
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
