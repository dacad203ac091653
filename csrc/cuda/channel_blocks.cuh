// How the blocks of a kernel divide an image batch: some channels each, 16 bytes (or one element) a
// thread side by side, and behind them threads for the pixels.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/array.h"
#include "cuda/conv2d_axis.cuh"
#include "cuda/launch.cuh"
#include "cuda/numbers.cuh"

namespace pycnn::cuda {

constexpr int kChannelThreads = 128;
constexpr int kBusyBlocks = 132 * 8;  // how many blocks keep a GPU busy

struct ChannelBlocks {
    int channels;    // of the array
    int lanes_log2;  // threads of a block side by side along the channels
    int width;       // channels of a block: lanes times the channels of a thread
    int count;       // blocks along the channels
    int64_t items;   // what the threads behind a channel share: pixels, or patches of them
    int per_image;   // of them
    bool narrow;     // items are below 2^31
    Division image;  // by per_image, where they are

    __device__ __forceinline__ int lane() const {
        return static_cast<int>(threadIdx.x) & ((1 << lanes_log2) - 1);
    }
    __device__ __forceinline__ int row() const {
        return static_cast<int>(threadIdx.x) >> lanes_log2;
    }
    __device__ __forceinline__ int rows() const { return kChannelThreads >> lanes_log2; }
    // The image of an item, and which it is there.
    __device__ __forceinline__ int64_t split(int64_t item, int& rest) const {
        if (narrow) {
            auto n = static_cast<uint32_t>(item);
            rest = static_cast<int>(image.divide(n));
            return n;
        }
        // bit by bit: a 64-bit division is a function call, which costs every other path registers
        uint64_t quotient = 0, remainder = 0;
        const auto divisor = static_cast<uint64_t>(per_image);
#pragma unroll 1
        for (int bit = 62; bit >= 0; --bit) {
            remainder = remainder << 1 | (static_cast<uint64_t>(item) >> bit & 1);
            quotient <<= 1;
            if (remainder >= divisor) remainder -= divisor, quotient |= 1;
        }
        rest = static_cast<int>(remainder);
        return static_cast<int64_t>(quotient);
    }
};

// For threads with `N` channels each. Channels lie side by side where `last`; else a block has one,
// or several where one has too few items for its threads.
inline ChannelBlocks channel_blocks(int64_t channels, int N, bool last, int64_t images,
                                    int64_t per_image, int most_lanes) {
    ChannelBlocks b{};
    b.channels = static_cast<int>(channels);
    const int64_t threads = (channels + N - 1) / N;
    while (last && (1 << b.lanes_log2) < threads && (1 << b.lanes_log2) < most_lanes)
        ++b.lanes_log2;
    // where the items are few, lanes that would have none take further channels
    while (!last && (1 << b.lanes_log2) < std::min<int64_t>(threads, most_lanes) &&
           (kChannelThreads >> (b.lanes_log2 + 1)) >= images * per_image)
        ++b.lanes_log2;
    b.width = N << b.lanes_log2;
    b.count = static_cast<int>((channels + b.width - 1) / b.width);
    b.items = images * per_image;
    b.per_image = static_cast<int>(per_image);
    b.narrow = b.items < int64_t{1} << 31;
    if (b.narrow) b.image = Division(per_image);
    return b;
}

// Slices of the items: as many as keep a GPU busy with `others` blocks each, of at least 4 items a
// thread.
struct Slices {
    Slices(const ChannelBlocks& b, int64_t groups) {
        const int64_t rows = kChannelThreads >> b.lanes_log2, others = groups * b.count;
        const int64_t most = std::max<int64_t>(1, b.items / (rows * 4));
        const int64_t wanted = std::clamp<int64_t>(kBusyBlocks / others, 1, most);
        items = (b.items + wanted - 1) / wanted;
        items = std::max<int64_t>((items + rows - 1) / rows * rows, 1);
        count = std::max<int64_t>((b.items + items - 1) / items, 1);
    }
    int64_t items, count;
};

// Whether neighbouring channels of a (N,C,H,W) array are closer than neighbouring columns.
inline bool channels_together(const ArrayView& a) {
    return std::abs(a.strides[1]) <= std::abs(a.strides[3]);
}

// Whether N channels of every pixel are one aligned access of `a`.
inline bool vectors_of_channels(const ArrayView& a, int N) {
    if (N == 1) return true;
    const auto bytes = static_cast<uintptr_t>(info(a.dtype).bytes * N);
    if (reinterpret_cast<uintptr_t>(a.data) % bytes != 0) return false;
    if (a.shape[1] % N != 0 || a.strides[1] != 1) return false;
    for (const int axis : {0, 2, 3})
        if (a.shape[axis] != 1 && a.strides[axis] % N != 0) return false;
    return true;
}

// Adds up the threads of each channel and writes the block's row of partial sums: tap i of `Taps`
// goes to partial[tap_of(i) * channels + channel], where tap_of(i) is not negative.
template <class A, int Taps, int N, class F>
__device__ __forceinline__ void join_threads(const ChannelBlocks& b, int block_channel,
                                             const A (&sums)[Taps][N], A* partial, F&& tap_of) {
    A* const shared = dynamic_shared<A>();  // threads behind each other, taps, channels
#pragma unroll
    for (int t = 0; t < Taps; ++t) {
#pragma unroll
        for (int c = 0; c < N; ++c)
            shared[(b.row() * Taps + t) * b.width + b.lane() * N + c] = sums[t][c];
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < Taps * b.width; i += kChannelThreads) {
        const int channel = block_channel + i % b.width, tap = tap_of(i / b.width);
        if (channel >= b.channels || tap < 0) continue;
        A sum = 0;
        for (int row = 0; row < b.rows(); ++row) sum += shared[row * Taps * b.width + i];
        partial[int64_t{tap} * b.channels + channel] = sum;
    }
}

}  // namespace pycnn::cuda
