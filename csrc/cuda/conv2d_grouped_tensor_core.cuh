// Grouped fprop and dgrad of halves on tensor cores: neighbouring groups, side by side, in one
// product whose weights are zero off the diagonal blocks.
//
// Computes   as conv2d_grouped.cuh
// Arrays     f16, bf16; 4 channels of every pixel side by side, aligned; w of any strides. 16
//            channels of the output are whole groups or part of one, and read 16, 32, 48 or 64 of
//            the source
// Grid       x: blocks of pixels * phases * blocks of channels, channels fastest; 4 warps
// Tiling     a warp has 64 outputs (of one phase) by 16 channels, in 4 x 2 tiles of mma.m16n8k16;
//            a block has up to 64 channels, its filters lie in shared memory as the registers of
//            the products and serve all the tiles that it walks over. The source goes from global
//            memory to registers: the depth of a product is in an order in which a thread's four
//            elements are neighbours, 8 bytes a load; so are the columns, for the stores
// Traffic    x read, y written, w from the caches; ResNeXt-50's 56x56x128 in 32 groups, bf16: 18
//            FLOP/byte, bandwidth. The product multiplies 16/(C/G) times as much as it must
// Numerics   sums in f32, one product a tap and 16 channels, in order: deterministic. Zeros off the
//            diagonal multiply the channels of neighbouring groups: where these hold NaN or
//            infinity, the 16 channels they share a product with turn to NaN
// Refuses    as conv2d_grouped.cuh; the launcher leaves other shapes and wgrad to it
// Source     Xie et al. 2017, arXiv:1611.05431
#pragma once

#include "cuda/conv2d_grouped.cuh"

namespace pycnn::cuda {

constexpr int kSuperGroup = 16;       // channels of a warp
constexpr int kGroupedPixels = 64;    // its outputs
constexpr int kOutside = -(1 << 30);  // a row that no tap brings back into an image
constexpr int kGroupedWarps = kChannelThreads / 32;
static_assert(kGroupedPixels % 16 == 0, "whole tiles of a product");

template <class T>
struct GroupedTensorCore {
    const T *source, *w;
    T* out;
    int64_t source_steps[4], out_steps[4];
    GroupedFilters filters;
    Division deep, taps, taps_across, depth_steps;
    PhasedImage image;      // one output a strip
    ChannelBlocks blocks;   // items are the outputs of one phase; width is that of a block
    int warps_across_log2;  // warps of a block side by side along the channels
    int tiles;              // that a block's warps walk over
    bool vector_residual;
    Epilogue<T> epilogue;
};

// The first channel of the source that the output's 16 channels from `channel` on read.
__device__ __forceinline__ int first_of_source(const GroupedFilters& f, int channel) {
    return static_cast<int>(f.wide_division.quotient(static_cast<uint32_t>(channel))) * f.deep;
}

// Two weights as a register holds them: output channel `channel`, channels d and d + 1 of the
// source.
template <class T>
__device__ __forceinline__ uint32_t grouped_weights(const GroupedTensorCore<T>& p, int channel,
                                                    int d, int64_t tap_at) {
    const auto group = p.filters.wide_division.quotient(static_cast<uint32_t>(channel));
    uint32_t pair = 0;
#pragma unroll
    for (int e = 0; e < 2; ++e) {
        auto source_group = static_cast<uint32_t>(d + e);
        const auto in_group = static_cast<int>(p.deep.divide(source_group));
        if (source_group == group && channel < p.blocks.channels)
            pair |= uint32_t{p.w[p.filters.at(channel, in_group) + tap_at].bits} << 16 * e;
    }
    return pair;
}

template <class T>
__global__ void __launch_bounds__(kChannelThreads, 3)
    conv2d_grouped_tensor_core_kernel(GroupedTensorCore<T> p) {
    constexpr int kTiles = kGroupedPixels / 16;
    const ChannelBlocks& b = p.blocks;
    const ConvAxis<int>&h = p.image.h, &v = p.image.v;
    const int block_channel = static_cast<int>(blockIdx.x) % b.count * b.width;
    int64_t block = blockIdx.x / static_cast<unsigned>(b.count);
    const int phases = h.phases * v.phases, phase = static_cast<int>(block % phases);
    block /= phases;
    const int taps = static_cast<int>(p.taps.divisor());
    const auto depth_steps = static_cast<int>(p.depth_steps.divisor());

    // weights: (warps across, taps, steps of the depth, lanes, registers), then the epilogue's
    auto* const weights = dynamic_shared<uint32_t>();
    const int each = taps * depth_steps * 128, across_log2 = p.warps_across_log2;
    T* const vectors = reinterpret_cast<T*>(weights + (each << across_log2));
    for (int i = static_cast<int>(threadIdx.x); i < each << across_log2; i += kChannelThreads) {
        const int reg = i & 3, to_lane = i >> 2 & 31;
        auto rest = static_cast<uint32_t>(i >> 7);
        const auto step = static_cast<int>(p.depth_steps.divide(rest));
        auto r = p.taps.divide(rest);
        const uint32_t s = p.taps_across.divide(r);
        const int first = block_channel + static_cast<int>(rest) * kSuperGroup;
        const int column = to_lane >> 2, part = to_lane & 3;
        const int channel = first + 4 * (column >> 1) + 2 * (reg >> 1) + (column & 1);
        const int d = first_of_source(p.filters, first) + step * 16 + 4 * part + 2 * (reg & 1);
        weights[i] =
            first < b.channels
                ? grouped_weights(p, channel, d, r * p.filters.steps[2] + s * p.filters.steps[3])
                : 0;
    }
    stage_epilogue(p.epilogue, block_channel, b.width, b.channels, vectors);
    __syncthreads();

    const int warp = static_cast<int>(threadIdx.x) >> 5;
    const int warp_across = warp & ((1 << across_log2) - 1), warp_behind = warp >> across_log2;
    const int super_channel = block_channel + warp_across * kSuperGroup;
    if (super_channel >= b.channels) return;  // the whole warp
    const int part = static_cast<int>(lane()) & 3, line = static_cast<int>(lane()) >> 2;
    const int channel = super_channel + 4 * part;
    const uint32_t* const mine = weights + warp_across * each + static_cast<int>(lane()) * 4;
    const int source_channel = first_of_source(p.filters, super_channel) + 4 * part;

    auto phase_h = static_cast<uint32_t>(phase);
    const auto phase_v = static_cast<int>(p.image.phases_across.divide(phase_h));
    const Meeting<int> down = meeting(h, static_cast<int>(phase_h)), across = meeting(v, phase_v);

    for (int tile = 0; tile < p.tiles; ++tile) {
        const int64_t first =
            ((block * p.tiles + tile) * (kGroupedWarps >> across_log2) + warp_behind) *
            kGroupedPixels;
        if (first >= b.items) return;  // the whole warp
        // this thread's outputs are lines line, line + 8, ... of the tile
        const T* from[2 * kTiles];
        int row[2 * kTiles], column[2 * kTiles];  // of the source, at the phase's first tap
#pragma unroll
        for (int i = 0; i < 2 * kTiles; ++i) {
            const int64_t item = first + 8 * i + line;
            row[i] = kOutside;
            column[i] = 0;
            from[i] = p.source;
            if (item < b.items) {
                int in_image;
                const int64_t image = b.split(item, in_image);
                const auto place = p.image.template place<1>(in_image);
                row[i] = down.first_row + place.row * h.advance;
                column[i] = across.first_row + place.column * v.advance;
                from[i] += image * p.source_steps[0] + source_channel * p.source_steps[1] +
                           row[i] * p.source_steps[2] + column[i] * p.source_steps[3];
            }
        }
        float sums[kTiles][2][4];
#pragma unroll
        for (int m = 0; m < kTiles; ++m)
#pragma unroll
            for (int t = 0; t < 2; ++t)
#pragma unroll
                for (int i = 0; i < 4; ++i) sums[m][t][i] = 0;
        for (int i = 0; i < down.taps; ++i) {
            for (int j = 0; j < across.taps; ++j) {
                const int below = i * down.row_step, beside = j * across.row_step;
                const int tap = (down.first_tap + i * down.tap_step) * v.taps + across.first_tap +
                                j * across.tap_step;
                const int64_t at = below * p.source_steps[2] + beside * p.source_steps[3];
                for (int step = 0; step < depth_steps; ++step) {
                    Vector<uint32_t, 2> value[2 * kTiles];
#pragma unroll
                    for (int o = 0; o < 2 * kTiles; ++o) {
                        const bool inside = static_cast<unsigned>(row[o] + below) <
                                                static_cast<unsigned>(h.inputs) &&
                                            static_cast<unsigned>(column[o] + beside) <
                                                static_cast<unsigned>(v.inputs);
                        value[o] = Vector<uint32_t, 2>{};
                        if (inside)
                            value[o] = load_vector<uint32_t, 2>(
                                reinterpret_cast<const uint32_t*>(from[o] + at + step * 16));
                    }
                    const auto f =
                        load_vector<uint32_t, 4>(mine + (tap * depth_steps + step) * 128);
#pragma unroll
                    for (int m = 0; m < kTiles; ++m) {
                        const uint32_t a[4] = {value[2 * m].v[0], value[2 * m + 1].v[0],
                                               value[2 * m].v[1], value[2 * m + 1].v[1]};
#pragma unroll
                        for (int t = 0; t < 2; ++t) {
                            const uint32_t pair[2] = {f.v[2 * t], f.v[2 * t + 1]};
                            mma_m16n8k16(sums[m][t], a, pair, T{});
                        }
                    }
                }
            }
        }
#pragma unroll
        for (int o = 0; o < 2 * kTiles; ++o) {
            const int64_t item = first + 8 * o + line;
            if (item >= b.items) continue;
            int in_image;
            const int64_t image = b.split(item, in_image);
            const auto place = p.image.template place<1>(in_image);
            const int y = static_cast<int>(phase_h) + place.row * h.step;
            const int x = phase_v + place.column * v.step;
            if (y >= h.outputs || x >= v.outputs) continue;
            float four[1][4];
#pragma unroll
            for (int e = 0; e < 4; ++e) four[0][e] = sums[o / 2][e / 2][2 * (o % 2) + e % 2];
            scale_and_shift(p.epilogue, vectors, b.width, channel - block_channel, four);
            if (p.epilogue.residual != nullptr) {
                const int64_t (&steps)[4] = p.epilogue.residual_steps;
                add_residual(p.epilogue.residual + image * steps[0] + channel * steps[1] +
                                 y * steps[2] + x * steps[3],
                             steps[1], p.vector_residual, four[0]);
            }
            activate_each(p.epilogue.activation, four[0]);
            store_vector(p.out + image * p.out_steps[0] + channel * p.out_steps[1] +
                             y * p.out_steps[2] + x * p.out_steps[3],
                         rounded<T>(four[0]));
        }
    }
}

}  // namespace pycnn::cuda
