// Transposes, a square of vectors at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA {

// The first halves of two vectors, lane by lane in turn; or the second halves.
template <bool Second, class V, int... I>
PYCNN_INLINE V interleaved(V a, V b, std::integer_sequence<int, I...>) {
    constexpr int lanes = sizeof...(I);
    constexpr int from = Second ? lanes / 2 : 0;
    return __builtin_shufflevector(a, b, (from + I / 2 + I % 2 * lanes)...);
}

// Lane j of vector i becomes lane i of vector j.
template <class T>
PYCNN_INLINE void transpose_square(Vec<T> (&v)[kLanes<T>]) {
    constexpr int n = kLanes<T>;
    using Lanes = std::make_integer_sequence<int, n>;
#pragma GCC unroll 4
    for (int done = 1; done < n; done *= 2) {
        Vec<T> next[n];
#pragma GCC unroll 8
        for (int i = 0; i < n / 2; ++i) {
            next[2 * i] = interleaved<false>(v[i], v[i + n / 2], Lanes{});
            next[2 * i + 1] = interleaved<true>(v[i], v[i + n / 2], Lanes{});
        }
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i) v[i] = next[i];
    }
}

// to[j * to_step + i] = from[i * from_step + j] for i < rows, j < columns; halves on either side
// are widened and rounded.
template <class T, class From, class To>
void transpose(const From* from, int64_t from_step, int64_t rows, int64_t columns, To* to,
               int64_t to_step) {
    constexpr int n = kLanes<T>;
    for (int64_t j = 0; j < columns; j += n) {
        const int width = static_cast<int>(std::min<int64_t>(n, columns - j));
        for (int64_t i = 0; i < rows; i += n) {
            const int height = static_cast<int>(std::min<int64_t>(n, rows - i));
            Vec<T> square[n];
#pragma GCC unroll 16
            for (int k = 0; k < n; ++k) {
                const From* row = from + (i + std::min(k, height - 1)) * from_step + j;
                square[k] = width == n ? load(row) : load(row, width);
            }
            transpose_square<T>(square);
            To* column = to + j * to_step + i;
            if (width == n && height == n) {
#pragma GCC unroll 16
                for (int k = 0; k < n; ++k, column += to_step) store(column, square[k]);
            } else {
#pragma GCC unroll 16
                for (int k = 0; k < n; ++k, column += to_step)
                    if (k < width) store(column, square[k], height);
            }
        }
    }
}

}  // namespace pycnn::PYCNN_ISA
