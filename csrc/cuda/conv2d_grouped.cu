#include "cuda/conv2d_grouped.cuh"

#include "common/dtypes.h"
#include "cuda/conv2d.h"
#include "cuda/conv2d_grouped.h"
#include "cuda/partial_sums.cuh"

namespace pycnn::cuda {
namespace {

template <class T, int V>
void run(const Conv2dParams& g, const ArrayView& source, const ArrayView& w, const ArrayView& out,
         const EpilogueView& epilogue, bool adjoint) {
    using A = Accumulation<T>;
    Grouped<T> p{};
    p.source = static_cast<const T*>(source.data);
    p.w = static_cast<const T*>(w.data);
    p.out = static_cast<T*>(out.data);
    std::copy_n(source.strides, 4, p.source_steps);
    std::copy_n(out.strides, 4, p.out_steps);
    p.filters = grouped_filters(g, w, adjoint);
    p.taps = Division(g.R * g.S), p.taps_across = Division(g.S), p.deep = Division(p.filters.deep);
    int64_t per_image;
    p.image = phased_image(g, adjoint, kGroupedStrip, per_image);
    const bool last = V > 1 || channels_together(out);
    const int64_t each =
        g.R * g.S * p.filters.deep * static_cast<int64_t>(sizeof(A));  // a channel's
    int lanes = V > 1 ? 8 : 32;
    while (lanes > 1 && lanes * V * each > kGroupedSharedBytes) lanes /= 2;
    p.blocks = channel_blocks(out.shape[1], V, last, g.N, per_image, lanes);
    const int64_t rows = kChannelThreads >> p.blocks.lanes_log2;
    const int64_t steps = (p.blocks.items + rows - 1) / rows;  // of a thread, were there one block
    const int64_t walk = std::clamp<int64_t>(steps * p.blocks.count / kBusyBlocks, 1, 16);
    p.block_items = walk * rows;
    p.vector_residual = epilogue.residual && vectors_of_channels(*epilogue.residual, V);
    p.epilogue = epilogue_of<T>(epilogue);
    const size_t shared =
        static_cast<size_t>(p.blocks.width) * (static_cast<size_t>(each) + 3 * sizeof(T));
    launch(conv2d_grouped_kernel<T, V>,
           dim3(static_cast<unsigned>((steps + walk - 1) / walk * p.blocks.count)),
           dim3(kChannelThreads), shared, p);
}

bool fours(const Conv2dParams& g, const ArrayView& a, const ArrayView& b) {
    return g.C / g.G % 4 == 0 && g.K / g.G % 4 == 0 && vectors_of_channels(a, 4) &&
           vectors_of_channels(b, 4);
}

void run(const Conv2dParams& g, const ArrayView& source, const ArrayView& w, const ArrayView& out,
         const EpilogueView& epilogue, bool adjoint) {
    if (grouped_on_tensor_cores(g, source, w, out, epilogue, adjoint)) return;
    with_float_dtype(out.dtype, [&](auto t) {
        using T = decltype(t);
        if (fours(g, source, out))
            run<T, 4>(g, source, w, out, epilogue, adjoint);
        else
            run<T, 1>(g, source, w, out, epilogue, adjoint);
    });
}

template <class T, int V>
void wgrad(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy, const ArrayView& dw) {
    using A = Accumulation<T>;
    GroupedWgrad<T> p{};
    p.x = static_cast<const T*>(x.data);
    p.dy = static_cast<const T*>(dy.data);
    std::copy_n(x.strides, 4, p.x_steps);
    std::copy_n(dy.strides, 4, p.dy_steps);
    const int64_t deep = g.C / g.G, wide = g.K / g.G;
    p.height = static_cast<int>(g.H), p.width = static_cast<int>(g.W);
    p.taps = static_cast<int>(g.R * g.S), p.taps_across = static_cast<int>(g.S);
    p.groups = (p.taps + kGroupedTaps - 1) / kGroupedTaps;
    p.stride_h = static_cast<int>(g.stride_h), p.stride_w = static_cast<int>(g.stride_w);
    p.top = static_cast<int>(g.top), p.left = static_cast<int>(g.left);
    p.dilation_h = static_cast<int>(g.dilation_h), p.dilation_w = static_cast<int>(g.dilation_w);
    p.tiles_deep = Division(deep / V), p.tiles_wide = Division(wide / V);
    p.deep = static_cast<int>(deep);
    p.columns = Division(g.Q);
    const bool last = V > 1 || channels_together(dy);
    p.blocks = channel_blocks(g.K * deep, V * V, last, g.N, g.P * g.Q, V > 1 ? 8 : 32);
    const Slices slices(p.blocks, p.groups);
    p.slice_items = slices.items;
    const Workspace<A> partial(slices.count * g.K * deep * p.taps);
    p.partial = partial.data();
    launch(conv2d_wgrad_grouped_kernel<T, V>,
           dim3(static_cast<unsigned>(slices.count * p.groups * p.blocks.count)),
           dim3(kChannelThreads), kChannelThreads * kGroupedTaps * V * V * sizeof(A), p);
    const int64_t sizes[] = {g.R, g.S, g.K / V, deep / V, V, V};
    const int64_t steps[] = {dw.strides[2],     dw.strides[3], dw.strides[0] * V,
                             dw.strides[1] * V, dw.strides[0], dw.strides[1]};
    sum_slices<T>(partial.data(), slices.count, static_cast<T*>(dw.data), sizes, steps);
}

}  // namespace

void conv2d_fprop_grouped(const Conv2dParams& g, const ArrayView& x, const ArrayView& w,
                          const ArrayView& y, const EpilogueView& epilogue) {
    run(g, x, w, y, epilogue, false);
}

void conv2d_dgrad_grouped(const Conv2dParams& g, const ArrayView& dy, const ArrayView& w,
                          const ArrayView& dx, const EpilogueView& epilogue) {
    run(g, dy, w, dx, epilogue, true);
}

void conv2d_wgrad_grouped(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy,
                          const ArrayView& dw, const EpilogueView&) {
    with_float_dtype(dw.dtype, [&](auto t) {
        using T = decltype(t);
        if (fours(g, x, dy))
            wgrad<T, 4>(g, x, dy, dw);
        else
            wgrad<T, 1>(g, x, dy, dw);
    });
}

}  // namespace pycnn::cuda
