// The numbers kernels load, compute with and store.
#pragma once

#include "common/half.h"
#include "cuda/machine.cuh"

namespace pycnn::cuda {

// `x` as To: halves to and from float, rounding to nearest even; the rest as C++ converts.
template <class To, class From>
__device__ __forceinline__ To convert(From x) {
    constexpr bool from_half = std::is_same_v<From, Float16> || std::is_same_v<From, BFloat16>;
    constexpr bool to_half = std::is_same_v<To, Float16> || std::is_same_v<To, BFloat16>;
    if constexpr (std::is_same_v<To, From>)
        return x;
    else if constexpr (from_half && to_half)
        return from_float<To>(to_float(x));
    else if constexpr (from_half)
        return static_cast<To>(to_float(x));
    else if constexpr (to_half)
        return from_float<To>(static_cast<float>(x));
    else
        return static_cast<To>(x);
}

// N elements that are loaded and stored at once; an array of them lies on a multiple of its size.
template <class T, int N>
struct alignas(sizeof(T) * N) Vector {
    T v[N];
};

// The widest access of a GPU holds this many elements.
template <class T>
constexpr int kWidth = 16 / static_cast<int>(sizeof(T));

template <class T, int N>
__device__ __forceinline__ Vector<T, N> load_vector(const T* from) {
    return *reinterpret_cast<const Vector<T, N>*>(from);
}
template <class T, int N>
__device__ __forceinline__ void store_vector(T* to, const Vector<T, N>& vector) {
    *reinterpret_cast<Vector<T, N>*>(to) = vector;
}

}  // namespace pycnn::cuda
