// Max pooling and its gradient: one byte per output remembers which tap won.
//
// Computes   y[n,c,p,q] = max of x over the window of (p,q); offsets = r*S + s of the tap taken
//            dx[n,c,h,w] = sum of dy over the windows whose offset names the pixel (h,w)
// Arrays     x, dx (N,C,H,W)  y, dy, offsets (N,C,P,Q); any strides; f16, bf16, f32, f64, in fprop
//            also integers; offsets uint8, int32 above 256 taps
// Grid       x: 128 threads a block over images x pixels x groups of channels; neighbours differ in
//            their channels where those lie closer than pixels, else in their column
// Tiling     a group is 16 bytes of channels where every array has whole vectors of them, else one.
//            square: K x K windows of dilation 1; fprop loads all K*K taps before it compares any.
//            blocks: dgrad of K x K windows with one STRIDE; a thread owns the STRIDE x STRIDE
//            pixels that lie in the same ceil(K/STRIDE)^2 windows, and reads each of those once.
//            gather: loops over the taps of a window, or the windows around a pixel
// Traffic    fprop HW + PQ elements and PQ bytes per channel, taps that overlap from the L1 cache;
//            dgrad PQ elements and PQ bytes read, HW elements written. ResNet's 3x3 stride 2 from
//            112x112x64 in halves, N = 32: 51 + 19 MB, about 1 comparison a byte: bandwidth, if
//            instructions are few, so that halves are compared two at a time
// Numerics   exact: the first of equal values, the last NaN; dgrad adds in float32 (float64), taps
//            ascending. No atomics; the same bits in every run
// Refuses    nothing
// Source     Ranzato et al. 2007, "Unsupervised learning of invariant feature hierarchies"
#pragma once

#include <string.h>

#include <limits>
#include <type_traits>

#include "cuda/pool2d_windows.cuh"

namespace pycnn::cuda {

template <class A>
__device__ __forceinline__ A least() {
    if constexpr (std::is_integral_v<A>)
        return std::numeric_limits<A>::min();
    else
        return -std::numeric_limits<A>::infinity();
}

// The larger of best and value, and its tap; a NaN is larger than everything.
template <class A>
__device__ __forceinline__ void take(A& best, int& taken, A value, int tap) {
    const bool better = value > best || value != value;
    best = better ? value : best;
    taken = better ? tap : taken;
}

template <class T, class Offset>
struct MaxPool2dFprop {
    const T* x;
    T* y;
    Offset* offsets;
    ImageSteps x_steps, y_steps, offset_steps;
    Pixels pixels;  // of y
    PoolAxis<int> rows, columns;
};

// V channels of output `at`.
template <class T, class Offset, int V>
__device__ __forceinline__ void store_maxima(const MaxPool2dFprop<T, Offset>& p, const Pixel& at,
                                             const Vector<T, V>& best, const int (&taken)[V]) {
    Vector<Offset, V> taps;
#pragma unroll
    for (int v = 0; v < V; ++v) taps.v[v] = static_cast<Offset>(taken[v]);
    const int c = static_cast<int>(at.group) * V, row = static_cast<int>(at.row),
              column = static_cast<int>(at.column);
    const auto place = [&](const ImageSteps& s) {
        return at.n * s.n + (c * s.c + row * s.h + column * s.w);
    };
    store_vector(p.y + place(p.y_steps), best);
    store_vector(p.offsets + place(p.offset_steps), taps);
}

// The maxima of V channels over TAPS taps in order.
template <class T, int TAPS, int V>
__device__ __forceinline__ void take_all(const Vector<T, V> (&values)[TAPS], Vector<T, V>& best,
                                         int (&taken)[V]) {
    using A = Accumulation<T>;
#pragma unroll
    for (int v = 0; v < V; ++v) {
        A largest = least<A>();
        taken[v] = 0;
#pragma unroll
        for (int tap = 0; tap < TAPS; ++tap)
            take(largest, taken[v], convert<A>(values[tap].v[v]), tap);
        best.v[v] = convert<T>(largest);
    }
}

// The same for halves, two at a time: the maxima first, then, backwards, the taps equal to them.
// False where one is NaN, which equals nothing.
template <class T, int TAPS, int V>
__device__ __forceinline__ bool take_pairs(const Vector<T, V> (&values)[TAPS], Vector<T, V>& best,
                                           int (&taken)[V]) {
    constexpr int kPairs = V / 2;
    using Pairs = Vector<uint32_t, kPairs>;
    static_assert(sizeof(Pairs) == sizeof best, "two halves in a register");
    Pairs words[TAPS], largest, found{};
#pragma unroll
    for (int tap = 0; tap < TAPS; ++tap) memcpy(&words[tap], &values[tap], sizeof(Pairs));
    bool numbers = true;
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
        largest.v[i] = words[0].v[i];
#pragma unroll
        for (int tap = 1; tap < TAPS; ++tap)
            largest.v[i] = max_pair(largest.v[i], words[tap].v[i], T{});
        numbers = numbers && equal_pair(largest.v[i], largest.v[i], T{}) == 0xffffffffu;
    }
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
        uint32_t taps = 0;
#pragma unroll
        for (int tap = TAPS - 1; tap >= 0; --tap) {
            const uint32_t mask = equal_pair(words[tap].v[i], largest.v[i], T{});
            found.v[i] = (words[tap].v[i] & mask) | (found.v[i] & ~mask);  // 0 or -0, as it is
            taps = (static_cast<uint32_t>(tap) * 0x10001u & mask) | (taps & ~mask);
        }
        taken[2 * i] = static_cast<int>(taps & 0xffffu);
        taken[2 * i + 1] = static_cast<int>(taps >> 16);
    }
    memcpy(&best, &found, sizeof best);
    return numbers;
}

// A tap outside the image reads the nearest pixel inside, which another tap of the window reads
// too: the maximum stays, and where the order of taps named the copy, clamping the tap names the
// original.
template <class T, class Offset, int K, int V>
__global__ void __launch_bounds__(kPoolThreads)
    max_pool2d_fprop_square_kernel(MaxPool2dFprop<T, Offset> p) {
    static_assert(K * K <= 256, "a tap is a byte");
    const uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
    if (i >= p.pixels.count) return;
    const Pixel at = pixel_of(p.pixels, i);
    const int top = static_cast<int>(at.row) * p.rows.stride - p.rows.pad,
              left = static_cast<int>(at.column) * p.columns.stride - p.columns.pad;
    const T* x = p.x + at.n * p.x_steps.n + static_cast<int>(at.group) * V * p.x_steps.c;
    int columns[K];
#pragma unroll
    for (int s = 0; s < K; ++s) columns[s] = clamped(left + s, 0, p.columns.size - 1) * p.x_steps.w;
    Vector<T, V> values[K * K];
#pragma unroll
    for (int r = 0; r < K; ++r) {
        const int row = clamped(top + r, 0, p.rows.size - 1) * p.x_steps.h;
#pragma unroll
        for (int s = 0; s < K; ++s) values[r * K + s] = load_vector<T, V>(x + (row + columns[s]));
    }
    Vector<T, V> best;
    int taken[V];
    bool done = false;
    if constexpr (sizeof(T) == 2 && V > 1) done = take_pairs(values, best, taken);
    if (!done) take_all(values, best, taken);
    if (top < 0 || left < 0 || top + K > p.rows.size || left + K > p.columns.size) {
#pragma unroll
        for (int v = 0; v < V; ++v) {
            const int r = clamped(taken[v] / K, -top, p.rows.size - 1 - top),
                      s = clamped(taken[v] % K, -left, p.columns.size - 1 - left);
            taken[v] = r * K + s;
        }
    }
    store_maxima<T, Offset, V>(p, at, best, taken);
}

template <class T, class Offset, int V>
__global__ void __launch_bounds__(kPoolThreads)
    max_pool2d_fprop_gather_kernel(MaxPool2dFprop<T, Offset> p) {
    using A = Accumulation<T>;
    const uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
    if (i >= p.pixels.count) return;
    const Pixel at = pixel_of(p.pixels, i);
    const auto row = pool_window(p.rows, static_cast<int>(at.row)),
               column = pool_window(p.columns, static_cast<int>(at.column));
    const T* x = p.x + at.n * p.x_steps.n + static_cast<int>(at.group) * V * p.x_steps.c +
                 (row.start * p.x_steps.h + column.start * p.x_steps.w);
    const int down = p.rows.dilation * p.x_steps.h, along = p.columns.dilation * p.x_steps.w,
              S = p.columns.taps;
    A largest[V];
    int taken[V];
#pragma unroll
    for (int v = 0; v < V; ++v) {
        largest[v] = least<A>();
        taken[v] = row.first * S + column.first;
    }
    for (int r = 0; r < row.count; ++r) {
#pragma unroll 4
        for (int s = 0; s < column.count; ++s) {
            const auto value = load_vector<T, V>(x + (r * down + s * along));
            const int tap = (row.first + r) * S + column.first + s;
#pragma unroll
            for (int v = 0; v < V; ++v) take(largest[v], taken[v], convert<A>(value.v[v]), tap);
        }
    }
    Vector<T, V> best;
#pragma unroll
    for (int v = 0; v < V; ++v) best.v[v] = convert<T>(largest[v]);
    store_maxima<T, Offset, V>(p, at, best, taken);
}

template <class T, class Offset>
struct MaxPool2dDgrad {
    const T* dy;
    const Offset* offsets;
    T* dx;
    ImageSteps dy_steps, offset_steps, dx_steps;
    Pixels pixels;  // of dx; blocks: of STRIDE x STRIDE of them
    PoolAxis<int> rows, columns;
    int first_row, first_column;  // blocks: of the image's corner
};

// Block a of an axis holds the pixels a*STRIDE - pad + i, i < STRIDE, which are tap i + j*STRIDE of
// window a - j.
template <class T, int K, int STRIDE, int V>
__global__ void __launch_bounds__(kPoolThreads)
    max_pool2d_dgrad_blocks_kernel(MaxPool2dDgrad<T, uint8_t> p) {
    using A = Accumulation<T>;
    static_assert(K >= STRIDE && K * K < 255, "every pixel has a window; 255 is no tap");
    constexpr int kWindows = (K + STRIDE - 1) / STRIDE;
    const uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
    if (i >= p.pixels.count) return;
    const Pixel at = pixel_of(p.pixels, i);
    const int a = p.first_row + static_cast<int>(at.row),
              b = p.first_column + static_cast<int>(at.column), c = static_cast<int>(at.group) * V;
    const T* dy = p.dy + at.n * p.dy_steps.n + c * p.dy_steps.c;
    const uint8_t* offsets = p.offsets + at.n * p.offset_steps.n + c * p.offset_steps.c;
    Vector<T, V> given[kWindows][kWindows];
    Vector<uint8_t, V> taken[kWindows][kWindows];
#pragma unroll
    for (int j = 0; j < kWindows; ++j) {
        const int row = clamped(a - j, 0, p.rows.outputs - 1);
#pragma unroll
        for (int k = 0; k < kWindows; ++k) {
            const int column = clamped(b - k, 0, p.columns.outputs - 1);
            given[j][k] = load_vector<T, V>(dy + (row * p.dy_steps.h + column * p.dy_steps.w));
            taken[j][k] = load_vector<uint8_t, V>(
                offsets + (row * p.offset_steps.h + column * p.offset_steps.w));
        }
    }
    A sums[STRIDE][STRIDE][V] = {};
#pragma unroll
    for (int j = 0; j < kWindows; ++j)
#pragma unroll
        for (int k = 0; k < kWindows; ++k) {
            const bool exists =
                a - j >= 0 && a - j < p.rows.outputs && b - k >= 0 && b - k < p.columns.outputs;
#pragma unroll
            for (int v = 0; v < V; ++v) {
                const int tap = exists ? taken[j][k].v[v] : 255;
                const A value = convert<A>(given[j][k].v[v]);
#pragma unroll
                for (int r = j * STRIDE; r < (j + 1) * STRIDE && r < K; ++r)
#pragma unroll
                    for (int s = k * STRIDE; s < (k + 1) * STRIDE && s < K; ++s)
                        if (tap == r * K + s) sums[r - j * STRIDE][s - k * STRIDE][v] += value;
            }
        }
    T* dx = p.dx + at.n * p.dx_steps.n + c * p.dx_steps.c;
    store_pixels(dx, p.dx_steps, p.rows, p.columns, a * STRIDE - p.rows.pad,
                 b * STRIDE - p.columns.pad, sums);
}

template <class T, class Offset, int V>
__global__ void __launch_bounds__(kPoolThreads)
    max_pool2d_dgrad_gather_kernel(MaxPool2dDgrad<T, Offset> p) {
    using A = Accumulation<T>;
    const uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
    if (i >= p.pixels.count) return;
    const Pixel at = pixel_of(p.pixels, i);
    const int h = static_cast<int>(at.row), w = static_cast<int>(at.column),
              c = static_cast<int>(at.group) * V;
    const T* dy = p.dy + at.n * p.dy_steps.n + c * p.dy_steps.c;
    const Offset* offsets = p.offsets + at.n * p.offset_steps.n + c * p.offset_steps.c;
    A sums[V] = {};
    each_cover(p.rows, h, [&](int row, int r) {
        each_cover(p.columns, w, [&](int column, int s) {
            const auto given = load_vector<T, V>(dy + (row * p.dy_steps.h + column * p.dy_steps.w));
            const auto taken = load_vector<Offset, V>(
                offsets + (row * p.offset_steps.h + column * p.offset_steps.w));
            const int tap = r * p.columns.taps + s;
#pragma unroll
            for (int v = 0; v < V; ++v)
                if (static_cast<int>(taken.v[v]) == tap) sums[v] += convert<A>(given.v[v]);
        });
    });
    Vector<T, V> out;
#pragma unroll
    for (int v = 0; v < V; ++v) out.v[v] = convert<T>(sums[v]);
    store_vector(
        p.dx + at.n * p.dx_steps.n + (c * p.dx_steps.c + h * p.dx_steps.h + w * p.dx_steps.w), out);
}

// --- naive: an element a thread, as the formulas say --------------------------------------------

template <class T, class Offset>
struct NaiveMaxPool2d {
    ImageElements<T> pixels;  // fprop: x, dgrad: dx
    ImageElements<T> outputs;
    ImageElements<Offset> offsets;
    int64_t count, C;
    PoolAxis<int64_t> rows, columns;
};

template <class T, class Offset>
__global__ void __launch_bounds__(kPoolThreads)
    max_pool2d_fprop_naive_kernel(NaiveMaxPool2d<T, Offset> p) {
    using A = Accumulation<T>;
    const int64_t i = int64_t{blockIdx.x} * kPoolThreads + threadIdx.x;
    if (i >= p.count) return;
    const ElementIndex at = element_index(i, p.C, p.rows.outputs, p.columns.outputs);
    const auto row = pool_window(p.rows, at.h), column = pool_window(p.columns, at.w);
    const int64_t S = p.columns.taps;
    A best = least<A>();
    int taken = static_cast<int>(row.first * S + column.first);
    for (int64_t r = 0; r < row.count; ++r)
        for (int64_t s = 0; s < column.count; ++s)
            take(best, taken,
                 convert<A>(p.pixels.at(at.n, at.c, row.start + r * p.rows.dilation,
                                        column.start + s * p.columns.dilation)),
                 static_cast<int>((row.first + r) * S + column.first + s));
    p.outputs.at(at.n, at.c, at.h, at.w) = convert<T>(best);
    p.offsets.at(at.n, at.c, at.h, at.w) = static_cast<Offset>(taken);
}

template <class T, class Offset>
__global__ void __launch_bounds__(kPoolThreads)
    max_pool2d_dgrad_naive_kernel(NaiveMaxPool2d<T, Offset> p) {
    using A = Accumulation<T>;
    const int64_t i = int64_t{blockIdx.x} * kPoolThreads + threadIdx.x;
    if (i >= p.count) return;
    const ElementIndex at = element_index(i, p.C, p.rows.size, p.columns.size);
    A sum = 0;
    each_cover(p.rows, at.h, [&](int64_t row, int64_t r) {
        each_cover(p.columns, at.w, [&](int64_t column, int64_t s) {
            if (p.offsets.at(at.n, at.c, row, column) == r * p.columns.taps + s)
                sum += convert<A>(p.outputs.at(at.n, at.c, row, column));
        });
    });
    p.pixels.at(at.n, at.c, at.h, at.w) = convert<T>(sum);
}

}  // namespace pycnn::cuda
