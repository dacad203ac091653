// Batch normalisation as the formulas say.
//
// Computes   stats, apply, reduce and dgrad of primitives/batch_norm.h
// Arrays     any float dtypes and strides, every one its own
// Grid       x: 64 threads a block; stats and reduce a channel each, apply and dgrad an element
// Tiling     none
// Traffic    every operand once, but a channel's numbers once for every element; where channels are
//            few most of a GPU is idle: unmeasured
// Numerics   f32, or f64 for f64; Welford's running update; sums in the order n, then the rest
// Refuses    nothing
// Source     Welford 1962, "Note on a method for calculating corrected sums of squares and
//            products"
#pragma once

#include "cuda/activation.cuh"
#include "cuda/elements.cuh"
#include "cuda/walk.cuh"

namespace pycnn::cuda {

constexpr int kNaiveNormThreads = 64;

// The arrays of any of the four, those with a channel's numbers behind them; null where there is
// none.
template <class A>
struct NaiveNorm {
    Elements<Mixed<A>> x, dy, residual, out;
    FloatVector mean, invstd, weight, bias, first, second;
    int64_t channels;
    int64_t channel_steps[4];
    Walk<4> pixels;  // x, dy, residual, out
    Activation activation;
    bool relu;
};

// Where pixel i of a channel lies in x, dy, the residual and the output.
template <class A>
__device__ __forceinline__ void naive_place(const NaiveNorm<A>& p, int64_t channel, int64_t i,
                                            int64_t (&at)[4]) {
    locate(p.pixels, static_cast<uint64_t>(i), at);
    for (int a = 0; a < 4; ++a) at[a] += channel * p.channel_steps[a];
}

template <class A>
__device__ __forceinline__ A naive_value(const FloatVector& v, int64_t channel, A without) {
    return v.data == nullptr ? without : load_float<A>(v.data, v.dtype, channel * v.step);
}

template <class A>
__device__ __forceinline__ void naive_store(const FloatVector& v, int64_t channel, A value) {
    store_float(v.data, v.dtype, channel * v.step, value);
}

template <class A>
__global__ void __launch_bounds__(kNaiveNormThreads) batch_norm_stats_naive_kernel(NaiveNorm<A> p) {
    const int64_t channel = int64_t{blockIdx.x} * kNaiveNormThreads + threadIdx.x;
    if (channel >= p.channels) return;
    A mean = 0, m2 = 0;
    for (int64_t i = 0; i < p.pixels.count; ++i) {
        int64_t at[4];
        naive_place(p, channel, i, at);
        const A x = p.x.template load<1>(at[0]).v[0], deviation = x - mean;
        mean += deviation / static_cast<A>(i + 1);
        m2 += deviation * (x - mean);
    }
    naive_store(p.first, channel, mean);
    naive_store(p.second, channel, m2);
}

template <class A>
__global__ void __launch_bounds__(kNaiveNormThreads)
    batch_norm_reduce_naive_kernel(NaiveNorm<A> p) {
    const int64_t channel = int64_t{blockIdx.x} * kNaiveNormThreads + threadIdx.x;
    if (channel >= p.channels) return;
    const A mean = naive_value<A>(p.mean, channel, 0),
            invstd = naive_value<A>(p.invstd, channel, 1);
    const A scale = invstd * naive_value<A>(p.weight, channel, 1);
    const A bias = naive_value<A>(p.bias, channel, 0);
    A sum = 0, product = 0;
    for (int64_t i = 0; i < p.pixels.count; ++i) {
        int64_t at[4];
        naive_place(p, channel, i, at);
        const A d = p.x.template load<1>(at[0]).v[0] - mean;
        const A dy = p.dy.template load<1>(at[1]).v[0];
        if (p.relu && d * scale + bias <= 0) continue;
        sum += dy;
        product += dy * (d * invstd);
    }
    naive_store(p.first, channel, sum);
    naive_store(p.second, channel, product);
}

template <class A>
__global__ void __launch_bounds__(kNaiveNormThreads) batch_norm_apply_naive_kernel(NaiveNorm<A> p) {
    const int64_t i = int64_t{blockIdx.x} * kNaiveNormThreads + threadIdx.x;
    if (i >= p.channels * p.pixels.count) return;
    const int64_t channel = i / p.pixels.count;
    int64_t at[4];
    naive_place(p, channel, i % p.pixels.count, at);
    const A scale = naive_value<A>(p.invstd, channel, 1) * naive_value<A>(p.weight, channel, 1);
    const A d = p.x.template load<1>(at[0]).v[0] - naive_value<A>(p.mean, channel, 0);
    A y[] = {d * scale + naive_value<A>(p.bias, channel, 0)};
    if (p.residual.data != nullptr) y[0] += p.residual.template load<1>(at[2]).v[0];
    y[0] = activate(p.activation, y[0]);
    p.out.template store<1>(at[3], y);
}

template <class A>
__global__ void __launch_bounds__(kNaiveNormThreads) batch_norm_dgrad_naive_kernel(NaiveNorm<A> p) {
    const int64_t i = int64_t{blockIdx.x} * kNaiveNormThreads + threadIdx.x;
    if (i >= p.channels * p.pixels.count) return;
    const int64_t channel = i / p.pixels.count;
    int64_t at[4];
    naive_place(p, channel, i % p.pixels.count, at);
    const A invstd = naive_value<A>(p.invstd, channel, 1);
    const A scale = invstd * naive_value<A>(p.weight, channel, 1);
    const A d = p.x.template load<1>(at[0]).v[0] - naive_value<A>(p.mean, channel, 0);
    A dx[] = {p.dy.template load<1>(at[1]).v[0]};
    if (p.relu && d * scale + naive_value<A>(p.bias, channel, 0) <= 0) dx[0] = 0;
    const A count = static_cast<A>(p.pixels.count);
    const A mean_dy = naive_value<A>(p.first, channel, 0) / count;
    const A slope = naive_value<A>(p.second, channel, 0) / count;
    if (p.first.data != nullptr) dx[0] = dx[0] - mean_dy - d * invstd * slope;
    dx[0] *= scale;
    p.out.template store<1>(at[3], dx);
}

}  // namespace pycnn::cuda
