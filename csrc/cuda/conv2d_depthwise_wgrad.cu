#include "cuda/conv2d_depthwise_wgrad.cuh"

#include "cuda/conv2d.h"
#include "cuda/conv2d_depthwise_strips.cuh"
#include "cuda/partial_sums.cuh"

namespace pycnn::cuda {
namespace {

template <class T, int N, int Rows, int Along, int Stride>
void strips(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy, const ArrayView& dw,
            bool last) {
    const int order[] = {0, 1, last ? 3 : 2, last ? 2 : 3};
    DepthwiseWgradStrip<T> p{};
    p.x = static_cast<const T*>(x.data);
    p.dy = static_cast<const T*>(dy.data);
    for (int i = 0; i < 4; ++i)
        p.x_steps[i] = x.strides[order[i]], p.dy_steps[i] = dy.strides[order[i]];
    const StripAxis h{static_cast<int>(g.P), static_cast<int>(g.H), 0, -static_cast<int>(g.top)};
    const StripAxis v{static_cast<int>(g.Q), static_cast<int>(g.W), 0, -static_cast<int>(g.left)};
    p.along = last ? v : h, p.across = last ? h : v;
    const int64_t taps_across = last ? g.R : g.S;
    p.taps_across = static_cast<int>(taps_across);
    p.groups = static_cast<int>((taps_across + Rows - 1) / Rows);
    const int64_t count = (p.along.outputs + kStrip - 1) / kStrip;
    p.rows = Division(p.across.outputs);
    p.blocks = channel_blocks(g.K, N, last, g.N, count * p.across.outputs, N == kWidth<T> ? 8 : 32);
    const Slices slices(p.blocks, p.groups);
    p.slice_items = slices.items;
    const Workspace<Accumulation<T>> partial(slices.count * g.K * g.R * g.S);
    p.partial = partial.data();
    launch(depthwise_wgrad_strip_kernel<T, N, Rows, Along, Stride>,
           dim3(static_cast<unsigned>(slices.count * p.groups * p.blocks.count)),
           dim3(kChannelThreads), kChannelThreads * Rows * Along * N * sizeof(Accumulation<T>), p);
    const int64_t sizes[] = {taps_across, Along, g.K};
    const int64_t steps[] = {dw.strides[order[3]], dw.strides[order[2]], dw.strides[0]};
    sum_slices<T>(partial.data(), slices.count, static_cast<T*>(dw.data), sizes, steps);
}

// Runs the wgrad by strips and returns true, or false where there is no kernel for the problem.
bool strips(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy, const ArrayView& dw) {
    if (g.K != g.C || g.stride_h != g.stride_w || g.stride_h > 2) return false;
    if (g.dilation_h != 1 || g.dilation_w != 1) return false;
    const bool last = channels_together(dy);
    const int64_t along = last ? g.S : g.R, across = last ? g.R : g.S;
    if (along != 3 && along != 5 && (along != 7 || g.stride_h != 1)) return false;
    if (along == 3 && across != 3) return false;
    return with_strips(x, dy, last, [&](auto t, auto n) {
        using T = decltype(t);
        constexpr int N = n();
        constexpr int kRows = N <= 2 ? 2 : 1;  // of larger filters, beside each other in registers
        if (along == 7)
            strips<T, N, kRows, 7, 1>(g, x, dy, dw, last);
        else if (along == 5 && g.stride_h == 1)
            strips<T, N, kRows, 5, 1>(g, x, dy, dw, last);
        else if (along == 5)
            strips<T, N, kRows, 5, 2>(g, x, dy, dw, last);
        else if (g.stride_h == 1)
            strips<T, N, 3, 3, 1>(g, x, dy, dw, last);
        else
            strips<T, N, 3, 3, 2>(g, x, dy, dw, last);
        return true;
    });
}

template <class T, int N>
void taps(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy, const ArrayView& dw,
          bool last) {
    DepthwiseWgradTaps<T> p{};
    p.x = static_cast<const T*>(x.data);
    p.dy = static_cast<const T*>(dy.data);
    std::copy_n(x.strides, 4, p.x_steps);
    std::copy_n(dy.strides, 4, p.dy_steps);
    p.height = static_cast<int>(g.H), p.width = static_cast<int>(g.W);
    p.taps = static_cast<int>(g.R * g.S), p.taps_across = static_cast<int>(g.S);
    p.groups = (p.taps + kWgradTaps - 1) / kWgradTaps;
    p.stride_h = static_cast<int>(g.stride_h), p.stride_w = static_cast<int>(g.stride_w);
    p.top = static_cast<int>(g.top), p.left = static_cast<int>(g.left);
    p.dilation_h = static_cast<int>(g.dilation_h), p.dilation_w = static_cast<int>(g.dilation_w);
    p.columns = Division(g.Q);
    p.share = static_cast<int>(g.K / g.C);
    p.blocks = channel_blocks(g.K, N, last, g.N, g.P * g.Q, N == kWidth<T> ? 8 : 32);
    const Slices slices(p.blocks, p.groups);
    p.slice_items = slices.items;
    const Workspace<Accumulation<T>> partial(slices.count * g.K * p.taps);
    p.partial = partial.data();
    launch(depthwise_wgrad_taps_kernel<T, N>,
           dim3(static_cast<unsigned>(slices.count * p.groups * p.blocks.count)),
           dim3(kChannelThreads), kChannelThreads * kWgradTaps * N * sizeof(Accumulation<T>), p);
    const int64_t sizes[] = {g.R, g.S, g.K};
    const int64_t steps[] = {dw.strides[2], dw.strides[3], dw.strides[0]};
    sum_slices<T>(partial.data(), slices.count, static_cast<T*>(dw.data), sizes, steps);
}

}  // namespace

void conv2d_wgrad_depthwise(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy,
                            const ArrayView& dw, const EpilogueView&) {
    if (strips(g, x, dy, dw)) return;
    const bool last = channels_together(dy);
    with_float_dtype(dw.dtype, [&](auto t) {
        using T = decltype(t);
        constexpr int N = kWidth<T>;
        if (last && g.K == g.C && vectors_of_channels(x, N) && vectors_of_channels(dy, N))
            taps<T, N>(g, x, dy, dw, last);
        else
            taps<T, 1>(g, x, dy, dw, last);
    });
}

}  // namespace pycnn::cuda
