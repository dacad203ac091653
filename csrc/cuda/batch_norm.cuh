// Batch normalisation, what follows its statistics: the output, and the gradient of the input.
//
// Computes   apply   y = activation((x - mean) * scale + bias + residual), scale = invstd * weight
//            dgrad   dx = scale * (dy - sum_dy / M - (x - mean) * invstd * sum_dy_xhat / M) for
//                    channels of M elements; without the sums dx = scale * dy. With relu, dy is 0
//                    where (x - mean) * scale + bias is neither positive nor NaN
// Arrays     x, dy, residual, y, dx (N,C,*), any strides: 16 bytes at a time where channels or
//            pixels lie side by side in vectors, one by one otherwise, and where dtypes differ; the
//            others (C,) of any float dtypes. y may be x or the residual, dx may be dy or x
// Grid       (channel tiles * slabs of pixels,), all on axis 0; see batch_norm_walk.cuh. The last
//            slab comes first: the sums were there last, and a cache may still hold it
// Tiling     256 threads, a vector of channels or pixels each; the channels' three to five numbers
//            stay in registers for a slab
// Traffic    apply 2 b bytes an element, 3 with a residual; dgrad 3. ResNet-50's (32,256,56,56) in
//            f16: 103 MB and 51 MFLOP, half a FLOP a byte: bandwidth. Two loads of 16 bytes of each
//            operand are under way in a thread
// Numerics   in f32, or f64 for f64; x - mean first, so that a large mean cancels before it is
//            scaled; rounded once at the store
// Refuses    nothing
// Source     Ioffe and Szegedy 2015, arXiv:1502.03167, section 3; the gradient by its Algorithm 1
#pragma once

#include "cuda/activation.cuh"
#include "cuda/batch_norm_walk.cuh"

namespace pycnn::cuda {

constexpr int kNormLoads = 2;  // of each operand

template <class T>
struct NormApply {
    Elements<T> x, residual, y;
    bool adds;  // whether there is a residual
    NormVectors vectors;
    Activation activation;
    NormWalk<3> walk;  // y, x, residual
};

// `Plain` is for no activation and for ReLU: the others fill a kernel with code.
template <bool Plain, class A>
__device__ __forceinline__ A norm_activation(Activation activation, A y) {
    if constexpr (Plain)
        return activation == Activation::relu && y < 0 ? A(0) : y;
    else
        return activate(activation, y);
}

template <class T, int Channels, int Pixels, bool Plain, class Index>
__global__ void __launch_bounds__(kNormThreads) batch_norm_apply_kernel(NormApply<T> p) {
    static_assert(Channels == 1 || Pixels == 1, "vectors lie along one of the two");
    constexpr int N = Channels * Pixels;
    using A = Accumulation<T>;
    using V = Vector<typename Elements<T>::Stored, N>;
    const auto share = share_of<Index, Channels>(p.walk, gridDim.x - 1 - blockIdx.x);
    if (!share.inside) return;
    Affine<A, Channels> affine;
    A invstd[Channels];
    affine_of(p.vectors, share.channel, affine, invstd);
    for_groups<Plain ? kNormLoads : 1>(
        share.first, share.last, static_cast<Index>(p.walk.down), [&](auto many, Index v) {
            constexpr int Many = decltype(many)::value;
            V x[Many], residual[Many]{};
            int64_t to[Many];
#pragma unroll
            for (int i = 0; i < Many; ++i) {
                int64_t at[3];
                place(p.walk, share.channel, v + static_cast<Index>(i * p.walk.down), at);
                to[i] = at[0];
                x[i] = p.x.template load<N>(at[1]);
                if (p.adds) residual[i] = p.residual.template load<N>(at[2]);
            }
#pragma unroll
            for (int i = 0; i < Many; ++i) {
                A y[N];
#pragma unroll
                for (int j = 0; j < N; ++j) {
                    const int c = Channels == 1 ? 0 : j;
                    y[j] = normalised(convert<A>(x[i].v[j]) - affine.mean[c], affine.scale[c],
                                      affine.shift[c]);
                    if (p.adds) y[j] += convert<A>(residual[i].v[j]);
                    y[j] = norm_activation<Plain>(p.activation, y[j]);
                }
                p.y.template store<N>(to[i], y);
            }
        });
}

template <class T>
struct NormDgrad {
    Elements<T> dy, x, dx;
    NormVectors vectors;
    FloatVector sum_dy, sum_dy_xhat;
    bool relu;
    double elements;   // of a channel
    NormWalk<3> walk;  // dx, dy, x
};

// The mean of dy, and the slope of its regression on x - mean.
template <class A, int N>
__device__ __forceinline__ void regression_of(const FloatVector& sum_dy,
                                              const FloatVector& sum_dy_xhat, double elements,
                                              int64_t channel, const A (&invstd)[N], A (&mean)[N],
                                              A (&slope)[N]) {
    values_of(sum_dy, channel, A(0), mean);
    values_of(sum_dy_xhat, channel, A(0), slope);
    const A share = static_cast<A>(1 / elements);
#pragma unroll
    for (int c = 0; c < N; ++c) {
        mean[c] *= share;
        slope[c] = invstd[c] * (slope[c] * share);
    }
}

template <class T, int Channels, int Pixels, class Index>
__global__ void __launch_bounds__(kNormThreads) batch_norm_dgrad_kernel(NormDgrad<T> p) {
    static_assert(Channels == 1 || Pixels == 1, "vectors lie along one of the two");
    constexpr int N = Channels * Pixels;
    using A = Accumulation<T>;
    using V = Vector<typename Elements<T>::Stored, N>;
    const auto share = share_of<Index, Channels>(p.walk, gridDim.x - 1 - blockIdx.x);
    if (!share.inside) return;
    Affine<A, Channels> affine;
    A invstd[Channels], mean_dy[Channels], slope[Channels];
    affine_of(p.vectors, share.channel, affine, invstd);
    regression_of(p.sum_dy, p.sum_dy_xhat, p.elements, share.channel, invstd, mean_dy, slope);
    const bool trains = p.sum_dy.data != nullptr, reads_x = trains || p.relu;
    for_groups<kNormLoads>(
        share.first, share.last, static_cast<Index>(p.walk.down), [&](auto many, Index v) {
            constexpr int Many = decltype(many)::value;
            V dy[Many], x[Many]{};
            int64_t to[Many];
#pragma unroll
            for (int i = 0; i < Many; ++i) {
                int64_t at[3];
                place(p.walk, share.channel, v + static_cast<Index>(i * p.walk.down), at);
                to[i] = at[0];
                dy[i] = p.dy.template load<N>(at[1]);
                if (reads_x) x[i] = p.x.template load<N>(at[2]);
            }
#pragma unroll
            for (int i = 0; i < Many; ++i) {
                A dx[N];
#pragma unroll
                for (int j = 0; j < N; ++j) {
                    const int c = Channels == 1 ? 0 : j;
                    dx[j] = convert<A>(dy[i].v[j]);
                    if (reads_x) {
                        const A d = convert<A>(x[i].v[j]) - affine.mean[c];
                        if (p.relu && normalised(d, affine.scale[c], affine.shift[c]) <= 0)
                            dx[j] = 0;
                        if (trains) dx[j] = dx[j] - mean_dy[c] - d * slope[c];
                    }
                    dx[j] *= affine.scale[c];
                }
                p.dx.template store<N>(to[i], dx);
            }
        });
}

}  // namespace pycnn::cuda
