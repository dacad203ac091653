// The inner loop of wgrad: a tile of dw, kept in registers, takes one rank-1 update per pixel.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA {

// The tallest tile and its width in vectors: with a broadcast and two loads, all the registers.
constexpr int kTileRows = kRegisters == 32 ? 14 : 6;
constexpr int kTileVectors = 2;

// Pixel j of row i of a block lies at data + rows[i] + j * step.
template <class T>
struct PixelWalk {
    const T* data;
    const int64_t* rows;
    int64_t step;
};

// out[m, v] (+)= sum over the pixels of a[m] * b[v], for Rows values a, next to each other, and
// Vectors vectors b of every pixel. The rows of out are out_step apart; of a row's last vector only
// `last` lanes are stored.
template <class T, int Rows, int Vectors>
void add_outer_products(const PixelWalk<T>& a, const PixelWalk<T>& b, int64_t rows, int64_t columns,
                        T* out, int64_t out_step, int last, bool add) {
    Vec<T> acc[Rows][Vectors];
#pragma GCC unroll 14
    for (int m = 0; m < Rows; ++m)
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) acc[m][v] = zero<T>();
    // By the time of the sums at the end, what they are added to is in the cache.
    const T* soon = out;
#pragma GCC unroll 1
    for (int m = 0; m < Rows; ++m, soon += out_step)
        for (int v = 0; v < Vectors; ++v) __builtin_prefetch(soon + v * kLanes<T>, 1);
    for (int64_t i = 0; i < rows; ++i) {
        const T* left = a.data + a.rows[i];
        const T* right = b.data + b.rows[i];
        for (int64_t j = columns; j > 0; --j) {
            Vec<T> wide[Vectors];
#pragma GCC unroll 2
            for (int v = 0; v < Vectors; ++v) wide[v] = load(right + v * kLanes<T>);
#pragma GCC unroll 14
            for (int m = 0; m < Rows; ++m) {
                const Vec<T> one = broadcast(left[m]);
#pragma GCC unroll 2
                for (int v = 0; v < Vectors; ++v) acc[m][v] = fma(one, wide[v], acc[m][v]);
            }
            left += a.step;
            right += b.step;
        }
    }
#pragma GCC unroll 14
    for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) {
            T* to = out + v * kLanes<T>;
            if (v < Vectors - 1 || last == kLanes<T>)
                store(to, add ? load(to) + acc[m][v] : acc[m][v]);
            else
                store(to, add ? load(to, last) + acc[m][v] : acc[m][v], last);
        }
        out += out_step;
        __asm__("" : "+r"(out));  // one pointer, not one for each row
    }
}

template <class T>
using OuterProducts = void (*)(const PixelWalk<T>&, const PixelWalk<T>&, int64_t, int64_t, T*,
                               int64_t, int, bool);

template <class T, int Vectors, int... Row>
constexpr std::array<OuterProducts<T>, sizeof...(Row)> tiles_of_height(
    std::integer_sequence<int, Row...>) {
    return {&add_outer_products<T, Row + 1, Vectors>...};
}

// The tile of the given height and width.
template <class T>
OuterProducts<T> tile(int64_t rows, int64_t vectors) {
    using Heights = std::make_integer_sequence<int, kTileRows>;
    static constexpr auto narrow = tiles_of_height<T, 1>(Heights{});
    static constexpr auto wide = tiles_of_height<T, 2>(Heights{});
    return (vectors == 1 ? narrow : wide)[static_cast<size_t>(rows - 1)];
}

}  // namespace pycnn::PYCNN_ISA
