// The register tile of the direct convolution: a few pixels of two rows or of one, times one or two
// vectors of output channels, over a list of filter taps.
//
// Per step of the reduction: V loads of packed weights, one broadcast per pixel, V fma() per pixel.
// The pixels are two runs with a common step, so that the addresses of a step are two moving
// pointers and a few constant multiples of the step; where the two runs lie is the caller's affair.
#pragma once

#include <array>
#include <utility>

#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA {

// 14 x 2 accumulators, 2 weights and a broadcast are 31 of 32 registers; 6 x 2 are 15 of 16.
constexpr int kTilePixels = kRegisters == 32 ? 14 : 6;
constexpr int kTileVectors = 2;

// The pixels of the first of the two runs that make a tile of `pixels`.
constexpr int first_run(int pixels) { return (pixels + 1) / 2; }

template <class T>
struct TileInput {
    const T *run0, *run1;    // the first pixel of each run, at tap offset 0
    int64_t step;            // from a pixel of a run to the next, in elements
    const int64_t* offsets;  // of each tap, in elements
    int64_t taps, depth;     // each tap reads `depth` consecutive elements of every pixel
    const T* weights;        // [taps][depth][V vectors], aligned to a vector
};

// Where a tile's sums go: whole vectors, next to each other in a pixel.
template <class T>
struct TileOutput {
    T *run0, *run1;  // the first pixel of each run
    int64_t step;    // from a pixel of a run to the next, in elements
    bool stream;     // past the caches; all pixels are aligned to a vector
};

// The sums of a tile as an array [pixel][vector].
template <class T>
TileOutput<T> dense_tile(T* sums, int64_t pixels, int vectors) {
    const int64_t step = vectors * kLanes<T>;
    return {sums, sums + first_run(static_cast<int>(pixels)) * step, step, false};
}

template <class T>
using Tile = void (*)(const TileInput<T>&, const T* sums, const TileOutput<T>&);

// out = sums[pixel][vector], or zero where that is null, + sum over the taps and their depth.
template <class T, int Pixels, int V>
__attribute__((noinline)) void tile(const TileInput<T>& in, const T* sums,
                                    const TileOutput<T>& out) {
    constexpr int kFirst = first_run(Pixels), kSecond = Pixels - kFirst;
    Vec<T> acc[Pixels][V];
    if (sums) {
#pragma GCC unroll 14
        for (int i = 0; i < Pixels; ++i)
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) acc[i][v] = load(sums + (i * V + v) * kLanes<T>);
    } else {
#pragma GCC unroll 14
        for (int i = 0; i < Pixels; ++i)
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) acc[i][v] = zero<T>();
    }
    const T* weights = in.weights;
    const int64_t step = in.step, depth = in.depth;
    for (int64_t tap = 0; tap < in.taps; ++tap) {
        const T* a = in.run0 + in.offsets[tap];
        const T* b = in.run1 + in.offsets[tap];
        for (int64_t d = 0; d < depth; ++d) {
            Vec<T> w[V];
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) w[v] = load(weights + v * kLanes<T>);
#pragma GCC unroll 7
            for (int i = 0; i < kFirst; ++i) {
                const Vec<T> x = broadcast(a[i * step]);
#pragma GCC unroll 2
                for (int v = 0; v < V; ++v) acc[i][v] = fma(x, w[v], acc[i][v]);
            }
#pragma GCC unroll 7
            for (int i = 0; i < kSecond; ++i) {
                const Vec<T> x = broadcast(b[i * step]);
#pragma GCC unroll 2
                for (int v = 0; v < V; ++v) acc[kFirst + i][v] = fma(x, w[v], acc[kFirst + i][v]);
            }
            weights += V * kLanes<T>;
            ++a, ++b;
        }
    }
    const auto put = [&](auto&& one) __attribute__((always_inline)) {
        T* to = out.run0;
#pragma GCC unroll 14
        for (int i = 0; i < Pixels; ++i) {
            if (i == kFirst) to = out.run1;
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) one(to + v * kLanes<T>, acc[i][v]);
            to += out.step;
            __asm__("" : "+r"(to));  // one pointer, not one for each pixel
        }
    };
    if (out.stream)
        put([](T* to, Vec<T> sum) __attribute__((always_inline)) { stream(to, sum); });
    else
        put([](T* to, Vec<T> sum) __attribute__((always_inline)) { store(to, sum); });
}

template <class T, int V, int... I>
constexpr std::array<Tile<T>, sizeof...(I)> tiles_of(std::integer_sequence<int, I...>) {
    return {tile<T, I + 1, V>...};
}

// The tile of 1 to kTilePixels pixels and 1 or 2 vectors.
template <class T>
Tile<T> tile_of(int64_t pixels, int vectors) {
    using Sizes = std::make_integer_sequence<int, kTilePixels>;
    static constexpr auto kOne = tiles_of<T, 1>(Sizes{}), kTwo = tiles_of<T, 2>(Sizes{});
    return (vectors == 1 ? kOne : kTwo)[static_cast<size_t>(pixels - 1)];
}

}  // namespace pycnn::PYCNN_ISA
