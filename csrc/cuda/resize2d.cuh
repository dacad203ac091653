// Resampling (N,C,H,W) to (N,C,P,Q) by tables of taps, one per axis; its gradient by their adjoint.
//
// Computes   y[n,c,p,q] = sum_t a[p,t] * (sum_u b[q,u] * x[n, c, h[p,t], w[q,u]])
// Arrays     x (N,C,H,W), y (N,C,P,Q) of one dtype; f16, bf16, f32, f64, where there is one tap
//            without a weight any; any strides. Tables: a tap is a weight and a source, 8 bytes, in
//            float64 16
// Grid       x: 128 threads a block over images x pixels x groups of channels; neighbours differ in
//            their channels where those lie closer than pixels, else in their column
// Tiling     a thread has one output pixel of some channels, so that the tables are read once for
//            them all: 16 bytes of neighbouring channels where x and y have whole vectors of them,
//            else 4 channels, which may be planes of different images.
//            taps: 2 x 2 or 4 x 4 taps in line, else loops. Above 25 taps an output the launcher
//            resamples along W into a workspace of accumulators, then along H: T + U loads instead
//            of T * U
// Traffic    x and y once, neighbours from the caches; bilinear 2x of 28x28x512 in halves: about
//            4 FLOP/byte, bandwidth. In two passes the workspace besides, written and read once
// Numerics   weights in the accumulator's type, along W first; float32 for the halves, one rounding
//            at the store. copy: exact
// Refuses    nothing
// Source     Keys 1981 (bicubic)
#pragma once

#include "cuda/images.cuh"
#include "cuda/numbers.cuh"

namespace pycnn::cuda {

constexpr int kResizeThreads = 128;

template <class A>
struct alignas(sizeof(A) > 4 ? 16 : 8) Tap {
    A weight;
    int source;
};

// Output i has the taps first[i] to first[i + 1].
template <class A>
struct Taps {
    const Tap<A>* taps;
    const int* first;
};

// Pixels are of y, its groups of G channels each.
template <class In, class Out>
struct Resize2d {
    const In* x;
    Out* y;
    ImageSteps x_steps, y_steps;
    Pixels pixels;
    Taps<Accumulation<In>> rows, columns;
    int channels;
};

// G channels of a pixel: neighbours in memory, or G of them `groups` channels apart, the last of
// which may not exist.
template <int G, bool VECTORS>
struct ChannelGroup {
    __device__ __forceinline__ ChannelGroup(const Pixel& at, const Pixels& pixels, int channels)
        : first(static_cast<int>(at.group) * (VECTORS ? G : 1)),
          apart(static_cast<int>(pixels.groups.divisor())),
          channels(channels) {}

    // From a pixel of channel 0; those that do not exist are copies of the last one.
    template <class T>
    __device__ __forceinline__ Vector<T, G> load(const T* from, int step) const {
        if constexpr (VECTORS) {
            return load_vector<T, G>(from + first);
        } else {
            Vector<T, G> values;
#pragma unroll
            for (int g = 0; g < G; ++g) {
                const int c = first + g * apart;
                values.v[g] = from[(c < channels ? c : channels - 1) * step];
            }
            return values;
        }
    }
    template <class T>
    __device__ __forceinline__ void store(T* to, int step, const Vector<T, G>& values) const {
        if constexpr (VECTORS) {
            store_vector(to + first, values);
        } else {
#pragma unroll
            for (int g = 0; g < G; ++g)
                if (first + g * apart < channels) to[(first + g * apart) * step] = values.v[g];
        }
    }

    int first, apart, channels;
};

// TAPS per output along both axes; 0: as many as the tables say.
template <class In, class Out, int TAPS, int G, bool VECTORS>
__global__ void __launch_bounds__(kResizeThreads) resize2d_taps_kernel(Resize2d<In, Out> p) {
    using A = Accumulation<In>;
    const uint32_t i = blockIdx.x * kResizeThreads + threadIdx.x;
    if (i >= p.pixels.count) return;
    const Pixel at = pixel_of(p.pixels, i);
    const ChannelGroup<G, VECTORS> group(at, p.pixels, p.channels);
    const int row = static_cast<int>(at.row), column = static_cast<int>(at.column);
    const In* x = p.x + at.n * p.x_steps.n;
    A totals[G] = {};
    const auto add_line = [&](const Tap<A>& h, const Tap<A>* taps, int count) {
        const In* line = x + h.source * p.x_steps.h;
        A sums[G] = {};
        const auto add = [&](const Tap<A>& w) {
            const auto values = group.load(line + w.source * p.x_steps.w, p.x_steps.c);
#pragma unroll
            for (int g = 0; g < G; ++g) sums[g] += convert<A>(values.v[g]) * w.weight;
        };
        if constexpr (TAPS > 0) {
#pragma unroll
            for (int u = 0; u < TAPS; ++u) add(taps[u]);
        } else {
#pragma unroll 2
            for (int u = 0; u < count; ++u) add(taps[u]);
        }
#pragma unroll
        for (int g = 0; g < G; ++g) totals[g] += sums[g] * h.weight;
    };
    if constexpr (TAPS > 0) {
        Tap<A> h[TAPS], w[TAPS];
#pragma unroll
        for (int t = 0; t < TAPS; ++t) {
            h[t] = p.rows.taps[row * TAPS + t];
            w[t] = p.columns.taps[column * TAPS + t];
        }
#pragma unroll
        for (int t = 0; t < TAPS; ++t) add_line(h[t], w, TAPS);
    } else {
        const int left = p.columns.first[column], right = p.columns.first[column + 1],
                  bottom = p.rows.first[row + 1];
        for (int t = p.rows.first[row]; t < bottom; ++t)
            add_line(p.rows.taps[t], p.columns.taps + left, right - left);
    }
    Vector<Out, G> out;
#pragma unroll
    for (int g = 0; g < G; ++g) out.v[g] = convert<Out>(totals[g]);
    group.store(p.y + at.n * p.y_steps.n + (row * p.y_steps.h + column * p.y_steps.w), p.y_steps.c,
                out);
}

// One tap, no weights. Bits is an unsigned integer of the size of an element.
template <class Bits, int G, bool VECTORS>
__global__ void __launch_bounds__(kResizeThreads) resize2d_copy_kernel(Resize2d<Bits, Bits> p) {
    const uint32_t i = blockIdx.x * kResizeThreads + threadIdx.x;
    if (i >= p.pixels.count) return;
    const Pixel at = pixel_of(p.pixels, i);
    const ChannelGroup<G, VECTORS> group(at, p.pixels, p.channels);
    const int row = static_cast<int>(at.row), column = static_cast<int>(at.column);
    const int from = p.rows.first[row] * p.x_steps.h + p.columns.first[column] * p.x_steps.w;
    const auto values = group.load(p.x + at.n * p.x_steps.n + from, p.x_steps.c);
    group.store(p.y + at.n * p.y_steps.n + (row * p.y_steps.h + column * p.y_steps.w), p.y_steps.c,
                values);
}

}  // namespace pycnn::cuda
