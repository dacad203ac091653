// Convolution in small groups, wgrad: 4, 8, 16 or 32 channels per group.
//
// Computes   wgrad of cpu/conv2d.h where a group has as many filters as channels
// Arrays     any strides; bands of rows of x and dy are copied into tiles (cpu/conv2d_tiles.h)
// Threads    one task per (part of the images, chunk of channels)
// Tiling     the sums of 3 columns of taps at 4 distances of lanes in registers, over all pixels of
//            a band; how x's lanes meet dy's: cpu/conv2d_grouped.cpp. Where groups fill vectors,
//            the sums of 3 columns for 8 channels of x (4 with 16 registers), each broadcast
// Traffic    3x3, 4 per group: 3 exchanges and 1 load for 12 fused multiplications of a vector;
//            16 per group: 48 broadcasts and 4 loads for 96
// Numerics   sums of a band, of a part and of the parts, in order: deterministic for a number of
//            threads; float32 for the halves
// Refuses    as cpu/conv2d_grouped.cpp
// Source     as cpu/conv2d_grouped.cpp
#include "cpu/conv2d.h"
#include "cpu/conv2d_grouped.h"

namespace pycnn::PYCNN_ISA {
namespace {

constexpr int kPixels = 4;

// What one row of taps sums: the first pixel of x it meets and of dy, in one vector of channels.
template <class T>
struct Band {
    const T *x, *dy;
    int64_t x_row, x_pixel, dy_row, rows, pixels;
};

// What kPixels of dy next to each other add to the sums of S columns of taps; x's vectors lie
// `step` apart.
template <int S, int kStride, int kSpan, int kFirst, int kStep, int kPixels, class T>
PYCNN_INLINE void add_pixels(const T* in, int64_t step, const T* given, Vec<T> (&acc)[S][kStep]) {
    Vec<T> d[kPixels];
    for (int i = 0; i < kPixels; ++i) d[i] = load(given + i * kLanes<T>);
    unrolled<S == 1 ? kPixels : (kPixels - 1) * kStride + S>([&](auto j) {
        const auto add = [&](auto e, Vec<T> met) {
            unrolled<S>([&](auto s) {
                constexpr int i = j - s;
                if constexpr (i >= 0 && i % kStride == 0 && i / kStride < kPixels)
                    acc[s][e] = fma(met, d[i / kStride], acc[s][e]);
            });
        };
        if constexpr (kFills<kSpan, T>) {
            unrolled<kStep>([&](auto e) { add(e, broadcast(in[j * step + kFirst + e])); });
        } else {
            const Vec<T> v = exchange_lanes<kFirst>(load(in + j * step));
            unrolled<kStep>([&](auto e) { add(e, exchange_lanes<e>(v)); });
        }
    });
}

// Adds to the sums of S columns of taps, at distances [kFirst, kFirst + kStep). No pixel past the
// last is read, not even to be multiplied by zero: what lies there may be infinite.
template <int S, int kStride, int kSpan, int kFirst, int kStep, class T>
void add_taps(const Band<T>& b, T* sums, int64_t tap) {
    constexpr int kCount = kLanes<T>;
    Vec<T> acc[S][kStep]{};
    const int64_t step = S == 1 ? b.x_pixel : kCount;
    for (int64_t p = 0; p < b.rows; ++p) {
        const T *in = b.x + p * b.x_row, *given = b.dy + p * b.dy_row;
        int64_t q = 0;
        for (; q + kPixels <= b.pixels; q += kPixels)
            add_pixels<S, kStride, kSpan, kFirst, kStep, kPixels>(in + q * b.x_pixel, step,
                                                                  given + q * kCount, acc);
        for (; q < b.pixels; ++q)
            add_pixels<S, kStride, kSpan, kFirst, kStep, 1>(in + q * b.x_pixel, step,
                                                            given + q * kCount, acc);
    }
    for (int s = 0; s < S; ++s)
        for (int e = 0; e < kStep; ++e) {
            T* to = sums + s * tap + (kFirst + e) * kCount;
            store(to, load(to) + acc[s][e]);
        }
}

template <int S, int kStride, int kSpan, class T>
void add_distances(const Band<T>& b, T* sums) {
    constexpr int kMost = kFills<kSpan, T> && kRegisters == 32 ? 8 : 4;
    constexpr int kStep = std::min(kMost, kSpan);
    unrolled<kSpan / kStep>([&](auto part) {
        add_taps<S, kStride, kSpan, part * kStep, kStep>(b, sums, kSpan * kLanes<T>);
    });
}

template <int kSpan, class T>
void add_tiles(const Conv2dParams& g, const Arrangement& order, const Tile<T>& x, const Tile<T>& dy,
               int64_t vectors, T* sums) {
    constexpr int kCount = kLanes<T>;
    for (int64_t vector = 0; vector < vectors; ++vector)
        for (int64_t input = 0; input < order.vectors_per_group; ++input)
            for (int64_t r = 0; r < g.R; ++r) {
                const int64_t group = vector / order.vectors_per_group * order.vectors_per_group;
                Band<T> band{
                    x.data + (group + input) * x.vector_step() + r * g.dilation_h * x.row_step(),
                    dy.data + vector * dy.vector_step(),
                    g.stride_h * x.row_step(),
                    g.stride_w * kCount,
                    dy.row_step(),
                    dy.window.rows,
                    dy.window.columns};
                T* to = sums + vector * order.length() + order.tap(input, r, 0);
                if (g.S == 3 && g.dilation_w == 1 && g.stride_w == 1)
                    add_distances<3, 1, kSpan>(band, to);
                else if (g.S == 3 && g.dilation_w == 1 && g.stride_w == 2)
                    add_distances<3, 2, kSpan>(band, to);
                else
                    for (int64_t s = 0; s < g.S; ++s) {
                        add_distances<1, 1, kSpan>(band, to + s * kSpan * kCount);
                        band.x += g.dilation_w * kCount;
                    }
            }
}

template <class Stored>
void wgrad(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy, const ArrayView& dw) {
    using T = Accumulation<Stored>;
    constexpr int kCount = kLanes<T>;
    const Arrangement order(g, kCount);
    const double cost = static_cast<double>(order.per_group * g.R * g.S) / 5;
    with_span<T>(order.span, [&](auto span) {
        const PartialSums<T> sums = tiled_wgrad<T, Stored>(
            g, x, dy, order.vectors_per_group, order.length(), cost, kFills<span, T> ? 16 : 4,
            [&](const Tile<T>& from, const Tile<T>& with, int64_t vectors, T* to) {
                add_tiles<span>(g, order, from, with, vectors, to);
            });
        parallel_for(order.vectors(), static_cast<double>(order.length()), [&](int64_t vector) {
            for (int64_t input = 0; input < order.vectors_per_group; ++input)
                for (int64_t r = 0; r < g.R; ++r)
                    for (int64_t s = 0; s < g.S; ++s) {
                        Vec<T> tap[span];
                        for (int d = 0; d < span; ++d)
                            tap[d] = sums.total(vector, order.tap(input, r, s) + d * kCount);
                        Stored* to = static_cast<Stored*>(dw.data) +
                                     vector * kCount * dw.strides[0] + r * dw.strides[2] +
                                     s * dw.strides[3];
                        if constexpr (kFills<span, T>)
                            if (dw.strides[1] == 1) {
                                transpose<T>(tap);
                                for (int lane = 0; lane < kCount; ++lane)
                                    store(to + lane * dw.strides[0] + input * kCount, tap[lane]);
                                continue;
                            }
                        const int64_t lanes = std::min<int64_t>(kCount, g.K - vector * kCount);
                        for (int d = 0; d < span; ++d)
                            for (int64_t lane = 0; lane < lanes; ++lane) {
                                const int64_t c = order.input_channel(vector, input, lane, d);
                                to[lane * dw.strides[0] + c * dw.strides[1]] =
                                    static_cast<Stored>(tap[d][lane]);
                            }
                    }
        });
    });
}

}  // namespace

void conv2d_wgrad_grouped(const Conv2dParams& p, const ArrayView& x, const ArrayView& dy,
                          const ArrayView& dw, const EpilogueView&) {
    check_grouped(p);
    with_float_dtype(dw.dtype, [&](auto t) { wgrad<decltype(t)>(p, x, dy, dw); });
}

}  // namespace pycnn::PYCNN_ISA
