// Stores past the caches, for outputs that no cache would keep: their lines are not read first.
#pragma once

#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA {

// Whether an output of `rows` rows of `row` elements is written so: it is large, and every vector
// of a row is aligned and whole.
template <class T>
bool streams(const T* data, int64_t rows, int64_t row) {
    constexpr int64_t kLeast = 24 * 1024 * 1024;
    using A = Accumulation<T>;
    return sizeof(T) == sizeof(A) && row % kLanes<A> == 0 &&
           reinterpret_cast<uintptr_t>(data) % kVectorBytes == 0 &&
           rows * row * static_cast<int64_t>(sizeof(T)) >= kLeast;
}

// n elements, or a whole vector.
template <class T>
PYCNN_INLINE void store_some(T* to, Vec<Accumulation<T>> v, int n) {
    if (n == kLanes<Accumulation<T>>)
        store(to, v);
    else
        store(to, v, n);
}

template <bool Stream, class T>
PYCNN_INLINE void put(T* to, Vec<Accumulation<T>> v, int n) {
    if constexpr (Stream && sizeof(T) == sizeof(Accumulation<T>))
        stream(to, v);
    else
        store_some(to, v, n);
}

}  // namespace pycnn::PYCNN_ISA
