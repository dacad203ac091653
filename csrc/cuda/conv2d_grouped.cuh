// Grouped convolution: several narrow convolutions side by side, a block's groups together.
//
// Computes   fprop  y[n,k,p,q] = sum_{c,r,s} x[n, g*C/G + c, p*Sh - top + r*Dh, q*Sw - left + s*Dw]
//                                * w[k,c,r,s], g = k / (K/G) the group of k
//            dgrad  dx, wgrad  dw: its adjoints in x and in w; fprop and dgrad end in an epilogue
// Arrays     x, dx (N,C,H,W)  w, dw (K,C/G,R,S)  y, dy (N,K,P,Q); f16/bf16/f32/f64; any strides.
//            Groups of a multiple of 4 channels and filters whose arrays hold 4 channels side by
//            side, aligned, take vectors of 4; others an element at a time
// Grid       fprop, dgrad: x: blocks of pixels * blocks of channels, channels fastest; 128 threads
//            wgrad: slices of the pixels * groups of taps * blocks of weights
// Tiling     fprop, dgrad: a block's filters lie in shared memory, its threads walk over strips of
//            4 outputs by 4 channels: 64 products for 4 loads of the source and 4 of filters.
//            wgrad: a thread has 4 x 4 weights of 3 taps: 48 products for 4 loads
// Traffic    x read, y written, w from the caches; ResNeXt-50's 56x56x128 in 32 groups, bf16: 18
//            FLOP/byte. Without tensor cores (conv2d_grouped_tensor_core.cuh) the products are the
//            limit from 8 channels a group on
// Numerics   sums in f32 (f64 in itself), in a fixed order; wgrad: a thread's in order, then the
//            threads of a block, then the slices: deterministic
// Refuses    one group; more than 64 channels or filters a group; more than 64 taps; images of 2^29
//            rows or columns, padded
// Source     Krizhevsky et al. 2012; Xie et al. 2017, arXiv:1611.05431
#pragma once

#include <algorithm>

#include "cuda/channel_blocks.cuh"
#include "cuda/vector_epilogue.cuh"

namespace pycnn::cuda {

constexpr int kGroupedStrip = 4;  // outputs of a thread along a row

// The outputs of an image by phases: (phase of the rows, phase of the columns, row, strip of
// `Outputs` columns).
struct PhasedImage {
    ConvAxis<int> h, v;
    Division rows, strips, phases_across;

    struct Place {
        int phase_h, phase_v, row, column;  // row and column within the phase
    };
    template <int Outputs>
    __device__ __forceinline__ Place place(int item) const {
        auto rest = static_cast<uint32_t>(item);
        Place p{};
        p.column = static_cast<int>(strips.divide(rest)) * Outputs;
        p.row = static_cast<int>(rows.divide(rest));
        p.phase_v = static_cast<int>(phases_across.divide(rest));
        p.phase_h = static_cast<int>(rest);
        return p;
    }
};

inline PhasedImage phased_image(const Conv2dParams& g, bool adjoint, int outputs,
                                int64_t& per_image) {
    PhasedImage image{};
    image.h = rows_axis<int>(g, adjoint), image.v = columns_axis<int>(g, adjoint);
    const int rows = outputs_of(image.h, 0), columns = outputs_of(image.v, 0);
    const int strips = (columns + outputs - 1) / outputs;
    image.rows = Division(rows), image.strips = Division(strips);
    image.phases_across = Division(image.v.phases);
    per_image = int64_t{image.h.phases} * image.v.phases * rows * strips;
    return image;
}

// Where the weights of an output's channel lie.
struct GroupedFilters {
    int deep, wide;  // channels of a group of the source, of the output
    bool adjoint;
    int64_t steps[4];
    Division wide_division;

    // Of channel `channel` of the output, `d` of its group of the source, at tap (0, 0).
    __device__ __forceinline__ int64_t at(int channel, int d) const {
        if (!adjoint) return channel * steps[0] + d * steps[1];
        auto group = static_cast<uint32_t>(channel);
        const auto in_group = static_cast<int>(wide_division.divide(group));
        return (static_cast<int64_t>(group) * deep + d) * steps[0] + in_group * steps[1];
    }
};

inline GroupedFilters grouped_filters(const Conv2dParams& g, const ArrayView& w, bool adjoint) {
    GroupedFilters f{};
    f.deep = static_cast<int>((adjoint ? g.K : g.C) / g.G);
    f.wide = static_cast<int>((adjoint ? g.C : g.K) / g.G);
    f.adjoint = adjoint;
    std::copy_n(w.strides, 4, f.steps);
    f.wide_division = Division(f.wide);
    return f;
}

template <class T>
struct Grouped {
    const T *source, *w;
    T* out;
    int64_t source_steps[4], out_steps[4];
    GroupedFilters filters;
    Division taps, taps_across, deep;  // R*S, S, channels of a group of the source
    PhasedImage image;
    ChannelBlocks blocks;
    int64_t block_items;  // of a block's threads behind one another
    bool vector_residual;
    Epilogue<T> epilogue;
};

// V channels of the source and of the output at a time: 4, or 1.
template <class T, int V>
__global__ void __launch_bounds__(kChannelThreads, sizeof(T) == 8 ? 3 : 4)
    conv2d_grouped_kernel(Grouped<T> p) {
    using A = Accumulation<T>;
    constexpr int kOutputs = kGroupedStrip;
    const ChannelBlocks& b = p.blocks;
    const int block_channel = static_cast<int>(blockIdx.x) % b.count * b.width;
    const int64_t block = blockIdx.x / static_cast<unsigned>(b.count);
    const int deep = p.filters.deep, taps = static_cast<int>(p.taps.divisor());

    // filters (taps, channels of a group, channels of the block), then the epilogue's vectors
    A* const filters = dynamic_shared<A>();
    T* const vectors = reinterpret_cast<T*>(filters + taps * deep * b.width);
    for (int i = static_cast<int>(threadIdx.x); i < taps * deep * b.width; i += kChannelThreads) {
        auto rest = static_cast<uint32_t>(i);
        const auto tap = static_cast<int>(p.taps.divide(rest));
        const auto d = static_cast<int>(p.deep.divide(rest));
        const auto channel = static_cast<int>(rest);
        if (block_channel + channel >= b.channels) continue;
        auto r = static_cast<uint32_t>(tap);
        const auto s = static_cast<int>(p.taps_across.divide(r));
        filters[(tap * deep + d) * b.width + channel] =
            convert<A>(p.w[p.filters.at(block_channel + channel, d) + r * p.filters.steps[2] +
                           s * p.filters.steps[3]]);
    }
    stage_epilogue(p.epilogue, block_channel, b.width, b.channels, vectors);
    __syncthreads();

    const int lane_channel = b.lane() * V, channel = block_channel + lane_channel;
    if (channel >= b.channels) return;
    const int first_channel =
        static_cast<int>(p.filters.wide_division.quotient(static_cast<uint32_t>(channel))) * deep;
    const ConvAxis<int>&h = p.image.h, &v = p.image.v;
    const int64_t end = std::min((block + 1) * p.block_items, b.items);
    for (int64_t item = block * p.block_items + b.row(); item < end; item += b.rows()) {
        int in_image;
        const int64_t image = b.split(item, in_image);
        const auto place = p.image.template place<kOutputs>(in_image);
        const Meeting<int> down = meeting(h, place.phase_h), across = meeting(v, place.phase_v);
        const int row = place.phase_h + place.row * h.step;
        const int first_row = down.first_row + place.row * h.advance;
        const int first_column = across.first_row + place.column * v.advance;
        const T* const source =
            p.source + image * p.source_steps[0] + first_channel * p.source_steps[1];
        A sums[kOutputs][V];
#pragma unroll
        for (int o = 0; o < kOutputs; ++o)
#pragma unroll
            for (int c = 0; c < V; ++c) sums[o][c] = 0;
        if (row < h.outputs) {
            for (int i = 0; i < down.taps; ++i) {
                const int at = first_row + i * down.row_step;
                if (at < 0 || at >= h.inputs) continue;
                for (int j = 0; j < across.taps; ++j) {
                    const int beside = first_column + j * across.row_step;
                    const int tap = (down.first_tap + i * down.tap_step) * v.taps +
                                    across.first_tap + j * across.tap_step;
                    const T* x = source + at * p.source_steps[2] + beside * p.source_steps[3];
                    const A* f = filters + tap * deep * b.width + lane_channel;
#pragma unroll 1
                    for (int d = 0; d < deep; d += V) {
                        Vector<T, V> value[kOutputs];
#pragma unroll
                        for (int o = 0; o < kOutputs; ++o) {
                            const int column = beside + o * v.advance;
                            value[o] = Vector<T, V>{};
                            if (column >= 0 && column < v.inputs)
                                value[o] = load_vector<T, V>(x + o * v.advance * p.source_steps[3]);
                        }
#pragma unroll
                        for (int e = 0; e < V; ++e) {
                            const auto weights = load_vector<A, V>(f + e * b.width);
#pragma unroll
                            for (int o = 0; o < kOutputs; ++o) {
                                const A a = convert<A>(value[o].v[e]);
#pragma unroll
                                for (int c = 0; c < V; ++c) sums[o][c] += a * weights.v[c];
                            }
                        }
                        x += V * p.source_steps[1];
                        f += V * b.width;
                    }
                }
            }
        }
        if (row >= h.outputs) continue;
        scale_and_shift(p.epilogue, vectors, b.width, lane_channel, sums);
#pragma unroll
        for (int o = 0; o < kOutputs; ++o) {
            const int column = place.phase_v + (place.column + o) * v.step;
            if (column >= v.outputs) continue;
            if (p.epilogue.residual != nullptr) {
                const int64_t (&steps)[4] = p.epilogue.residual_steps;
                add_residual(p.epilogue.residual + image * steps[0] + channel * steps[1] +
                                 row * steps[2] + column * steps[3],
                             steps[1], p.vector_residual, sums[o]);
            }
            activate_each(p.epilogue.activation, sums[o]);
            store_vector(p.out + image * p.out_steps[0] + channel * p.out_steps[1] +
                             row * p.out_steps[2] + column * p.out_steps[3],
                         rounded<T>(sums[o]));
        }
    }
}

constexpr int kGroupedTaps = 3;  // of a block of wgrad

template <class T>
struct GroupedWgrad {
    const T *x, *dy;
    Accumulation<T>* partial;  // (slices, R, S, tiles of V x V weights)
    int64_t x_steps[4], dy_steps[4];
    int height, width;  // of x
    int taps, taps_across, groups;
    int stride_h, stride_w, top, left, dilation_h, dilation_w;
    Division tiles_deep, tiles_wide;  // tiles of a group: of channels, of filters
    int deep;                         // channels of a group
    int64_t slice_items;
    Division columns;      // Q
    ChannelBlocks blocks;  // of weights: N is V * V, and a lane one tile
};

template <class T, int V>
__global__ void __launch_bounds__(kChannelThreads) conv2d_wgrad_grouped_kernel(GroupedWgrad<T> p) {
    using A = Accumulation<T>;
    const ChannelBlocks& b = p.blocks;
    const int block_weight = static_cast<int>(blockIdx.x) % b.count * b.width;
    const int rest = static_cast<int>(blockIdx.x) / b.count;
    const int first_tap = rest % p.groups * kGroupedTaps, slice = rest / p.groups;
    const int weight = block_weight + b.lane() * V * V;
    // a tile: (filters of all groups / V, channels of a group / V)
    auto tile = static_cast<uint32_t>(weight / (V * V));
    const auto c = static_cast<int>(p.tiles_deep.divide(tile)) * V;
    const int k = static_cast<int>(tile) * V;
    const auto group = static_cast<int>(p.tiles_wide.quotient(tile));

    A sums[kGroupedTaps][V * V];
    int down[kGroupedTaps], across[kGroupedTaps];
#pragma unroll
    for (int t = 0; t < kGroupedTaps; ++t) {
        const int tap = first_tap + t;
        // a tap past the last lies outside every image
        down[t] = tap < p.taps ? tap / p.taps_across * p.dilation_h - p.top : 1 << 30;
        across[t] = tap % p.taps_across * p.dilation_w - p.left;
#pragma unroll
        for (int i = 0; i < V * V; ++i) sums[t][i] = 0;
    }
    const int64_t end = std::min((slice + 1) * p.slice_items, b.items);
    for (int64_t item = slice * p.slice_items + b.row(); item < end && weight < b.channels;
         item += b.rows()) {
        int in_image;
        const int64_t image = b.split(item, in_image);
        auto quotient = static_cast<uint32_t>(in_image);
        const auto column = static_cast<int>(p.columns.divide(quotient));
        const auto row = static_cast<int>(quotient);
        const auto given = load_vector<T, V>(p.dy + image * p.dy_steps[0] + k * p.dy_steps[1] +
                                             row * p.dy_steps[2] + column * p.dy_steps[3]);
        const T* const x =
            p.x + image * p.x_steps[0] + (int64_t{group} * p.deep + c) * p.x_steps[1];
#pragma unroll
        for (int t = 0; t < kGroupedTaps; ++t) {
            const int h = row * p.stride_h + down[t], v = column * p.stride_w + across[t];
            if (h < 0 || h >= p.height || v < 0 || v >= p.width) continue;
            const auto value = load_vector<T, V>(x + h * p.x_steps[2] + v * p.x_steps[3]);
#pragma unroll
            for (int i = 0; i < V; ++i) {
                const A a = convert<A>(given.v[i]);
#pragma unroll
                for (int j = 0; j < V; ++j) sums[t][i * V + j] += a * convert<A>(value.v[j]);
            }
        }
    }
    join_threads(b, block_weight, sums, p.partial + int64_t{slice} * p.taps * b.channels,
                 [&](int t) { return first_tap + t < p.taps ? first_tap + t : -1; });
}

}  // namespace pycnn::cuda
