// Depthwise convolution: every filter sees one channel of x; M = K/C filters per channel.
//
// Computes   fprop  y[n,k,p,q] = sum_{r,s} x[n, k/M, p*Sh - top + r*Dh, q*Sw - left + s*Dw]
//                                                * w[k,0,r,s]
//            dgrad  dx[n,c,h,w], its adjoint in x; both end in an epilogue
// Arrays     x, dx (N,C,H,W)  w (K,1,R,S)  y, dy (N,K,P,Q); f16/bf16/f32/f64; any strides.
//            Channels-last arrays whose pixels begin on multiples of 16 (or 4) bytes take vectors
//            of channels, others an element at a time
// Grid       x: blocks of strips * blocks of channels, channels fastest; 128 threads, along the
//            channels first where these lie together, else along the columns
// Tiling     strip: a thread owns a strip of 4 outputs of its 16 bytes of channels and walks across
//            it, row after row; each place of the source under the strip is loaded once for every
//            tap and output it meets. A 3x3 filter stays in registers, larger ones in shared
//            memory. An axis of the image is along the strip or across it: channels-last has strips
//            along the columns, planes along the rows, so that neighbouring threads read
//            neighbours. gather: an output a thread, any filter
// Traffic    HWC + RSC read, PQC written, 2 RS FLOPs an output; Xception 147x147x128 3x3 in bf16:
//            4.5 FLOP/byte, bandwidth. A strip of 3x3 loads 4.5 inputs an output instead of 9
// Numerics   sums in f32 (f64 in itself), taps in a fixed order: deterministic. What padding covers
//            counts as 0
// Refuses    groups of more than one channel; images of 2^29 rows or columns, padded
// Source     Chollet 2017, arXiv:1610.02357
#pragma once

#include "cuda/channel_blocks.cuh"
#include "cuda/vector_epilogue.cuh"

namespace pycnn::cuda {

constexpr int kStrip = 4;  // outputs of a thread

// What a strip of outputs reads along its own axis. In dgrad with a stride a strip begins where
// output + before is a multiple of it, so that the pattern is always the same.
template <int Taps, int Stride, bool Adjoint>
struct Strip {
    static constexpr int kOutputs = kStrip;
    static constexpr int kFirst = Adjoint ? -((Taps - 1) / Stride) : 0;
    static constexpr int kWindow =
        Adjoint ? (kOutputs - 1) / Stride - kFirst + 1 : (kOutputs - 1) * Stride + Taps;
    static constexpr int kAdvance = Adjoint ? kOutputs / Stride : kOutputs * Stride;
    static_assert(kOutputs % Stride == 0, "every strip sees the same taps");

    // The tap between output i and place b of the window; outside the filter for none.
    static constexpr int tap(int i, int b) {
        return Adjoint ? i - Stride * (kFirst + b) : b - i * Stride;
    }
};

// One axis of the image: where the first strip begins, or the first step across it.
struct StripAxis {
    int outputs, inputs;
    int first_output, first_input;
};

template <class T>
struct DepthwiseStrip {
    const T *source, *w;
    T* out;
    int64_t source_steps[4], out_steps[4], residual_steps[4];  // of n, c, along, across
    int64_t w_steps[3];                                        // of k, along, across
    StripAxis along, across;
    int taps_across;  // where they are not known when compiling
    int steps;        // a thread's, across
    Division walks;   // threads one behind the other across the image
    ChannelBlocks blocks;
    bool flipped;  // dgrad without a stride: the filter from its other end
    bool vector_residual;
    Epilogue<T> epilogue;
};

// Taps across and along the strip; Across is 0 where only the launch knows it.
template <class T, int N, int Across, int Along, int Stride, bool Adjoint>
__global__ void __launch_bounds__(kChannelThreads, N * sizeof(T) == 16 && sizeof(T) == 2 ? 2 : 4)
    depthwise_strip_kernel(DepthwiseStrip<T> p) {
    using A = Accumulation<T>;
    using S = Strip<Along, Stride, Adjoint>;
    constexpr int kPatch = Adjoint ? Stride : 1;  // outputs of a step across
    const ChannelBlocks& b = p.blocks;
    const int taps_across = Across > 0 ? Across : p.taps_across;
    const int block_channel = static_cast<int>(blockIdx.x) % b.count * b.width;

    // filters (taps, channels of the block), then the epilogue's vectors
    T* const filters = dynamic_shared<T>();
    const int taps = taps_across * Along;
    T* const vectors = filters + taps * b.width;
    for (int i = static_cast<int>(threadIdx.x); i < taps * b.width; i += kChannelThreads) {
        const int channel = i / taps, tap = i % taps;
        const int across = tap / Along, along = tap % Along;
        if (block_channel + channel < b.channels)
            filters[(p.flipped ? taps - 1 - tap : tap) * b.width + channel] =
                p.w[(block_channel + channel) * p.w_steps[0] + along * p.w_steps[1] +
                    across * p.w_steps[2]];
    }
    stage_epilogue(p.epilogue, block_channel, b.width, b.channels, vectors);
    __syncthreads();

    const int lane_channel = b.lane() * N, channel = block_channel + lane_channel;
    const int64_t item = int64_t{blockIdx.x / static_cast<unsigned>(b.count)} * b.rows() + b.row();
    if (item >= b.items || channel >= b.channels) return;
    int rest;
    const int64_t image = b.split(item, rest);
    auto strip = static_cast<uint32_t>(rest);
    const auto walk = static_cast<int>(p.walks.divide(strip));
    const int output = p.along.first_output + static_cast<int>(strip) * S::kOutputs;
    const int input = p.along.first_input + static_cast<int>(strip) * S::kAdvance;

    const T* const source = p.source + image * p.source_steps[0] + channel * p.source_steps[1] +
                            input * p.source_steps[2];
    T* const out =
        p.out + image * p.out_steps[0] + channel * p.out_steps[1] + output * p.out_steps[2];
    const int64_t residual =
        image * p.residual_steps[0] + channel * p.residual_steps[1] + output * p.residual_steps[2];
    unsigned inside = 0;  // which places of the window lie in the source
#pragma unroll
    for (int i = 0; i < S::kWindow; ++i)
        inside |= (input + i >= 0 && input + i < p.along.inputs ? 1u : 0u) << i;

    A held[Across > 0 ? Across : 1][Along][N];  // the filter
    const auto load_taps = [&](int r, A(&to)[Along][N]) {
#pragma unroll
        for (int s = 0; s < Along; ++s) {
            const auto f = load_vector<T, N>(filters + (r * Along + s) * b.width + lane_channel);
#pragma unroll
            for (int c = 0; c < N; ++c) to[s][c] = convert<A>(f.v[c]);
        }
    };
    if constexpr (Across > 0) {
#pragma unroll
        for (int r = 0; r < Across; ++r) load_taps(r, held[r]);
    }

    // output `row` of the axis across: the taps r = phase, phase + stride, ... of row `from` of the
    // source in dgrad, all of them in fprop
    const auto finish_row = [&](auto phase, int row, int from) {
        if (row < 0 || row >= p.across.outputs) return;
        A sums[S::kOutputs][N];
#pragma unroll
        for (int i = 0; i < S::kOutputs; ++i)
#pragma unroll
            for (int c = 0; c < N; ++c) sums[i][c] = 0;
        const auto add = [&](int r, const A(&f)[Along][N]) {
            const int at = from + (Adjoint ? (phase() - r) / Stride : r);
            if (at < 0 || at >= p.across.inputs) return;
            Vector<T, N> window[S::kWindow];
#pragma unroll
            for (int i = 0; i < S::kWindow; ++i) {
                window[i] = Vector<T, N>{};
                if (inside >> i & 1)
                    window[i] =
                        load_vector<T, N>(source + at * p.source_steps[3] + i * p.source_steps[2]);
            }
#pragma unroll
            for (int i = 0; i < S::kWindow; ++i) {
#pragma unroll
                for (int c = 0; c < N; ++c) {
                    const A value = convert<A>(window[i].v[c]);
#pragma unroll
                    for (int o = 0; o < S::kOutputs; ++o) {
                        const int s = S::tap(o, i);
                        if (s >= 0 && s < Along) sums[o][c] += value * f[s][c];
                    }
                }
            }
        };
        constexpr int kEvery = Adjoint ? Stride : 1;
        if constexpr (Across > 0) {
#pragma unroll
            for (int r = phase(); r < Across; r += kEvery) add(r, held[r]);
        } else {
#pragma unroll 1
            for (int r = phase(); r < taps_across; r += kEvery) {
                load_taps(r, held[0]);
                add(r, held[0]);
            }
        }
        scale_and_shift(p.epilogue, vectors, b.width, lane_channel, sums);
#pragma unroll
        for (int i = 0; i < S::kOutputs; ++i) {
            if (output + i < 0 || output + i >= p.along.outputs) continue;
            if (p.epilogue.residual != nullptr)
                add_residual(p.epilogue.residual + residual + row * p.residual_steps[3] +
                                 i * p.residual_steps[2],
                             p.residual_steps[1], p.vector_residual, sums[i]);
            activate_each(p.epilogue.activation, sums[i]);
            store_vector(out + row * p.out_steps[3] + i * p.out_steps[2], rounded<T>(sums[i]));
        }
    };

    for (int step = walk * p.steps; step < (walk + 1) * p.steps; ++step) {
        const int row = p.across.first_output + step * kPatch;
        const int from = p.across.first_input + step * (Adjoint ? 1 : Stride);
        finish_row(std::integral_constant<int, 0>{}, row, from);
        if constexpr (kPatch > 1) finish_row(std::integral_constant<int, 1>{}, row + 1, from);
        static_assert(kPatch <= 2, "strides 1 and 2");
    }
}

// Any filter, stride and dilation; a thread owns the outputs of N channels at one place.
template <class T>
struct DepthwiseGather {
    const T *source, *w;
    T* out;
    int64_t source_steps[4], w_steps[3], out_steps[4];
    ConvAxis<int> h, v;
    Division width;
    ChannelBlocks blocks;
    int each;   // the output's channel c sums over the source's from c / share * each on
    int share;  // and has the filters from c * each on
    Epilogue<T> epilogue;
};

// With N > 1 the filters are staged in shared memory, and each and share are 1.
template <class T, int N>
__global__ void __launch_bounds__(kChannelThreads, 8)
    depthwise_gather_kernel(DepthwiseGather<T> p) {
    using A = Accumulation<T>;
    const ChannelBlocks& b = p.blocks;
    const int block_channel = static_cast<int>(blockIdx.x) % b.count * b.width;
    T* const filters = dynamic_shared<T>();
    if constexpr (N > 1) {
        const int taps = p.h.taps * p.v.taps;
        for (int i = static_cast<int>(threadIdx.x); i < taps * b.width; i += kChannelThreads) {
            const int channel = i / taps, tap = i % taps;
            if (block_channel + channel < b.channels)
                filters[tap * b.width + channel] =
                    p.w[(block_channel + channel) * p.w_steps[0] + tap / p.v.taps * p.w_steps[1] +
                        tap % p.v.taps * p.w_steps[2]];
        }
        stage_epilogue(p.epilogue, block_channel, b.width, b.channels, filters + taps * b.width);
        __syncthreads();
    }
    const int lane_channel = b.lane() * N, channel = block_channel + lane_channel;
    const int64_t item = int64_t{blockIdx.x / static_cast<unsigned>(b.count)} * b.rows() + b.row();
    if (item >= b.items || channel >= b.channels) return;
    int rest;
    const int64_t image = b.split(item, rest);
    auto quotient = static_cast<uint32_t>(rest);
    const auto column = static_cast<int>(p.width.divide(quotient));
    const auto row = static_cast<int>(quotient);
    const Meeting<int> down = meeting(p.h, row), across = meeting(p.v, column);
    const T* const source = p.source + image * p.source_steps[0] +
                            int64_t{channel / p.share} * p.each * p.source_steps[1];
    const T* const w = p.w + int64_t{channel} * p.each * p.w_steps[0];
    A sums[1][N];
#pragma unroll
    for (int c = 0; c < N; ++c) sums[0][c] = 0;
    for (int i = 0; i < down.taps; ++i) {
        const int at = down.first_row + i * down.row_step;
        if (at < 0 || at >= p.h.inputs) continue;
        const int r = down.first_tap + i * down.tap_step;
        for (int j = 0; j < across.taps; ++j) {
            const int beside = across.first_row + j * across.row_step;
            if (beside < 0 || beside >= p.v.inputs) continue;
            const int s = across.first_tap + j * across.tap_step;
            const T* from = source + at * p.source_steps[2] + beside * p.source_steps[3];
            if constexpr (N > 1) {
                const auto x = load_vector<T, N>(from);
                const auto f =
                    load_vector<T, N>(filters + (r * p.v.taps + s) * b.width + lane_channel);
#pragma unroll
                for (int c = 0; c < N; ++c) sums[0][c] += convert<A>(x.v[c]) * convert<A>(f.v[c]);
            } else {
                const T* f = w + r * p.w_steps[1] + s * p.w_steps[2];
                for (int m = 0; m < p.each; ++m)
                    sums[0][0] +=
                        convert<A>(from[m * p.source_steps[1]]) * convert<A>(f[m * p.w_steps[0]]);
            }
        }
    }
    T* const out = p.out + image * p.out_steps[0] + channel * p.out_steps[1] +
                   row * p.out_steps[2] + column * p.out_steps[3];
    const int64_t residual =
        image * p.epilogue.residual_steps[0] + channel * p.epilogue.residual_steps[1] +
        row * p.epilogue.residual_steps[2] + column * p.epilogue.residual_steps[3];
    if constexpr (N > 1) {
        const T* vectors = filters + p.h.taps * p.v.taps * b.width;
        scale_and_shift(p.epilogue, vectors, b.width, lane_channel, sums);
        if (p.epilogue.residual != nullptr)
            add_residual(p.epilogue.residual + residual, p.epilogue.residual_steps[1], false,
                         sums[0]);
        activate_each(p.epilogue.activation, sums[0]);
    } else {
        sums[0][0] = finish(p.epilogue, sums[0][0], channel, residual);
    }
    store_vector(out, rounded<T>(sums[0]));
}

}  // namespace pycnn::cuda
