// Depthwise convolution, wgrad.
//
// Computes   wgrad of cpu/conv2d.h where every channel has one filter of its own
// Arrays     any strides; bands of rows of x and dy are copied into tiles (cpu/conv2d_tiles.h)
// Threads    one task per (part of the images, chunk of channels)
// Tiling     the sums of all taps of a 3x3 filter, of some rows of taps of a wider one, in
//            registers over all pixels of a band; 4 pixels of dy meet each vector of x at once
// Traffic    3x3: 22 loads for 36 fused multiplications of a vector
// Numerics   sums of a band, of a part and of the parts, in order: deterministic for a number of
//            threads; float32 for the halves
// Refuses    more than one filter per channel; strides above 32; padding and dilation far larger
//            than the image
// Source     Chollet 2017, arXiv:1610.02357
#include "cpu/conv2d.h"
#include "cpu/conv2d_tiles.h"

namespace pycnn::PYCNN_ISA {
namespace {

constexpr int kPixels = 4;

// One vector of channels of both tiles, from the first pixel on.
template <class T>
struct Band {
    const T *x, *dy;
    int64_t x_tap_row, x_row, x_column, x_pixel, dy_row, rows, pixels;
};

// What kPixels of dy next to each other add to the sums of kTapRows rows of S taps.
template <int S, int kStride, int kPixels, int kTapRows, class T>
PYCNN_INLINE void add_pixels(const T* in, int64_t tap_row, const T* given,
                             Vec<T> (&acc)[kTapRows][S]) {
    constexpr int kCount = kLanes<T>;
    Vec<T> d[kPixels];
    for (int i = 0; i < kPixels; ++i) d[i] = load(given + i * kCount);
    unrolled<kTapRows>([&](auto row) {
        const T* from = in + row * tap_row;
        unrolled<(kPixels - 1) * kStride + S>([&](auto j) {
            const Vec<T> v = load(from + j * kCount);
            unrolled<S>([&](auto s) {
                constexpr int i = j - s;
                if constexpr (i >= 0 && i % kStride == 0 && i / kStride < kPixels)
                    acc[row][s] = fma(v, d[i / kStride], acc[row][s]);
            });
        });
    });
}

// Adds all of them. No pixel past the last is read, not even to be
// multiplied by zero: what lies there may be infinite.
template <int S, int kStride, int kTapRows, class T>
void add_taps(const Band<T>& b, int64_t r, T* sums) {
    constexpr int kCount = kLanes<T>;
    Vec<T> acc[kTapRows][S]{};
    for (int64_t p = 0; p < b.rows; ++p) {
        const T* given = b.dy + p * b.dy_row;
        const T* in = b.x + r * b.x_tap_row + p * b.x_row;
        int64_t q = 0;
        for (; q + kPixels <= b.pixels; q += kPixels)
            add_pixels<S, kStride, kPixels>(in + q * b.x_pixel, b.x_tap_row, given + q * kCount,
                                            acc);
        for (; q < b.pixels; ++q)
            add_pixels<S, kStride, 1>(in + q * b.x_pixel, b.x_tap_row, given + q * kCount, acc);
    }
    for (int row = 0; row < kTapRows; ++row)
        for (int s = 0; s < S; ++s) {
            T* to = sums + ((r + row) * S + s) * kCount;
            store(to, load(to) + acc[row][s]);
        }
}

// All taps of a filter with S columns.
template <int S, int kStride, int kTapRows, class T>
void add_filter(const Band<T>& b, int64_t R, T* sums) {
    int64_t r = 0;
    for (; r + kTapRows <= R; r += kTapRows) add_taps<S, kStride, kTapRows>(b, r, sums);
    for (; r < R; ++r) add_taps<S, kStride, 1>(b, r, sums);
}

// Any filter, tap by tap.
template <class T>
void add_any(const Band<T>& b, int64_t R, int64_t S, T* sums) {
    constexpr int kCount = kLanes<T>;
    for (int64_t r = 0; r < R; ++r)
        for (int64_t s = 0; s < S; ++s) {
            Vec<T> acc[kPixels]{};
            const T* x = b.x + r * b.x_tap_row + s * b.x_column;
            const auto add = [&](int i, int64_t p, int64_t q) {
                acc[i] = fma(load(x + p * b.x_row + q * b.x_pixel),
                             load(b.dy + p * b.dy_row + q * kCount), acc[i]);
            };
            for (int64_t p = 0; p < b.rows; ++p) {
                int64_t q = 0;
                for (; q + kPixels <= b.pixels; q += kPixels)
                    for (int i = 0; i < kPixels; ++i) add(i, p, q + i);
                for (; q < b.pixels; ++q) add(0, p, q);
            }
            T* to = sums + (r * S + s) * kCount;
            store(to, load(to) + ((acc[0] + acc[1]) + (acc[2] + acc[3])));
        }
}

template <class T>
void add_band(const Conv2dParams& g, const Band<T>& b, T* sums) {
    constexpr bool kMany = kRegisters >= 32;
    const int64_t columns = g.dilation_w == 1 ? g.S : 0, stride = g.stride_w;
    if (columns == 3 && stride == 1) return add_filter<3, 1, 3>(b, g.R, sums);
    if (columns == 3 && stride == 2) return add_filter<3, 2, 3>(b, g.R, sums);
    if (columns == 5 && stride == 1) return add_filter<5, 1, kMany ? 5 : 2>(b, g.R, sums);
    if (columns == 5 && stride == 2) return add_filter<5, 2, kMany ? 5 : 2>(b, g.R, sums);
    if (columns == 7 && stride == 1) return add_filter<7, 1, kMany ? 3 : 1>(b, g.R, sums);
    if (columns == 7 && stride == 2) return add_filter<7, 2, kMany ? 3 : 1>(b, g.R, sums);
    add_any(b, g.R, g.S, sums);
}

template <class Stored>
void wgrad(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy, const ArrayView& dw) {
    using T = Accumulation<Stored>;
    constexpr int kCount = kLanes<T>;
    const int64_t taps = g.R * g.S;
    const PartialSums<T> sums = tiled_wgrad<T, Stored>(
        g, x, dy, 1, taps * kCount, static_cast<double>(taps) / 5, 4,
        [&](const Tile<T>& from, const Tile<T>& with, int64_t vectors, T* to) {
            for (int64_t v = 0; v < vectors; ++v) {
                const Band<T> band{from.data + v * from.vector_step(),
                                   with.data + v * with.vector_step(),
                                   g.dilation_h * from.row_step(),
                                   g.stride_h * from.row_step(),
                                   g.dilation_w * kCount,
                                   g.stride_w * kCount,
                                   with.row_step(),
                                   with.window.rows,
                                   with.window.columns};
                add_band(g, band, to + v * taps * kCount);
            }
        });
    for (int64_t vector = 0; vector < sums.vectors; ++vector)
        for (int64_t tap = 0; tap < taps; ++tap) {
            const Vec<T> all = sums.total(vector, tap * kCount);
            auto* to = static_cast<Stored*>(dw.data) + vector * kCount * dw.strides[0] +
                       tap / g.S * dw.strides[2] + tap % g.S * dw.strides[3];
            const int64_t lanes = std::min<int64_t>(kCount, g.C - vector * kCount);
            for (int64_t lane = 0; lane < lanes; ++lane)
                to[lane * dw.strides[0]] = static_cast<Stored>(all[lane]);
        }
}

}  // namespace

void conv2d_wgrad_depthwise(const Conv2dParams& p, const ArrayView& x, const ArrayView& dy,
                            const ArrayView& dw, const EpilogueView&) {
    check_depthwise(p);
    check_tiles(p);
    with_float_dtype(dw.dtype, [&](auto t) { wgrad<decltype(t)>(p, x, dy, dw); });
}

}  // namespace pycnn::PYCNN_ISA
