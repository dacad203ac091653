// Which pixels a pooling window holds, and which windows hold a pixel, along one axis.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/dtypes.h"
#include "cuda/images.cuh"
#include "cuda/numbers.cuh"
#include "primitives/pool2d.h"

namespace pycnn::cuda {

constexpr int kPoolThreads = 128;

// Division of what is not negative: by a multiplication in 32 bits, the machine's own in 64.
template <class Int>
struct DivisionBy {
    DivisionBy() = default;
    explicit DivisionBy(int64_t divisor) : divisor_(divisor) {}
    __device__ __forceinline__ int64_t quotient(int64_t n) const { return n / divisor_; }

  private:
    int64_t divisor_;
};
template <>
struct DivisionBy<int> : Division {
    using Division::Division;
};

// Int is int, where pool_fits() holds, or int64_t.
template <class Int>
struct PoolAxis {
    Int size, outputs, taps, stride, pad, dilation;
    DivisionBy<Int> by_size, by_outputs, by_stride, by_dilation;
    bool adaptive, count_pad;
};

template <class Int>
PoolAxis<Int> pool_axis(int64_t size, int64_t outputs, int64_t taps, int64_t stride, int64_t pad,
                        int64_t dilation, const Pool2dParams& g) {
    const auto by = [](int64_t n) { return DivisionBy<Int>(std::max<int64_t>(n, 1)); };
    const auto as_int = [](int64_t n) { return static_cast<Int>(n); };
    return {as_int(size), as_int(outputs),  as_int(taps), as_int(stride),
            as_int(pad),  as_int(dilation), by(size),     by(outputs),
            by(stride),   by(dilation),     g.adaptive,   g.count_include_pad};
}
template <class Int>
PoolAxis<Int> pool_rows(const Pool2dParams& g) {
    return pool_axis<Int>(g.H, g.P, g.R, g.stride_h, g.pad_h, g.dilation_h, g);
}
template <class Int>
PoolAxis<Int> pool_columns(const Pool2dParams& g) {
    return pool_axis<Int>(g.W, g.Q, g.S, g.stride_w, g.pad_w, g.dilation_w, g);
}

// Whether positions along both axes, and the threads of an image, can be counted in 32 bits.
inline bool pool_fits(const Pool2dParams& g) {
    constexpr int64_t kMost = int64_t{1} << 29;
    const auto fits = [&](int64_t in, int64_t out, int64_t taps, int64_t stride, int64_t pad,
                          int64_t dilation) {
        return std::max({in, out, stride, pad, taps * dilation}) < kMost &&
               (!g.adaptive || (in + 1) * (out + 1) < kMost);
    };
    const int64_t pixels = std::max(g.H * g.W, g.P * g.Q);
    return fits(g.H, g.P, g.R, g.stride_h, g.pad_h, g.dilation_h) &&
           fits(g.W, g.Q, g.S, g.stride_w, g.pad_w, g.dilation_w) &&
           (pixels == 0 || g.C <= kMostItems / pixels);
}

// The part of an output's window that lies inside the image.
template <class Int>
struct PoolWindow {
    Int start;    // the pixel of its first tap
    Int first;    // which tap of the whole window that is
    Int count;    // how many taps, `dilation` apart; may be 0
    Int divisor;  // how many pixels an average counts
};

// How many pixels from `begin` on an average counts.
template <class Int>
__device__ __forceinline__ Int pool_divisor(const PoolAxis<Int>& a, Int begin) {
    const Int last = begin + (a.taps - 1) * a.dilation + 1, padded = a.size + a.pad;
    const Int end = last < padded ? last : padded;
    if (a.count_pad) return end - begin;
    return (end < a.size ? end : a.size) - (begin > 0 ? begin : 0);
}

template <class Int>
__device__ __forceinline__ PoolWindow<Int> pool_window(const PoolAxis<Int>& a, Int output) {
    if (a.adaptive) {
        const Int start = a.by_outputs.quotient(output * a.size);
        const Int end = a.by_outputs.quotient((output + 1) * a.size + a.outputs - 1);
        return {start, 0, end - start, end - start};
    }
    const Int begin = output * a.stride - a.pad;
    const Int first = begin < 0 ? a.by_dilation.quotient(-begin + a.dilation - 1) : 0;
    Int beyond = begin < a.size ? Int(a.by_dilation.quotient(a.size - 1 - begin)) + 1 : 0;
    beyond = beyond < a.taps ? beyond : a.taps;
    return {begin + first * a.dilation, first, beyond > first ? beyond - first : 0,
            pool_divisor(a, begin)};
}

// Calls function(output, tap) for every window that holds `pixel`, the taps ascending.
template <class Int, class F>
__device__ __forceinline__ void each_cover(const PoolAxis<Int>& a, Int pixel, F&& function) {
    if (a.adaptive) {
        Int output = a.by_size.quotient((pixel + 1) * a.outputs + a.size - 1) - 1;
        for (; output >= 0; --output) {
            const PoolWindow<Int> window = pool_window(a, output);
            if (pixel >= window.start + window.count) return;
            function(output, pixel - window.start);
        }
        return;
    }
    Int output = a.by_stride.quotient(pixel + a.pad);
    if (output >= a.outputs) output = a.outputs - 1;
    for (; output >= 0; --output) {
        const Int reach = pixel + a.pad - output * a.stride;
        const Int tap = a.by_dilation.quotient(reach);
        if (tap >= a.taps) return;
        if (tap * a.dilation == reach) function(output, tap);
    }
}

__device__ __forceinline__ int clamped(int i, int least, int most) {
    return i < least ? least : i > most ? most : i;
}

// Stores what a thread of a gradient has summed: the pixels from row `top` and column `left` on that
// exist, STRIDE by STRIDE of V channels. `dx` is at the image's first pixel.
template <int STRIDE, int V, class T, class A>
__device__ __forceinline__ void store_pixels(T* dx, const ImageSteps& steps,
                                             const PoolAxis<int>& rows,
                                             const PoolAxis<int>& columns, int top, int left,
                                             const A (&sums)[STRIDE][STRIDE][V]) {
#pragma unroll
    for (int r = 0; r < STRIDE; ++r)
#pragma unroll
        for (int s = 0; s < STRIDE; ++s) {
            const int h = top + r, w = left + s;
            if (h < 0 || h >= rows.size || w < 0 || w >= columns.size) continue;
            Vector<T, V> out;
#pragma unroll
            for (int v = 0; v < V; ++v) out.v[v] = convert<T>(sums[r][s][v]);
            store_vector(dx + (h * steps.h + w * steps.w), out);
        }
}

// --- elements one by one: the naive rungs -------------------------------------------------------

// An array of four axes with any strides.
template <class T>
struct ImageElements {
    T* data;
    int64_t steps[4];
    __device__ __forceinline__ T& at(int64_t n, int64_t c, int64_t h, int64_t w) const {
        return data[n * steps[0] + c * steps[1] + h * steps[2] + w * steps[3]];
    }
};
template <class T>
ImageElements<T> elements_of(const ArrayView& a) {
    return {static_cast<T*>(a.data), {a.strides[0], a.strides[1], a.strides[2], a.strides[3]}};
}

struct ElementIndex {
    int64_t n, c, h, w;
};
__device__ __forceinline__ ElementIndex element_index(int64_t i, int64_t C, int64_t H, int64_t W) {
    return {i / W / H / C, i / W / H % C, i / W % H, i % W};
}

// Calls function(T{}) with the stored type of any dtype there is arithmetic for.
template <class F>
void with_pooled_dtype(DType dtype, F&& function) {
    switch (dtype) {
        case DType::u8: return function(uint8_t{});
        case DType::i8: return function(int8_t{});
        case DType::i16: return function(int16_t{});
        case DType::i32: return function(int32_t{});
        case DType::i64: return function(int64_t{});
        default: with_float_dtype(dtype, function);
    }
}

}  // namespace pycnn::cuda
