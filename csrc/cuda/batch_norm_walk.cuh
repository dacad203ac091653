// What the kernels of batch normalisation share: how channels and pixels are shared out, and the
// formula.
//
// A pixel is what one channel is summed over: an index into N and all axes behind C. A block takes
// a tile of channels and a slab of pixels. Its threads lie `across` the channels and `down` the
// pixels; each takes vectors of 16 bytes, along the channels where these lie side by side
// (channels-last), along the pixels of a plane where those do, and walks down its slab:
//
//     pixels    slab 0           slab 1
//     channels  [tile]           [tile]       blocks 0, 2    each of `each` pixels: what belongs to
//               [tile]           [tile]       blocks 1, 3    the channels stays in registers
//
// Neither axis need be long for a block to be full: 3 channels have 3 threads across, 85 down.
#pragma once

#include <algorithm>

#include "cuda/elements.cuh"
#include "cuda/fold.cuh"
#include "cuda/launch.cuh"
#include "cuda/walk.cuh"

namespace pycnn::cuda {

constexpr int kNormThreads = 256;
constexpr int kNormAcross = 32;        // at most: 512 bytes side by side
constexpr int64_t kNormBlocks = 1056;  // eight for each of an H100's multiprocessors

// `Arrays` arrays (N, C, *) as channels and pixels.
template <int Arrays>
struct NormWalk {
    int64_t channels;
    int64_t channel_steps[Arrays];
    Walk<Arrays> pixels;         // its last axis is counted in vectors
    int across, down;            // threads
    int64_t tiles, slabs, each;  // of channels; of pixels; vectors of pixels in a slab

    unsigned threads() const { return static_cast<unsigned>((across * down + 31) / 32 * 32); }
    unsigned blocks() const { return static_cast<unsigned>(tiles * slabs); }
};

// What one thread takes: the vectors first, first + down, ... before `last` of `channel` and those
// beside it. Threads left over have none.
template <class Index>
struct Share {
    int64_t channel, slab;
    int row;  // of the threads, down the pixels
    bool inside;
    Index first, last;
};

template <class Index, int Channels, int Arrays>
__device__ __forceinline__ Share<Index> share_of(const NormWalk<Arrays>& w, unsigned block) {
    const unsigned tiles = static_cast<unsigned>(w.tiles), across = w.across;
    const unsigned column = threadIdx.x % across;
    Share<Index> s;
    s.row = static_cast<int>(threadIdx.x / across);
    s.slab = block / tiles;
    s.channel = (int64_t{block % tiles} * across + column) * Channels;
    s.inside = s.row < w.down && s.channel < w.channels;
    const int64_t first = s.slab * w.each;
    s.first = static_cast<Index>(first + s.row);
    s.last = s.inside ? static_cast<Index>(first + w.each < w.pixels.count ? first + w.each
                                                                           : w.pixels.count)
                      : Index(0);
    return s;
}

// Where vector v of a channel lies in each array.
template <class Index, int Arrays>
__device__ __forceinline__ void place(const NormWalk<Arrays>& w, int64_t channel, Index v,
                                      int64_t (&at)[Arrays]) {
    locate(w.pixels, v, at);
#pragma unroll
    for (int a = 0; a < Arrays; ++a) at[a] += channel * w.channel_steps[a];
}

// The numbers of N channels: y = (x - mean) * scale + shift.
template <class A, int N>
struct Affine {
    A mean[N], scale[N], shift[N];
};

struct NormVectors {
    FloatVector mean, invstd, weight, bias;
};

template <class A, int N>
__device__ __forceinline__ void affine_of(const NormVectors& v, int64_t channel, Affine<A, N>& p,
                                          A (&invstd)[N]) {
    values_of(v.mean, channel, A(0), p.mean);
    values_of(v.invstd, channel, A(1), invstd);
    values_of(v.weight, channel, A(1), p.scale);
    values_of(v.bias, channel, A(0), p.shift);
#pragma unroll
    for (int c = 0; c < N; ++c) p.scale[c] *= invstd[c];
}

// Of x - mean: one order of operations for all that needs it, so that a ReLU's gradient sees the
// sign that its output had.
template <class A>
__device__ __forceinline__ A normalised(A deviation, A scale, A shift) {
    return deviation * scale + shift;
}

// --- on the host ---------------------------------------------------------------------------------

// How vectors lie: along the channels, along the pixels, or not at all.
enum class NormVectorsLie { channels, pixels, nowhere };

// The walk over arrays of one shape, one by one; share_out() completes it.
template <int Arrays>
NormWalk<Arrays> norm_walk_of(const ArrayView* const (&arrays)[Arrays]) {
    ArrayView pixels[Arrays];
    const int64_t* strides[Arrays];
    NormWalk<Arrays> w{};
    w.channels = arrays[0]->shape[1];
    for (int a = 0; a < Arrays; ++a) {
        pixels[a] = without_axis(*arrays[a], 1);
        strides[a] = pixels[a].strides;
        w.channel_steps[a] = arrays[a]->strides[1];
    }
    w.pixels = walk_of<Arrays>(pixels[0], strides);
    return w;
}

// Whether vectors of `width` elements lie along the channels or the pixels of all arrays, whose
// data is aligned; what they lie along then is a multiple of them.
template <int Arrays>
NormVectorsLie vectors_lie(const NormWalk<Arrays>& w, int width) {
    const Walk<Arrays>& p = w.pixels;
    const int last = p.axes - 1;
    bool channels = w.channels % width == 0, planes = p.sizes[last] % width == 0;
    for (int a = 0; a < Arrays; ++a) {
        channels = channels && w.channel_steps[a] == 1;
        planes =
            planes && p.steps[a][last] == 1 && (w.channels == 1 || w.channel_steps[a] % width == 0);
        for (int axis = 0; axis <= last; ++axis) {
            if (p.sizes[axis] == 1) continue;
            const bool whole = p.steps[a][axis] % width == 0;
            channels = channels && whole;
            planes = planes && (axis == last || whole);
        }
    }
    if (p.count >= int64_t{1} << 31) return NormVectorsLie::nowhere;
    return channels ? NormVectorsLie::channels
           : planes ? NormVectorsLie::pixels
                    : NormVectorsLie::nowhere;
}

// Counts the pixels in vectors of `width`.
template <int Arrays>
void count_in_vectors(NormWalk<Arrays>& w, int width) {
    Walk<Arrays>& p = w.pixels;
    const int last = p.axes - 1;
    p.count /= width;
    p.sizes[last] /= width;
    p.divisions[last] = Division(std::max<int64_t>(p.sizes[last], 1));
    for (int a = 0; a < Arrays; ++a) p.steps[a][last] *= width;
}

// Shares the walk out to blocks; a thread takes `vectors` of a slab at least, if there are as many,
// each of `channels` channels.
template <int Arrays>
void share_out(NormWalk<Arrays>& w, int channels, int vectors) {
    const Walk<Arrays>& p = w.pixels;
    const int64_t columns = w.channels / channels;
    const bool side_by_side =
        std::abs(w.channel_steps[0]) < std::abs(p.steps[0][p.axes - 1]) || p.count <= 1;
    w.tiles = side_by_side || channels > 1 ? (columns + kNormAcross - 1) / kNormAcross : columns;
    w.across = static_cast<int>((columns + w.tiles - 1) / w.tiles);
    w.down = static_cast<int>(std::clamp<int64_t>(p.count, 1, kNormThreads / w.across));
    const int64_t wanted = std::max<int64_t>(kNormBlocks / w.tiles, 1);
    const int64_t least = std::max<int64_t>((p.count + wanted - 1) / wanted, w.down * vectors);
    w.each = (least + w.down - 1) / w.down * w.down;
    w.slabs = std::max<int64_t>((p.count + w.each - 1) / w.each, 1);
}

// Shares the walk out and calls run(channels, pixels, index): how many of the two a vector holds. A
// thread takes `vectors` of them at least.
template <class T, int Arrays, class F>
void with_vectors(NormWalk<Arrays>& w, bool aligned, int vectors, F&& run) {
    constexpr auto one = std::integral_constant<int, 1>{};
    if constexpr (!kMixed<T>) {
        constexpr int width = kWidth<T>;
        constexpr auto many = std::integral_constant<int, width>{};
        const auto lie = aligned ? vectors_lie(w, width) : NormVectorsLie::nowhere;
        if (lie == NormVectorsLie::channels) {
            share_out(w, width, vectors);
            return run(many, one, uint32_t{});
        }
        if (lie == NormVectorsLie::pixels) {
            count_in_vectors(w, width);
            share_out(w, 1, vectors);
            return run(one, many, uint32_t{});
        }
    }
    share_out(w, 1, vectors);
    with_index(w.pixels.count, [&](auto index) { run(one, one, index); });
}

}  // namespace pycnn::cuda
