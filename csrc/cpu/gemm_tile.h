// The register tile of a matrix product, and the panels it reads.
#pragma once

#include <utility>

#include "cpu/matrix.h"
#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA {

// 14 x 2 accumulators, two vectors of b and one broadcast of a are 31 registers of 32; of 16, 6
// x 2.
constexpr int kTileRows = kRegisters >= 32 ? 14 : 6;
constexpr int kTileVectors = 2;
template <class T>
constexpr int kTileColumns = kTileVectors * kLanes<T>;
// The rows of a packed panel of a: whole vectors.
template <class T>
constexpr int kPanelRows = (kTileRows + kLanes<T> - 1) / kLanes<T> * kLanes<T>;

// c = (or +=) a * b for kRows rows and kVectors vectors of columns. a[i*row + k*next] is an element
// of a; b has a row of vectors at b + k*b_next.
template <class T, int kRows, int kVectors>
void tile(int64_t depth, const T* a, int64_t row, int64_t next, const T* b, int64_t b_next, T* c,
          int64_t c_row, bool add) {
    Vec<T> acc[kRows][kVectors];
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) acc[i][v] = zero<T>();
    // Three pointers and two multiples of `row` address all rows.
    const T *first = a, *sixth = a + 5 * row, *eleventh = a + 10 * row;
    constexpr int64_t line = 64 / sizeof(T);
    for (int64_t k = 0; k < depth;) {
        // The rows of the next tile come a line at a time while this one is worked on.
        if (next == 1)
#pragma GCC unroll 16
            for (int i = 0; i < kRows; ++i) __builtin_prefetch(first + (kRows + i) * row);
        const int64_t end = std::min(depth, k + line);
        for (; k < end; ++k) {
            Vec<T> column[kVectors];
#pragma GCC unroll 2
            for (int v = 0; v < kVectors; ++v) column[v] = load(b + v * kLanes<T>);
#pragma GCC unroll 16
            for (int i = 0; i < kRows; ++i) {
                const T* from = i < 5 ? first : i < 10 ? sixth : eleventh;
                const Vec<T> x = broadcast(from[i % 5 * row]);
#pragma GCC unroll 2
                for (int v = 0; v < kVectors; ++v) acc[i][v] = fma(x, column[v], acc[i][v]);
            }
            first += next, sixth += next, eleventh += next;
            b += b_next;
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
            T* to = c + i * c_row + v * kLanes<T>;
            store(to, add ? acc[i][v] + load(to) : acc[i][v]);
        }
}

template <class T>
using Tile = void (*)(int64_t, const T*, int64_t, int64_t, const T*, int64_t, T*, int64_t, bool);

// The tile of that many rows, 1 to kTileRows, and vectors, 1 or 2.
template <class T, int... kRows>
Tile<T> find_tile(int rows, int vectors, std::integer_sequence<int, kRows...>) {
    static constexpr Tile<T> tiles[kTileVectors][kTileRows] = {{tile<T, kRows + 1, 1>...},
                                                               {tile<T, kRows + 1, 2>...}};
    return tiles[vectors - 1][rows - 1];
}
template <class T>
Tile<T> find_tile(int rows, int vectors) {
    return find_tile<T>(rows, vectors, std::make_integer_sequence<int, kTileRows>{});
}

// --- kLanes x kLanes elements turned over in registers -------------------------------------------

// Lanes of a and b by turns, kStep of either: with `kSecond` those that the other call leaves out.
template <bool kSecond, int kStep, class V, int... kLane>
PYCNN_INLINE V interleave(V a, V b, std::integer_sequence<int, kLane...>) {
    constexpr int lanes = sizeof...(kLane);
    if constexpr (kSecond)
        return __builtin_shufflevector(a, b, (kLane & kStep ? kLane + lanes : kLane + kStep)...);
    else
        return __builtin_shufflevector(a, b, (kLane & kStep ? kLane - kStep + lanes : kLane)...);
}

template <class T, int kStep = kLanes<T> / 2>
PYCNN_INLINE void transpose(Vec<T>* rows) {
    if constexpr (kStep >= 1) {
        constexpr std::make_integer_sequence<int, kLanes<T>> lanes{};
#pragma GCC unroll 16
        for (int i = 0; i < kLanes<T>; ++i) {
            if (i & kStep) continue;
            const Vec<T> a = rows[i], b = rows[i + kStep];
            rows[i] = interleave<false, kStep>(a, b, lanes);
            rows[i + kStep] = interleave<true, kStep>(a, b, lanes);
        }
        transpose<T, kStep / 2>(rows);
    }
}

}  // namespace pycnn::PYCNN_ISA
