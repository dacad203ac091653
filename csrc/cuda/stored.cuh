// The elements of any dtype, chosen while a kernel runs: the branch is the same for a whole grid.
#pragma once

#include "common/array.h"
#include "cuda/numbers.cuh"

namespace pycnn::cuda {

// A truth value as stored.
struct Bool {
    uint8_t byte;
};

// `x` as stored, in a type to compute in, and back; a truth value is 0 or 1.
template <class A, class T>
__device__ __forceinline__ A widened(T x) {
    if constexpr (std::is_same_v<T, Bool>)
        return static_cast<A>(x.byte != 0);
    else
        return convert<A>(x);
}
template <class T, class A>
__device__ __forceinline__ T narrowed(A x) {
    if constexpr (std::is_same_v<T, Bool>)
        return Bool{x != 0};
    else
        return convert<T>(x);
}

// Calls function(T{}) with the stored type of a dtype, if `Accepted` has it.
template <DTypes Accepted = kAllDTypes, class F>
__device__ __forceinline__ void with_stored(DType dtype, F&& function) {
#define PYCNN_STORED(name, T)                                                                      \
    case DType::name:                                                                              \
        if constexpr ((Accepted & (1u << static_cast<unsigned>(DType::name))) != 0) function(T{}); \
        return;
    switch (dtype) {
        PYCNN_STORED(f16, Float16)
        PYCNN_STORED(bf16, BFloat16)
        PYCNN_STORED(f32, float)
        PYCNN_STORED(f64, double)
        PYCNN_STORED(i32, int32_t)
        PYCNN_STORED(i64, int64_t)
        PYCNN_STORED(u8, uint8_t)
        PYCNN_STORED(i8, int8_t)
        PYCNN_STORED(i16, int16_t)
        PYCNN_STORED(boolean, Bool)
    }
#undef PYCNN_STORED
}

}  // namespace pycnn::cuda
