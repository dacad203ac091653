// The gradient of a depthwise convolution's filters.
//
// Computes   dw[k,0,r,s] = sum_{n,p,q} x[n, k/M, p*Sh - top + r*Dh, q*Sw - left + s*Dw]
//                                               * dy[n,k,p,q], M = K/C
// Arrays     x (N,C,H,W)  dy (N,K,P,Q)  dw (K,1,R,S); f16/bf16/f32/f64; any strides. Vectors of
//            channels where x and dy allow them, as in conv2d_depthwise.cuh
// Grid       x: slices of the pixels * groups of taps * blocks of channels, channels fastest
// Tiling     strip: a thread loads a strip of 4 of dy and, for some rows of taps, the places of x
//            under it, each once for every product it is in. taps: a place of dy and 9 of x.
//            A thread keeps a sum for each of its taps and channels over all its strips; its block
//            adds them through shared memory to one row of partial sums
// Traffic    x and dy read, RSC written, 2 RS FLOPs a pixel: bandwidth
// Numerics   sums in f32 (f64 in itself): a thread's in order, then the threads of a block in
//            order, then the slices (partial_sums.cuh): deterministic. In a strip what padding
//            covers counts as 0
// Refuses    groups of more than one channel; images of 2^29 rows or columns, padded
// Source     Chollet 2017, arXiv:1610.02357
#pragma once

#include <algorithm>

#include "cuda/conv2d_depthwise.cuh"

namespace pycnn::cuda {

template <class T>
struct DepthwiseWgradStrip {
    const T *x, *dy;
    Accumulation<T>* partial;         // (slices, across taps, along taps, K)
    int64_t x_steps[4], dy_steps[4];  // of n, c, along, across
    StripAxis along, across;          // outputs are dy's
    int taps_across, groups;          // of rows of taps
    int64_t slice_items;
    Division rows;  // of dy across the strips
    ChannelBlocks blocks;
};

// `Rows` rows of `Along` taps a block.
template <class T, int N, int Rows, int Along, int Stride>
__global__ void __launch_bounds__(kChannelThreads, N * sizeof(T) == 16 && sizeof(T) == 2 ? 2 : 4)
    depthwise_wgrad_strip_kernel(DepthwiseWgradStrip<T> p) {
    using A = Accumulation<T>;
    using S = Strip<Along, Stride, false>;
    const ChannelBlocks& b = p.blocks;
    const int block_channel = static_cast<int>(blockIdx.x) % b.count * b.width;
    const int rest = static_cast<int>(blockIdx.x) / b.count;
    const int first_tap = rest % p.groups * Rows, slice = rest / p.groups;
    const int channel = block_channel + b.lane() * N;
    A sums[Rows * Along][N];
#pragma unroll
    for (int t = 0; t < Rows * Along; ++t)
#pragma unroll
        for (int c = 0; c < N; ++c) sums[t][c] = 0;

    const int64_t end = std::min((slice + 1) * p.slice_items, b.items);
    for (int64_t item = slice * p.slice_items + b.row(); item < end && channel < b.channels;
         item += b.rows()) {
        int in_image;
        const int64_t image = b.split(item, in_image);
        auto strip = static_cast<uint32_t>(in_image);
        const auto row = static_cast<int>(p.rows.divide(strip));
        const int output = static_cast<int>(strip) * S::kOutputs;
        const int input = p.along.first_input + static_cast<int>(strip) * S::kAdvance;
        const T* const dy = p.dy + image * p.dy_steps[0] + channel * p.dy_steps[1] +
                            output * p.dy_steps[2] + row * p.dy_steps[3];
        const T* const x =
            p.x + image * p.x_steps[0] + channel * p.x_steps[1] + input * p.x_steps[2];
        Vector<T, N> given[S::kOutputs];
#pragma unroll
        for (int i = 0; i < S::kOutputs; ++i) {
            given[i] = Vector<T, N>{};
            if (output + i < p.along.outputs) given[i] = load_vector<T, N>(dy + i * p.dy_steps[2]);
        }
#pragma unroll
        for (int r = 0; r < Rows; ++r) {
            const int at = p.across.first_input + row * Stride + first_tap + r;
            if (at < 0 || at >= p.across.inputs) continue;
            Vector<T, N> window[S::kWindow];
#pragma unroll
            for (int i = 0; i < S::kWindow; ++i) {
                window[i] = Vector<T, N>{};
                if (input + i >= 0 && input + i < p.along.inputs)
                    window[i] = load_vector<T, N>(x + at * p.x_steps[3] + i * p.x_steps[2]);
            }
#pragma unroll
            for (int i = 0; i < S::kWindow; ++i) {
#pragma unroll
                for (int c = 0; c < N; ++c) {
                    const A value = convert<A>(window[i].v[c]);
#pragma unroll
                    for (int o = 0; o < S::kOutputs; ++o) {
                        const int s = S::tap(o, i);
                        if (s >= 0 && s < Along)
                            sums[r * Along + s][c] += value * convert<A>(given[o].v[c]);
                    }
                }
            }
        }
    }
    join_threads(b, block_channel, sums,
                 p.partial + int64_t{slice} * p.taps_across * Along * b.channels, [&](int t) {
                     const int r = first_tap + t / Along;
                     return r < p.taps_across ? r * Along + t % Along : -1;
                 });
}

constexpr int kWgradTaps = 9;  // of a block

template <class T>
struct DepthwiseWgradTaps {
    const T *x, *dy;
    Accumulation<T>* partial;  // (slices, R, S, K)
    int64_t x_steps[4], dy_steps[4];
    int height, width;  // of x
    int taps, taps_across, groups;
    int stride_h, stride_w, top, left, dilation_h, dilation_w;
    int64_t slice_items;
    Division columns;  // Q
    int share;         // K/C
    ChannelBlocks blocks;
};

// Any filter: `kWgradTaps` taps a block.
template <class T, int N>
__global__ void __launch_bounds__(kChannelThreads)
    depthwise_wgrad_taps_kernel(DepthwiseWgradTaps<T> p) {
    using A = Accumulation<T>;
    const ChannelBlocks& b = p.blocks;
    const int block_channel = static_cast<int>(blockIdx.x) % b.count * b.width;
    const int rest = static_cast<int>(blockIdx.x) / b.count;
    const int first_tap = rest % p.groups * kWgradTaps, slice = rest / p.groups;
    const int channel = block_channel + b.lane() * N;
    A sums[kWgradTaps][N];
    int down[kWgradTaps], across[kWgradTaps];  // a tap's distance from the first
#pragma unroll
    for (int t = 0; t < kWgradTaps; ++t) {
        const int tap = first_tap + t;
        // a tap past the last lies outside every image
        down[t] = tap < p.taps ? tap / p.taps_across * p.dilation_h - p.top : 1 << 30;
        across[t] = tap % p.taps_across * p.dilation_w - p.left;
#pragma unroll
        for (int c = 0; c < N; ++c) sums[t][c] = 0;
    }
    const int64_t end = std::min((slice + 1) * p.slice_items, b.items);
    for (int64_t item = slice * p.slice_items + b.row(); item < end && channel < b.channels;
         item += b.rows()) {
        int in_image;
        const int64_t image = b.split(item, in_image);
        auto quotient = static_cast<uint32_t>(in_image);
        const auto column = static_cast<int>(p.columns.divide(quotient));
        const auto row = static_cast<int>(quotient);
        const auto given =
            load_vector<T, N>(p.dy + image * p.dy_steps[0] + channel * p.dy_steps[1] +
                              row * p.dy_steps[2] + column * p.dy_steps[3]);
        const T* const x = p.x + image * p.x_steps[0] + channel / p.share * p.x_steps[1];
#pragma unroll
        for (int t = 0; t < kWgradTaps; ++t) {
            const int h = row * p.stride_h + down[t], v = column * p.stride_w + across[t];
            if (h < 0 || h >= p.height || v < 0 || v >= p.width) continue;
            const auto value = load_vector<T, N>(x + h * p.x_steps[2] + v * p.x_steps[3]);
#pragma unroll
            for (int c = 0; c < N; ++c)
                sums[t][c] += convert<A>(value.v[c]) * convert<A>(given.v[c]);
        }
    }
    join_threads(b, block_channel, sums, p.partial + int64_t{slice} * p.taps * b.channels,
                 [&](int t) { return first_tap + t < p.taps ? first_tap + t : -1; });
}

}  // namespace pycnn::cuda
