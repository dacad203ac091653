// Average pooling and its gradient: fixed, adaptive and global windows.
//
// Computes   y[n,c,p,q] = sum of x over the window of (p,q) / divisor(p,q)
//            dx[n,c,h,w] = sum of dy / divisor over the windows that hold the pixel (h,w)
//            divisor: divisor_override, or the window's pixels in the padded image, or without
//            count_include_pad those in the image
// Arrays     x, dx (N,C,H,W)  y, dy (N,C,P,Q); any strides; f16, bf16, f32, f64, in fprop also
//            integers
// Grid       x: 128 threads a block over images x pixels x groups of channels, as in
//            max_pool2d.cuh. window_channels: 256 threads for a part of a window x a block of
//            channels; window_plane: 32 or 256 threads for an output
// Tiling     a group is 16 bytes of channels where every array has whole vectors of them, else one.
//            square: K x K windows of dilation 1, whose taps are loaded before any is added.
//            blocks: dgrad of K x K windows with one STRIDE; a thread owns the STRIDE x STRIDE
//            pixels that lie in the same ceil(K/STRIDE)^2 windows. gather: loops.
//            window: many taps. Threads of a block share one window's pixels, four loads each under
//            way, and add up in shared memory (channels) or by shuffles (plane). Where there are
//            few windows, blocks share one: their sums meet in a second kernel
// Traffic    x read once, overlapping taps from the L1 cache, y written once; global 7x7x2048 in
//            halves: 1 addition per 2 bytes; DenseNet's 2x2 of 56x56x256: 0.5 additions per byte:
//            bandwidth
// Numerics   float32 (float64) sums in a fixed order, times the divisor's reciprocal (naive: over
//            the divisor), rounded once at the store; integers wrap, their quotients are truncated
// Refuses    nothing
// Source     LeCun et al. 1998; Lin, Chen and Yan 2013, arXiv:1312.4400 (global)
#pragma once

#include <type_traits>

#include "cuda/pool2d_windows.cuh"

namespace pycnn::cuda {

// What sums are divided by where the caller said so.
struct DivisorOverride {
    bool given;
    int64_t value;
};

template <class A, class Int>
__device__ __forceinline__ A divisor_of(const DivisorOverride& o, Int rows, Int columns) {
    return static_cast<A>(o.given ? o.value : int64_t{rows} * columns);
}

// Sums of integers wrap: they are added as unsigned numbers.
template <class A>
__device__ __forceinline__ A added(A a, A b) {
    if constexpr (std::is_integral_v<A>) {
        using Unsigned = std::make_unsigned_t<A>;
        return static_cast<A>(
            static_cast<Unsigned>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b)));
    } else {
        return a + b;
    }
}

template <class A>
__device__ __forceinline__ A divided(A sum, A divisor) {
    if constexpr (std::is_integral_v<A>) {
        if (divisor == 0) return 0;
        if constexpr (std::is_signed_v<A>)
            if (divisor == -1) return added<A>(static_cast<A>(~sum), A{1});
    }
    return static_cast<A>(sum / divisor);
}

// V sums over their divisor.
template <class T, class A, int V>
__device__ __forceinline__ Vector<T, V> averages(const A (&sums)[V], A divisor) {
    Vector<T, V> out;
    if constexpr (std::is_integral_v<A>) {
#pragma unroll
        for (int v = 0; v < V; ++v) out.v[v] = convert<T>(divided(sums[v], divisor));
    } else {
        const A share = A(1) / divisor;
#pragma unroll
        for (int v = 0; v < V; ++v) out.v[v] = convert<T>(sums[v] * share);
    }
    return out;
}

template <class T>
struct AvgPool2dFprop {
    const T* x;
    T* y;
    ImageSteps x_steps, y_steps;
    Pixels pixels;  // of y
    PoolAxis<int> rows, columns;
    DivisorOverride override;
};

template <class T, int K, int V>
__global__ void __launch_bounds__(kPoolThreads)
    avg_pool2d_fprop_square_kernel(AvgPool2dFprop<T> p) {
    using A = Accumulation<T>;
    const uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
    if (i >= p.pixels.count) return;
    const Pixel at = pixel_of(p.pixels, i);
    const int row = static_cast<int>(at.row), column = static_cast<int>(at.column),
              c = static_cast<int>(at.group) * V;
    const int top = row * p.rows.stride - p.rows.pad,
              left = column * p.columns.stride - p.columns.pad;
    const T* x = p.x + at.n * p.x_steps.n + c * p.x_steps.c;
    int columns[K];
#pragma unroll
    for (int s = 0; s < K; ++s) columns[s] = clamped(left + s, 0, p.columns.size - 1) * p.x_steps.w;
    Vector<T, V> values[K][K];
#pragma unroll
    for (int r = 0; r < K; ++r) {
        const int line = clamped(top + r, 0, p.rows.size - 1) * p.x_steps.h;
#pragma unroll
        for (int s = 0; s < K; ++s) values[r][s] = load_vector<T, V>(x + (line + columns[s]));
    }
    A sums[V] = {};
#pragma unroll
    for (int r = 0; r < K; ++r)
#pragma unroll
        for (int s = 0; s < K; ++s) {
            const bool inside =
                top + r >= 0 && top + r < p.rows.size && left + s >= 0 && left + s < p.columns.size;
#pragma unroll
            for (int v = 0; v < V; ++v) sums[v] += inside ? convert<A>(values[r][s].v[v]) : A(0);
        }
    const A divisor =
        divisor_of<A>(p.override, pool_divisor(p.rows, top), pool_divisor(p.columns, left));
    store_vector(
        p.y + at.n * p.y_steps.n + (c * p.y_steps.c + row * p.y_steps.h + column * p.y_steps.w),
        averages<T>(sums, divisor));
}

template <class T, int V>
__global__ void __launch_bounds__(kPoolThreads)
    avg_pool2d_fprop_gather_kernel(AvgPool2dFprop<T> p) {
    using A = Accumulation<T>;
    const uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
    if (i >= p.pixels.count) return;
    const Pixel at = pixel_of(p.pixels, i);
    const auto row = pool_window(p.rows, static_cast<int>(at.row)),
               column = pool_window(p.columns, static_cast<int>(at.column));
    const int c = static_cast<int>(at.group) * V;
    const T* x = p.x + at.n * p.x_steps.n +
                 (c * p.x_steps.c + row.start * p.x_steps.h + column.start * p.x_steps.w);
    const int down = p.rows.dilation * p.x_steps.h, along = p.columns.dilation * p.x_steps.w;
    A sums[V] = {};
    for (int r = 0; r < row.count; ++r) {
#pragma unroll 4
        for (int s = 0; s < column.count; ++s) {
            const auto value = load_vector<T, V>(x + (r * down + s * along));
#pragma unroll
            for (int v = 0; v < V; ++v) sums[v] = added(sums[v], convert<A>(value.v[v]));
        }
    }
    store_vector(p.y + at.n * p.y_steps.n +
                     (c * p.y_steps.c + static_cast<int>(at.row) * p.y_steps.h +
                      static_cast<int>(at.column) * p.y_steps.w),
                 averages<T>(sums, divisor_of<A>(p.override, row.divisor, column.divisor)));
}

// --- windows of many taps, dilation 1 -----------------------------------------------------------

constexpr int kWindowThreads = 256;

template <class T>
struct AvgPool2dWindow {
    const T* x;
    T* y;
    Accumulation<T>* partial;  // parts x images x rows x columns x channels sums; one part: unused
    ImageSteps x_steps, y_steps;
    Pixels pixels;  // of y, a group the channels of a block
    PoolAxis<int> rows, columns;
    DivisorOverride override;
    int images, channels, parts;
};

// Adds V channels of the pixels first, first + step, ... of a window, row-major, to `sums`.
template <class T, int V>
__device__ __forceinline__ void sum_window(const T* x, const ImageSteps& steps, int height,
                                           int width, int first, int step,
                                           Accumulation<T> (&sums)[V]) {
    constexpr int kUnderWay = 4;  // loads
    const int count = height * width;
    if (first >= count) return;
    const int lines = step / width, columns = step % width;
    const int ahead = lines * steps.h + columns * steps.w, wrap = steps.h - width * steps.w;
    int column = first % width, at = first / width * steps.h + column * steps.w;
    const auto next = [&] {
        column += columns;
        at += ahead;
        if (column >= width) {
            column -= width;
            at += wrap;
        }
    };
    int left = (count - 1 - first) / step + 1;
    for (; left >= kUnderWay; left -= kUnderWay) {
        Vector<T, V> values[kUnderWay];
#pragma unroll
        for (int u = 0; u < kUnderWay; ++u, next()) values[u] = load_vector<T, V>(x + at);
#pragma unroll
        for (int u = 0; u < kUnderWay; ++u)
#pragma unroll
            for (int v = 0; v < V; ++v) sums[v] += convert<Accumulation<T>>(values[u].v[v]);
    }
    for (; left > 0; --left, next()) {
        const auto value = load_vector<T, V>(x + at);
#pragma unroll
        for (int v = 0; v < V; ++v) sums[v] += convert<Accumulation<T>>(value.v[v]);
    }
}

// Where channel c of output `at` lies among the sums of a part.
template <class T>
__device__ __forceinline__ int64_t partial_place(const AvgPool2dWindow<T>& p, int part,
                                                 const Pixel& at, int c) {
    const int64_t image = int64_t{part} * p.images + at.n;
    return ((image * p.rows.outputs + at.row) * p.columns.outputs + at.column) * p.channels + c;
}

// A block has LANES groups of V channels of one output and 256 / LANES threads for each of them,
// whose sums meet in shared memory.
template <class T, int LANES, int V>
__global__ void __launch_bounds__(kWindowThreads)
    avg_pool2d_fprop_window_channels_kernel(AvgPool2dWindow<T> p) {
    using A = Accumulation<T>;
    constexpr int kSlices = kWindowThreads / LANES;
    static_assert(LANES * kSlices == kWindowThreads, "every thread has a slice");
    auto* const shared = dynamic_shared<Vector<A, V>>();  // kSlices x LANES
    const auto parts = static_cast<unsigned>(p.parts);
    const int part = static_cast<int>(blockIdx.x % parts);
    const Pixel at = pixel_of(p.pixels, blockIdx.x / parts);
    const auto row = pool_window(p.rows, static_cast<int>(at.row)),
               column = pool_window(p.columns, static_cast<int>(at.column));
    const int lane = static_cast<int>(threadIdx.x) % LANES,
              slice = static_cast<int>(threadIdx.x) / LANES;
    const int c = (static_cast<int>(at.group) * LANES + lane) * V;
    Vector<A, V> sums{};
    if (c < p.channels)
        sum_window<T, V>(
            p.x + at.n * p.x_steps.n +
                (c * p.x_steps.c + row.start * p.x_steps.h + column.start * p.x_steps.w),
            p.x_steps, row.count, column.count, part * kSlices + slice, p.parts * kSlices, sums.v);
    shared[threadIdx.x] = sums;
    __syncthreads();
    if (slice > 0 || c >= p.channels) return;
    for (int s = 1; s < kSlices; ++s)
#pragma unroll
        for (int v = 0; v < V; ++v) sums.v[v] += shared[s * LANES + lane].v[v];
    if (p.parts > 1) {
#pragma unroll
        for (int v = 0; v < V; ++v) p.partial[partial_place(p, part, at, c) + v] = sums.v[v];
        return;
    }
    store_vector(p.y + at.n * p.y_steps.n +
                     (c * p.y_steps.c + static_cast<int>(at.row) * p.y_steps.h +
                      static_cast<int>(at.column) * p.y_steps.w),
                 averages<T>(sums.v, divisor_of<A>(p.override, row.divisor, column.divisor)));
}

// The parts of every sum, in order; a thread for each channel of each output.
template <class T>
__global__ void __launch_bounds__(kPoolThreads)
    avg_pool2d_fprop_parts_kernel(AvgPool2dWindow<T> p) {
    using A = Accumulation<T>;
    const uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
    if (i >= p.pixels.count) return;
    const Pixel at = pixel_of(p.pixels, i);
    const int c = static_cast<int>(at.group);
    A sums[1] = {};
#pragma unroll 4
    for (int part = 0; part < p.parts; ++part) sums[0] += p.partial[partial_place(p, part, at, c)];
    const A divisor =
        divisor_of<A>(p.override, pool_window(p.rows, static_cast<int>(at.row)).divisor,
                      pool_window(p.columns, static_cast<int>(at.column)).divisor);
    p.y[at.n * p.y_steps.n + (c * p.y_steps.c + static_cast<int>(at.row) * p.y_steps.h +
                              static_cast<int>(at.column) * p.y_steps.w)] =
        averages<T>(sums, divisor).v[0];
}

// LANES threads, a warp or the block, share the pixels of one channel's window.
template <class T, int LANES>
__global__ void __launch_bounds__(kWindowThreads)
    avg_pool2d_fprop_window_plane_kernel(AvgPool2dWindow<T> p) {
    using A = Accumulation<T>;
    static_assert(LANES == 32 || LANES == kWindowThreads, "a warp or a block");
    constexpr int kWarps = LANES / 32;
    A* const shared = dynamic_shared<A>();  // kWarps, where there are several
    const uint32_t i = blockIdx.x * (kWindowThreads / LANES) + threadIdx.x / LANES;
    if (i >= p.pixels.count) return;  // a whole warp, or no thread at all
    const Pixel at = pixel_of(p.pixels, i);
    const auto row = pool_window(p.rows, static_cast<int>(at.row)),
               column = pool_window(p.columns, static_cast<int>(at.column));
    const int c = static_cast<int>(at.group), first = static_cast<int>(threadIdx.x) % LANES;
    A sums[1] = {};
    sum_window<T, 1>(p.x + at.n * p.x_steps.n +
                         (c * p.x_steps.c + row.start * p.x_steps.h + column.start * p.x_steps.w),
                     p.x_steps, row.count, column.count, first, LANES, sums);
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        sums[0] += __shfl_xor_sync(kFullWarp, sums[0], distance);
    if constexpr (kWarps > 1) {
        if (lane() == 0) shared[threadIdx.x / 32] = sums[0];
        __syncthreads();
#pragma unroll
        for (int warp = 1; warp < kWarps; ++warp)
            if (first == 0) sums[0] += shared[warp];
    }
    if (first > 0) return;
    p.y[at.n * p.y_steps.n + (c * p.y_steps.c + static_cast<int>(at.row) * p.y_steps.h +
                              static_cast<int>(at.column) * p.y_steps.w)] =
        averages<T>(sums, divisor_of<A>(p.override, row.divisor, column.divisor)).v[0];
}

// --- the gradient -------------------------------------------------------------------------------

template <class T>
struct AvgPool2dDgrad {
    const T* dy;
    T* dx;
    ImageSteps dy_steps, dx_steps;
    Pixels pixels;  // of dx; blocks: of STRIDE x STRIDE of them
    PoolAxis<int> rows, columns;
    DivisorOverride override;
    int first_row, first_column;  // blocks: of the image's corner
};

// Block a of an axis holds the pixels a*STRIDE - pad + i, i < STRIDE, which are tap i + j*STRIDE of
// window a - j.
template <class T, int K, int STRIDE, int V>
__global__ void __launch_bounds__(kPoolThreads)
    avg_pool2d_dgrad_blocks_kernel(AvgPool2dDgrad<T> p) {
    using A = Accumulation<T>;
    static_assert(K >= STRIDE, "every pixel has a window");
    constexpr int kWindows = (K + STRIDE - 1) / STRIDE;
    const uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
    if (i >= p.pixels.count) return;
    const Pixel at = pixel_of(p.pixels, i);
    const int a = p.first_row + static_cast<int>(at.row),
              b = p.first_column + static_cast<int>(at.column), c = static_cast<int>(at.group) * V;
    const T* dy = p.dy + at.n * p.dy_steps.n + c * p.dy_steps.c;
    Vector<T, V> given[kWindows][kWindows];
#pragma unroll
    for (int j = 0; j < kWindows; ++j) {
        const int row = clamped(a - j, 0, p.rows.outputs - 1) * p.dy_steps.h;
#pragma unroll
        for (int k = 0; k < kWindows; ++k)
            given[j][k] = load_vector<T, V>(
                dy + (row + clamped(b - k, 0, p.columns.outputs - 1) * p.dy_steps.w));
    }
    A sums[STRIDE][STRIDE][V] = {};
#pragma unroll
    for (int j = 0; j < kWindows; ++j)
#pragma unroll
        for (int k = 0; k < kWindows; ++k) {
            const bool exists =
                a - j >= 0 && a - j < p.rows.outputs && b - k >= 0 && b - k < p.columns.outputs;
            const A share =
                A(1) / divisor_of<A>(p.override,
                                     pool_divisor(p.rows, (a - j) * STRIDE - p.rows.pad),
                                     pool_divisor(p.columns, (b - k) * STRIDE - p.columns.pad));
#pragma unroll
            for (int v = 0; v < V; ++v) {
                const A value = exists ? convert<A>(given[j][k].v[v]) * share : A(0);
#pragma unroll
                for (int r = j * STRIDE; r < (j + 1) * STRIDE && r < K; ++r)
#pragma unroll
                    for (int s = k * STRIDE; s < (k + 1) * STRIDE && s < K; ++s)
                        sums[r - j * STRIDE][s - k * STRIDE][v] += value;
            }
        }
    T* dx = p.dx + at.n * p.dx_steps.n + c * p.dx_steps.c;
    store_pixels(dx, p.dx_steps, p.rows, p.columns, a * STRIDE - p.rows.pad,
                 b * STRIDE - p.columns.pad, sums);
}

template <class T, int V>
__global__ void __launch_bounds__(kPoolThreads)
    avg_pool2d_dgrad_gather_kernel(AvgPool2dDgrad<T> p) {
    using A = Accumulation<T>;
    const uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
    if (i >= p.pixels.count) return;
    const Pixel at = pixel_of(p.pixels, i);
    const int h = static_cast<int>(at.row), w = static_cast<int>(at.column),
              c = static_cast<int>(at.group) * V;
    const T* dy = p.dy + at.n * p.dy_steps.n + c * p.dy_steps.c;
    A sums[V] = {};
    each_cover(p.rows, h, [&](int row, int) {
        const int height = pool_window(p.rows, row).divisor;
        each_cover(p.columns, w, [&](int column, int) {
            const auto given = load_vector<T, V>(dy + (row * p.dy_steps.h + column * p.dy_steps.w));
            const A share =
                A(1) / divisor_of<A>(p.override, height, pool_window(p.columns, column).divisor);
#pragma unroll
            for (int v = 0; v < V; ++v) sums[v] += convert<A>(given.v[v]) * share;
        });
    });
    Vector<T, V> out;
#pragma unroll
    for (int v = 0; v < V; ++v) out.v[v] = convert<T>(sums[v]);
    store_vector(
        p.dx + at.n * p.dx_steps.n + (c * p.dx_steps.c + h * p.dx_steps.h + w * p.dx_steps.w), out);
}

// --- naive: an element a thread, as the formulas say --------------------------------------------

template <class T>
struct NaiveAvgPool2d {
    ImageElements<T> pixels;  // fprop: x, dgrad: dx
    ImageElements<T> outputs;
    int64_t count, C;
    PoolAxis<int64_t> rows, columns;
    DivisorOverride override;
};

template <class T>
__global__ void __launch_bounds__(kPoolThreads) avg_pool2d_fprop_naive_kernel(NaiveAvgPool2d<T> p) {
    using A = Accumulation<T>;
    const int64_t i = int64_t{blockIdx.x} * kPoolThreads + threadIdx.x;
    if (i >= p.count) return;
    const ElementIndex at = element_index(i, p.C, p.rows.outputs, p.columns.outputs);
    const auto row = pool_window(p.rows, at.h), column = pool_window(p.columns, at.w);
    A sum = 0;
    for (int64_t r = 0; r < row.count; ++r)
        for (int64_t s = 0; s < column.count; ++s)
            sum = added(sum, convert<A>(p.pixels.at(at.n, at.c, row.start + r * p.rows.dilation,
                                                    column.start + s * p.columns.dilation)));
    p.outputs.at(at.n, at.c, at.h, at.w) =
        convert<T>(divided(sum, divisor_of<A>(p.override, row.divisor, column.divisor)));
}

template <class T>
__global__ void __launch_bounds__(kPoolThreads) avg_pool2d_dgrad_naive_kernel(NaiveAvgPool2d<T> p) {
    using A = Accumulation<T>;
    const int64_t i = int64_t{blockIdx.x} * kPoolThreads + threadIdx.x;
    if (i >= p.count) return;
    const ElementIndex at = element_index(i, p.C, p.rows.size, p.columns.size);
    A sum = 0;
    each_cover(p.rows, at.h, [&](int64_t row, int64_t) {
        const int64_t height = pool_window(p.rows, row).divisor;
        each_cover(p.columns, at.w, [&](int64_t column, int64_t) {
            sum += convert<A>(p.outputs.at(at.n, at.c, row, column)) /
                   divisor_of<A>(p.override, height, pool_window(p.columns, column).divisor);
        });
    });
    p.pixels.at(at.n, at.c, at.h, at.w) = convert<T>(sum);
}

}  // namespace pycnn::cuda
