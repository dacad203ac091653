#include "cuda/conv2d_grouped_tensor_core.cuh"

#include "common/dtypes.h"
#include "cuda/conv2d_grouped.h"

namespace pycnn::cuda {
namespace {

template <class T>
void run(const Conv2dParams& g, const ArrayView& source, const ArrayView& w, const ArrayView& out,
         const EpilogueView& epilogue, bool adjoint, int depth_steps) {
    GroupedTensorCore<T> p{};
    p.source = static_cast<const T*>(source.data);
    p.w = static_cast<const T*>(w.data);
    p.out = static_cast<T*>(out.data);
    std::copy_n(source.strides, 4, p.source_steps);
    std::copy_n(out.strides, 4, p.out_steps);
    p.filters = grouped_filters(g, w, adjoint);
    p.deep = Division(p.filters.deep);
    p.taps = Division(g.R * g.S), p.taps_across = Division(g.S);
    p.depth_steps = Division(depth_steps);
    int64_t per_image;
    p.image = phased_image(g, adjoint, 1, per_image);
    const int64_t phases = int64_t{p.image.h.phases} * p.image.v.phases;
    const int64_t supers = out.shape[1] / kSuperGroup;
    const size_t each = static_cast<size_t>(g.R * g.S) * static_cast<size_t>(depth_steps) * 512;
    while ((2 << p.warps_across_log2) <= std::min<int64_t>(supers, kGroupedWarps) &&
           (each << (p.warps_across_log2 + 1)) <= kGroupedSharedBytes)
        ++p.warps_across_log2;
    p.blocks = channel_blocks(out.shape[1], kSuperGroup << p.warps_across_log2, false, g.N,
                              per_image / phases, 1);
    const int64_t pixels = kGroupedPixels * (kGroupedWarps >> p.warps_across_log2);
    const int64_t tiles = (p.blocks.items + pixels - 1) / pixels;
    p.tiles =
        static_cast<int>(std::clamp<int64_t>(tiles * phases * p.blocks.count / kBusyBlocks, 1, 16));
    const int64_t blocks = (tiles + p.tiles - 1) / p.tiles * phases * p.blocks.count;
    p.vector_residual = epilogue.residual && vectors_of_channels(*epilogue.residual, 4);
    p.epilogue = epilogue_of<T>(epilogue);
    launch(conv2d_grouped_tensor_core_kernel<T>, dim3(static_cast<unsigned>(blocks)),
           dim3(kChannelThreads),
           (each << p.warps_across_log2) + 3 * static_cast<size_t>(p.blocks.width) * sizeof(T), p);
}

}  // namespace

bool grouped_on_tensor_cores(const Conv2dParams& g, const ArrayView& source, const ArrayView& w,
                             const ArrayView& out, const EpilogueView& epilogue, bool adjoint) {
    const int64_t deep = (adjoint ? g.K : g.C) / g.G, wide = (adjoint ? g.C : g.K) / g.G;
    if (out.shape[1] % kSuperGroup != 0) return false;
    if (wide % kSuperGroup != 0 && kSuperGroup % wide != 0) return false;
    const int64_t depth = std::max<int64_t>(kSuperGroup / wide, 1) * deep;
    if (depth % 16 != 0 || depth > 64 || g.R * g.S * depth * 32 > kGroupedSharedBytes) return false;
    if (!vectors_of_channels(source, 4) || !vectors_of_channels(out, 4)) return false;
    const auto steps = static_cast<int>(depth / 16);
    if (out.dtype == DType::f16)
        run<Float16>(g, source, w, out, epilogue, adjoint, steps);
    else if (out.dtype == DType::bf16)
        run<BFloat16>(g, source, w, out, epilogue, adjoint, steps);
    else
        return false;
    return true;
}

}  // namespace pycnn::cuda
