// The elements of any dtype, chosen while a kernel runs: the branch is the same for a whole grid.
#pragma once

#include <cstring>

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

// The dtypes that come N at a time.
template <class A>
constexpr DTypes kVectorDTypes =
    std::is_same_v<A, float>    ? kFloatDTypes & ~only(DType::f64) | only(DType::boolean)
    : std::is_same_v<A, double> ? only(DType::f64) | only(DType::f32) | only(DType::boolean)
                                : kAllDTypes & ~kFloatDTypes;

// N elements of one dtype as loaded: 16 bytes at most.
template <int N>
struct Loaded {
    uint32_t words[N == 1 ? 2 : 4];
};

template <class U, int N>
__device__ __forceinline__ void load_some(Loaded<N>& to, const void* array, int64_t at, int count,
                                          bool repeated) {
    if constexpr (sizeof(U) * N <= sizeof(Loaded<N>)) {
        const U* from = static_cast<const U*>(array) + at;
        Vector<U, N> v{};
        if (repeated) {
            v.v[0] = *from;
        } else if (count == N) {
            v = load_vector<U, N>(from);
        } else {
#pragma unroll
            for (int j = 0; j < N; ++j)
                if (j < count) v.v[j] = from[j];
        }
        std::memcpy(to.words, &v, sizeof v);
    }
}

// Not converted yet, so that the next input's load does not wait for it.
template <int N>
__device__ __forceinline__ void load_bytes(Loaded<N>& to, const void* array, int64_t at, int bytes,
                                           int count, bool repeated) {
    switch (bytes) {
        case 1: return load_some<uint8_t>(to, array, at, count, repeated);
        case 2: return load_some<uint16_t>(to, array, at, count, repeated);
        case 4: return load_some<uint32_t>(to, array, at, count, repeated);
        default: return load_some<uint64_t>(to, array, at, count, repeated);
    }
}

template <class A, int N>
__device__ __forceinline__ void widen(A (&to)[N], const Loaded<N>& from, DType dtype,
                                      bool repeated) {
    constexpr DTypes kAccepted = N == 1 ? kAllDTypes : kVectorDTypes<A>;
    with_stored<kAccepted>(dtype, [&](auto t) {
        using T = decltype(t);
        if constexpr (sizeof(T) * N <= sizeof(Loaded<N>)) {
            Vector<T, N> v;
            std::memcpy(static_cast<void*>(&v), from.words, sizeof v);
#pragma unroll
            for (int j = 0; j < N; ++j) to[j] = widened<A>(repeated ? v.v[0] : v.v[j]);
        }
    });
}

}  // namespace pycnn::cuda
