// The launch of depthwise_strip_kernel.
#pragma once

#include "common/dtypes.h"
#include "cuda/conv2d_depthwise.cuh"

namespace pycnn::cuda {

constexpr size_t kStagedBytes = 48 * 1024;

// One axis of the image, for both passes.
struct DepthwiseAxis {
    int64_t outputs, inputs, taps, stride, before;
};

// Launches the kernel if its filters fit.
template <class T, int N, int Across, int Along, int Stride, bool Adjoint>
bool launch_strips(const Conv2dParams& g, const ArrayView& source, const ArrayView& w,
                   const ArrayView& out, const EpilogueView& epilogue, bool flipped, bool last) {
    using S = Strip<Along, Stride, Adjoint>;
    const bool from_y = flipped || Adjoint;
    DepthwiseAxis h{g.P, g.H, g.R, g.stride_h, g.top}, v{g.Q, g.W, g.S, g.stride_w, g.left};
    for (DepthwiseAxis* axis : {&h, &v}) {
        if (from_y) std::swap(axis->outputs, axis->inputs);
        if (flipped) axis->before = axis->taps - 1 - axis->before;
    }
    const DepthwiseAxis &along = last ? v : h, &across = last ? h : v;
    // axes of the arrays: n, c, along, across
    const int order[] = {0, 1, last ? 3 : 2, last ? 2 : 3};

    DepthwiseStrip<T> p{};
    p.source = static_cast<const T*>(source.data);
    p.w = static_cast<const T*>(w.data);
    p.out = static_cast<T*>(out.data);
    p.epilogue = epilogue_of<T>(epilogue);
    for (int i = 0; i < 4; ++i) {
        p.source_steps[i] = source.strides[order[i]];
        p.out_steps[i] = out.strides[order[i]];
        p.residual_steps[i] = p.epilogue.residual_steps[order[i]];
    }
    p.w_steps[0] = w.strides[0], p.w_steps[1] = w.strides[order[2]];
    p.w_steps[2] = w.strides[order[3]];
    const auto strip_axis = [](const DepthwiseAxis& axis, int first) {
        StripAxis a{static_cast<int>(axis.outputs), static_cast<int>(axis.inputs), 0, 0};
        const auto before = static_cast<int>(axis.before);
        a.first_output = Adjoint ? -(before % Stride) : 0;
        a.first_input = Adjoint ? before / Stride + first : -before;
        return a;
    };
    p.along = strip_axis(along, S::kFirst);
    p.across = strip_axis(across, 0);
    p.taps_across = static_cast<int>(across.taps);
    p.flipped = flipped;
    p.vector_residual = !epilogue.residual || vectors_of_channels(*epilogue.residual, N);

    constexpr int kPatch = Adjoint ? Stride : 1;
    const int64_t strips = (p.along.outputs - p.along.first_output + kStrip - 1) / kStrip;
    const int64_t patches = (p.across.outputs - p.across.first_output + kPatch - 1) / kPatch;
    const int lanes = N == kWidth<T> ? 8 : 32;
    int64_t steps = 1;
    if (last) {  // in planes the neighbours across are other threads
        const ChannelBlocks once = channel_blocks(g.C, N, last, g.N, strips * patches, lanes);
        const int64_t blocks = once.items * once.count >> (7 - once.lanes_log2);
        steps = std::clamp<int64_t>(blocks / kBusyBlocks, 1, 8);
    }
    const int64_t walks = (patches + steps - 1) / steps;
    p.steps = static_cast<int>((patches + walks - 1) / walks);
    p.walks = Division(walks);
    p.blocks = channel_blocks(g.C, N, last, g.N, strips * walks, lanes);
    const size_t shared = (along.taps * across.taps + 3) * p.blocks.width * sizeof(T);
    if (shared > kStagedBytes || strips * walks >= int64_t{1} << 31) return false;
    const int64_t rows = kChannelThreads >> p.blocks.lanes_log2;
    const int64_t grid = (p.blocks.items + rows - 1) / rows * p.blocks.count;
    launch(depthwise_strip_kernel<T, N, Across, Along, Stride, Adjoint>,
           dim3(static_cast<unsigned>(grid)), dim3(kChannelThreads), shared, p);
    return true;
}

// Calls run(T{}, N) with the vectors of channels that `source` and `out` allow: 16 bytes of them,
// 4, or one. `last`: whether the channels lie together.
template <class T, class F>
bool with_channel_vectors(const ArrayView& source, const ArrayView& out, bool last, F&& run) {
    const auto fits = [&](int n) {
        return last && vectors_of_channels(source, n) && vectors_of_channels(out, n);
    };
    if (fits(kWidth<T>)) return run(std::integral_constant<int, kWidth<T>>{});
    if constexpr (sizeof(T) == 2)
        if (fits(2)) return run(std::integral_constant<int, 2>{});
    return run(std::integral_constant<int, 1>{});
}

// `run` as above, for halves and float.
template <class F>
bool with_strips(const ArrayView& source, const ArrayView& out, bool last, F&& run) {
    const auto vectors = [&](auto t) {
        using T = decltype(t);
        return with_channel_vectors<T>(source, out, last, [&](auto n) { return run(t, n); });
    };
    switch (out.dtype) {
        case DType::f16: return vectors(Float16{});
        case DType::bf16: return vectors(BFloat16{});
        case DType::f32: return vectors(float{});
        default: return false;
    }
}

}  // namespace pycnn::cuda
