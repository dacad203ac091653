// Convolution and its gradients, one output element per thread: the formulas, and nothing else.
//
// Computes   fprop  y[n,k,p,q] = sum_{r,s,c} x[n, c, p*Sh - top + r*Dh, q*Sw - left + s*Dw]
//                                                * w[k,c,r,s], then the epilogue
//            dgrad  dx[n,c,h,w] = sum_{r,s,k} dy[n,k,p,q] * w[k,c,r,s] where p = (h + top - r*Dh)
//                   / Sh and q = (w + left - s*Dw) / Sw are whole, then the epilogue
//            wgrad  dw[k,c,r,s] = sum_{p,q,n} dy[n,k,p,q]
//                                                * x[n, c, p*Sh - top + r*Dh, q*Sw - left + s*Dw]
//            k and c within one group
// Arrays     x, dx (N,C,H,W)  w, dw (K,C/G,R,S)  y, dy (N,K,P,Q); f16/bf16/f32/f64, any strides
// Grid       x: 128 threads a block, an output element each, in the order of its indices
// Tiling     none: every thread reads both factors of every product itself
// Traffic    2 reads for 2 FLOPs: 0.5 FLOP/byte in bf16 as asked of the caches
// Numerics   f32 accumulator (f64: f64), terms in the order written above; one rounding at the
//            store
// Refuses    nothing
// Source     LeCun et al. 1989, doi:10.1162/neco.1989.1.4.541
#pragma once

#include "common/params.h"
#include "cuda/division.cuh"
#include "cuda/epilogue.cuh"
#include "cuda/numbers.cuh"

namespace pycnn::cuda {

constexpr int kNaiveThreads = 128;

template <class T>
struct Conv2dNaive {
    const T *a, *b;  // x and w, dy and w, or x and dy
    T* out;
    int64_t a_steps[4], b_steps[4], out_steps[4];
    int64_t sizes[4], count;  // of out
    Division divisions[4];    // of the sizes, where `count` is below 2^31
    Conv2dParams g;
    Epilogue<T> epilogue;
};

// The indices of this thread's output element; false where it has none.
template <class Index, class T>
__device__ __forceinline__ bool naive_element(const Conv2dNaive<T>& p, int64_t (&at)[4]) {
    const int64_t element = int64_t{blockIdx.x} * kNaiveThreads + threadIdx.x;
    if (element >= p.count) return false;
    auto rest = static_cast<Index>(element);
    for (int axis = 3; axis > 0; --axis) {
        if constexpr (sizeof(Index) == 4) {
            at[axis] = p.divisions[axis].divide(rest);
        } else {
            at[axis] = static_cast<int64_t>(rest % static_cast<Index>(p.sizes[axis]));
            rest /= static_cast<Index>(p.sizes[axis]);
        }
    }
    at[0] = static_cast<int64_t>(rest);
    return true;
}

__device__ __forceinline__ int64_t naive_offset(const int64_t (&steps)[4], int64_t i, int64_t j,
                                                int64_t k, int64_t l) {
    return i * steps[0] + j * steps[1] + k * steps[2] + l * steps[3];
}

template <class T>
__device__ __forceinline__ void naive_store(const Conv2dNaive<T>& p, Accumulation<T> sum,
                                            const int64_t (&at)[4]) {
    const int64_t residual = naive_offset(p.epilogue.residual_steps, at[0], at[1], at[2], at[3]);
    p.out[naive_offset(p.out_steps, at[0], at[1], at[2], at[3])] =
        convert<T>(finish(p.epilogue, sum, at[1], residual));
}

template <class T, class Index>
__global__ void __launch_bounds__(kNaiveThreads, 8) conv2d_fprop_naive_kernel(Conv2dNaive<T> p) {
    using A = Accumulation<T>;
    int64_t y[4];
    if (!naive_element<Index>(p, y)) return;
    const Conv2dParams& g = p.g;
    const int64_t channels = g.C / g.G, first = y[1] / (g.K / g.G) * channels;
    A sum = 0;
    for (int64_t r = 0; r < g.R; ++r) {
        const int64_t h = y[2] * g.stride_h - g.top + r * g.dilation_h;
        if (h < 0 || h >= g.H) continue;
        for (int64_t s = 0; s < g.S; ++s) {
            const int64_t v = y[3] * g.stride_w - g.left + s * g.dilation_w;
            if (v < 0 || v >= g.W) continue;
            const T* x = p.a + naive_offset(p.a_steps, y[0], first, h, v);
            const T* w = p.b + naive_offset(p.b_steps, y[1], 0, r, s);
            for (int64_t c = 0; c < channels; ++c)
                sum += convert<A>(x[c * p.a_steps[1]]) * convert<A>(w[c * p.b_steps[1]]);
        }
    }
    naive_store(p, sum, y);
}

template <class T, class Index>
__global__ void __launch_bounds__(kNaiveThreads, 8) conv2d_dgrad_naive_kernel(Conv2dNaive<T> p) {
    using A = Accumulation<T>;
    int64_t x[4];
    if (!naive_element<Index>(p, x)) return;
    const Conv2dParams& g = p.g;
    const int64_t channels = g.C / g.G, filters = g.K / g.G;
    const int64_t first = x[1] / channels * filters, channel = x[1] % channels;
    A sum = 0;
    for (int64_t r = 0; r < g.R; ++r) {
        const int64_t down = x[2] + g.top - r * g.dilation_h;
        if (down < 0 || down % g.stride_h != 0 || down / g.stride_h >= g.P) continue;
        for (int64_t s = 0; s < g.S; ++s) {
            const int64_t across = x[3] + g.left - s * g.dilation_w;
            if (across < 0 || across % g.stride_w != 0 || across / g.stride_w >= g.Q) continue;
            const T* dy =
                p.a + naive_offset(p.a_steps, x[0], first, down / g.stride_h, across / g.stride_w);
            const T* w = p.b + naive_offset(p.b_steps, first, channel, r, s);
            for (int64_t k = 0; k < filters; ++k)
                sum += convert<A>(dy[k * p.a_steps[1]]) * convert<A>(w[k * p.b_steps[0]]);
        }
    }
    naive_store(p, sum, x);
}

template <class T, class Index>
__global__ void __launch_bounds__(kNaiveThreads, 8) conv2d_wgrad_naive_kernel(Conv2dNaive<T> p) {
    using A = Accumulation<T>;
    int64_t w[4];
    if (!naive_element<Index>(p, w)) return;
    const Conv2dParams& g = p.g;
    const int64_t channel = w[0] / (g.K / g.G) * (g.C / g.G) + w[1];
    A sum = 0;
    for (int64_t i = 0; i < g.P; ++i) {
        const int64_t h = i * g.stride_h - g.top + w[2] * g.dilation_h;
        if (h < 0 || h >= g.H) continue;
        for (int64_t j = 0; j < g.Q; ++j) {
            const int64_t v = j * g.stride_w - g.left + w[3] * g.dilation_w;
            if (v < 0 || v >= g.W) continue;
            const T* x = p.a + naive_offset(p.a_steps, 0, channel, h, v);
            const T* dy = p.b + naive_offset(p.b_steps, 0, w[0], i, j);
            for (int64_t n = 0; n < g.N; ++n)
                sum += convert<A>(x[n * p.a_steps[0]]) * convert<A>(dy[n * p.b_steps[0]]);
        }
    }
    p.out[naive_offset(p.out_steps, w[0], w[1], w[2], w[3])] = convert<T>(sum);
}

}  // namespace pycnn::cuda
