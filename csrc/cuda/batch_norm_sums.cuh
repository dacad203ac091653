// Batch normalisation, the sums over a channel: its mean and m2, and those its gradient needs.
//
// Computes   stats   mean[c] = sum x / M, m2[c] = sum (x - mean[c])^2 over channel c's M elements
//            reduce  sum_dy[c] = sum dy, sum_dy_xhat[c] = sum dy * (x - mean) * invstd. With relu,
//                    dy is 0 where (x - mean) * invstd * weight + bias is neither positive nor NaN
// Arrays     x, dy (N,C,*), any strides: 16 bytes at a time where channels or pixels lie side by
//            side in vectors, one by one otherwise, and where x and dy have different dtypes; the
//            others (C,) of any float dtypes
// Grid       (channel tiles * slabs of pixels,), all on axis 0; see batch_norm_walk.cuh. More than
//            one slab leaves its parts in a workspace (2, slabs, C) for a second launch
// Tiling     256 threads, a vector of channels or pixels each; sums stay in registers for a slab
//            and are folded pair by pair through shared memory: 17 KiB for 16 bytes of halves. The
//            second launch takes 8 channels by 32 slabs a block
// Traffic    stats reads b bytes an element, reduce 2 b; ResNet-50's (32,256,56,56) in f16: 51 and
//            103 MB, 4 FLOP an element: bandwidth. Four loads of 16 bytes of a thread are under way
// Numerics   in f32, or f64 for f64. A thread keeps a mean and m2; a group of its elements enters
//            by its deviations from that mean, the first group by those from its first element, so
//            that what cancels is never larger than m2 of the group. Threads are merged by Chan's
//            formula and slabs in f64. The order follows from shapes and strides alone
// Refuses    nothing
// Source     Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance: analysis and
//            recommendations", The American Statistician 37
#pragma once

#include "cuda/batch_norm_walk.cuh"

namespace pycnn::cuda {

constexpr int kSumLoads = 4;     // of a thread, under way at a time
constexpr int kReduceLoads = 2;  // of each of two arrays

// Where a block's two sums of each channel go: the step from slab to slab is that of a workspace, 0
// where one slab fills the outputs.
struct NormParts {
    FloatVector first, second;
    int64_t slab_step;
};

template <class A>
__device__ __forceinline__ void store_part(const FloatVector& part, int64_t slab_step, int64_t slab,
                                           int64_t channel, A value) {
    store_float(part.data, part.dtype, slab * slab_step + channel * part.step, value);
}

template <class T>
struct NormStats {
    Elements<T> x;
    NormParts parts;  // mean, m2
    NormWalk<1> walk;
};

// Mean and m2 of one thread's elements of `Channels` channels, as many of each.
template <class A, int Channels>
struct Moments {
    A count, mean[Channels], m2[Channels];

    // `Many` vectors more, of Channels or of `Pixels` elements of one channel. With s and q the
    // sums of d and d^2 for d = x - mean, the mean grows by s / n and m2 by q - s^2 / n.
    template <int Many, int Pixels, class V>
    __device__ __forceinline__ void add(const V (&x)[Many]) {
        count += A(Many * Pixels);
        const A share = A(1) / count;
#pragma unroll
        for (int c = 0; c < Channels; ++c) {
            A s = 0, q = 0;
#pragma unroll
            for (int i = 0; i < Many; ++i) {
#pragma unroll
                for (int k = 0; k < Pixels; ++k) {
                    const A d = convert<A>(x[i].v[c + k]) - mean[c];
                    s += d;
                    q += d * d;
                }
            }
            const A moved = s * share;
            mean[c] += moved;
            m2[c] += q - s * moved;
        }
    }
};

template <class T, int Channels, int Pixels, class Index>
__global__ void __launch_bounds__(kNormThreads) batch_norm_stats_kernel(NormStats<T> p) {
    static_assert(Channels == 1 || Pixels == 1, "vectors lie along one of the two");
    using A = Accumulation<T>;
    using V = Vector<typename Elements<T>::Stored, Channels * Pixels>;
    __shared__ A counts[kNormThreads], means[Channels][kNormThreads],
        squares[Channels][kNormThreads];
    const auto share = share_of<Index, Channels>(p.walk, blockIdx.x);
    const auto at = [&](Index v) {
        int64_t place_of[1];
        place(p.walk, share.channel, v, place_of);
        return place_of[0];
    };
    Moments<A, Channels> own{};
    if (share.first < share.last) {
        const V x = p.x.template load<Channels * Pixels>(at(share.first));
#pragma unroll
        for (int c = 0; c < Channels; ++c) own.mean[c] = convert<A>(x.v[c]);
    }
    for_groups<kSumLoads>(share.first, share.last, static_cast<Index>(p.walk.down),
                          [&](auto many, Index v) {
                              constexpr int Many = decltype(many)::value;
                              V x[Many];
#pragma unroll
                              for (int i = 0; i < Many; ++i)
                                  x[i] = p.x.template load<Channels * Pixels>(
                                      at(v + static_cast<Index>(i * p.walk.down)));
                              own.template add<Many, Pixels>(x);
                          });

    counts[threadIdx.x] = own.count;
#pragma unroll
    for (int c = 0; c < Channels; ++c) {
        means[c][threadIdx.x] = own.mean[c];
        squares[c][threadIdx.x] = own.m2[c];
    }
    fold_rows(share.row, p.walk.across, p.walk.down, [&](int slot, int other) {
        const A count = counts[slot], more = counts[other];
        if (more == 0) return;
        const A weight = more / (count + more), both = count * weight;
        counts[slot] = count + more;
#pragma unroll
        for (int c = 0; c < Channels; ++c) {
            const A away = means[c][other] - means[c][slot];
            means[c][slot] += away * weight;
            squares[c][slot] += squares[c][other] + away * away * both;
        }
    });
    if (share.row != 0 || !share.inside) return;
#pragma unroll
    for (int c = 0; c < Channels; ++c) {
        store_part(p.parts.first, p.parts.slab_step, share.slab, share.channel + c,
                   means[c][threadIdx.x]);
        store_part(p.parts.second, p.parts.slab_step, share.slab, share.channel + c,
                   squares[c][threadIdx.x]);
    }
}

template <class T>
struct NormReduce {
    Elements<T> dy, x;
    NormVectors vectors;
    bool relu;
    NormParts parts;   // sum_dy, sum_dy_xhat
    NormWalk<2> walk;  // dy, x
};

template <class T, int Channels, int Pixels, class Index>
__global__ void __launch_bounds__(kNormThreads) batch_norm_reduce_kernel(NormReduce<T> p) {
    static_assert(Channels == 1 || Pixels == 1, "vectors lie along one of the two");
    using A = Accumulation<T>;
    using V = Vector<typename Elements<T>::Stored, Channels * Pixels>;
    __shared__ A sums[Channels][kNormThreads], products[Channels][kNormThreads];
    const auto share = share_of<Index, Channels>(p.walk, blockIdx.x);
    A sum[Channels]{}, product[Channels]{}, invstd[Channels]{};
    if (share.inside) {
        Affine<A, Channels> affine;
        affine_of(p.vectors, share.channel, affine, invstd);
        for_groups<kReduceLoads>(
            share.first, share.last, static_cast<Index>(p.walk.down), [&](auto many, Index v) {
                constexpr int Many = decltype(many)::value;
                V dy[Many], x[Many];
#pragma unroll
                for (int i = 0; i < Many; ++i) {
                    int64_t at[2];
                    place(p.walk, share.channel, v + static_cast<Index>(i * p.walk.down), at);
                    dy[i] = p.dy.template load<Channels * Pixels>(at[0]);
                    x[i] = p.x.template load<Channels * Pixels>(at[1]);
                }
#pragma unroll
                for (int i = 0; i < Many; ++i) {
#pragma unroll
                    for (int j = 0; j < Channels * Pixels; ++j) {
                        const int c = Channels == 1 ? 0 : j;
                        const A d = convert<A>(x[i].v[j]) - affine.mean[c];
                        const bool dead =
                            p.relu && normalised(d, affine.scale[c], affine.shift[c]) <= 0;
                        const A g = dead ? A(0) : convert<A>(dy[i].v[j]);
                        sum[c] += g;
                        product[c] += g * d;
                    }
                }
            });
    }
#pragma unroll
    for (int c = 0; c < Channels; ++c) {
        sums[c][threadIdx.x] = sum[c];
        products[c][threadIdx.x] = product[c];
    }
    fold_rows(share.row, p.walk.across, p.walk.down, [&](int slot, int other) {
#pragma unroll
        for (int c = 0; c < Channels; ++c) {
            sums[c][slot] += sums[c][other];
            products[c][slot] += products[c][other];
        }
    });
    if (share.row != 0 || !share.inside) return;
#pragma unroll
    for (int c = 0; c < Channels; ++c) {
        store_part(p.parts.first, p.parts.slab_step, share.slab, share.channel + c,
                   sums[c][threadIdx.x]);
        store_part(p.parts.second, p.parts.slab_step, share.slab, share.channel + c,
                   products[c][threadIdx.x] * invstd[c]);
    }
}

// --- the second launch ---------------------------------------------------------------------------

constexpr int kMergeChannels = 8, kMergeSlabs = kNormThreads / kMergeChannels;

// What is in the workspace, (slabs, channels) of each sum, and where it goes.
template <class A>
struct NormMerge {
    const A *first, *second;
    FloatVector first_out, second_out;
    int64_t channels, slabs, pixels, each;  // elements of a channel, of one slab of it
};

// Statistics where Moving, which are means to be weighted; else sums.
template <class A, bool Moving>
__global__ void __launch_bounds__(kNormThreads) batch_norm_merge_kernel(NormMerge<A> p) {
    __shared__ double firsts[kNormThreads], seconds[kNormThreads];
    const int thread = static_cast<int>(threadIdx.x), row = thread / kMergeChannels;
    const int64_t channel = int64_t{blockIdx.x} * kMergeChannels + thread % kMergeChannels;
    const bool inside = channel < p.channels;
    const double start = Moving && inside ? static_cast<double>(p.first[channel]) : 0;
    double first = 0, second = 0;
    if (inside) {
#pragma unroll 4
        for (int64_t slab = row; slab < p.slabs; slab += kMergeSlabs) {
            const double a = static_cast<double>(p.first[slab * p.channels + channel]) - start;
            const double b = static_cast<double>(p.second[slab * p.channels + channel]);
            const int64_t left = p.pixels - slab * p.each;
            const double weight = Moving ? static_cast<double>(left < p.each ? left : p.each) : 1;
            first += weight * a;
            second += Moving ? b + weight * a * a : b;
        }
    }
    firsts[thread] = first;
    seconds[thread] = second;
    fold_rows(row, kMergeChannels, kMergeSlabs, [&](int slot, int other) {
        firsts[slot] += firsts[other];
        seconds[slot] += seconds[other];
    });
    if (row != 0 || !inside) return;
    first = firsts[thread], second = seconds[thread];
    if constexpr (Moving) {
        const double moved = first / static_cast<double>(p.pixels);
        second -= first * moved;
        first = start + moved;
    }
    store_float(p.first_out.data, p.first_out.dtype, channel * p.first_out.step, first);
    store_float(p.second_out.data, p.second_out.dtype, channel * p.second_out.step, second);
}

}  // namespace pycnn::cuda
