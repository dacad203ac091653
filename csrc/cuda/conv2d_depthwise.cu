#include "common/dtypes.h"
#include "cuda/conv2d.h"
#include "cuda/conv2d_depthwise_strips.cuh"
#include "cuda/conv2d_depthwise_strips.h"

namespace pycnn::cuda {
namespace {

template <class T, int N>
void gather(const Conv2dParams& g, const ArrayView& source, const ArrayView& w,
            const ArrayView& out, const EpilogueView& epilogue, bool adjoint, bool last) {
    DepthwiseGather<T> p{};
    p.source = static_cast<const T*>(source.data);
    p.w = static_cast<const T*>(w.data);
    p.out = static_cast<T*>(out.data);
    std::copy_n(source.strides, 4, p.source_steps);
    std::copy_n(out.strides, 4, p.out_steps);
    p.w_steps[0] = w.strides[0], p.w_steps[1] = w.strides[2], p.w_steps[2] = w.strides[3];
    p.h = rows_axis<int>(g, adjoint), p.v = columns_axis<int>(g, adjoint);
    p.width = Division(out.shape[3]);
    p.each = adjoint ? static_cast<int>(g.K / g.C) : 1;
    p.share = adjoint ? 1 : static_cast<int>(g.K / g.C);
    p.epilogue = epilogue_of<T>(epilogue);
    p.blocks = channel_blocks(out.shape[1], N, last, g.N, out.shape[2] * out.shape[3],
                              N == kWidth<T> ? 8 : 32);
    const size_t shared = N > 1 ? (g.R * g.S + 3) * p.blocks.width * sizeof(T) : 0;
    const int64_t rows = kChannelThreads >> p.blocks.lanes_log2;
    const int64_t grid = (p.blocks.items + rows - 1) / rows * p.blocks.count;
    launch(depthwise_gather_kernel<T, N>, dim3(static_cast<unsigned>(grid)), dim3(kChannelThreads),
           shared, p);
}

void run(const Conv2dParams& g, const ArrayView& source, const ArrayView& w, const ArrayView& out,
         const EpilogueView& epilogue, bool adjoint) {
    const bool strips = g.K == g.C && g.stride_h == g.stride_w && g.stride_h <= 2 &&
                        g.dilation_h == 1 && g.dilation_w == 1;
    if (strips && g.R == 3 && g.S == 3) {
        if (depthwise_strips_3x3(g, source, w, out, epilogue, adjoint)) return;
    } else if (strips && depthwise_strips_wide(g, source, w, out, epilogue, adjoint)) {
        return;
    }
    const bool last = channels_together(out);
    with_float_dtype(out.dtype, [&](auto t) {
        using T = decltype(t);
        constexpr int N = kWidth<T>;
        const size_t staged = (g.R * g.S + 3) * 8 * N * sizeof(T);
        if (last && g.K == g.C && staged <= kStagedBytes && vectors_of_channels(source, N) &&
            vectors_of_channels(out, N))
            gather<T, N>(g, source, w, out, epilogue, adjoint, last);
        else
            gather<T, 1>(g, source, w, out, epilogue, adjoint, last);
    });
}

}  // namespace

void conv2d_fprop_depthwise(const Conv2dParams& g, const ArrayView& x, const ArrayView& w,
                            const ArrayView& y, const EpilogueView& epilogue) {
    run(g, x, w, y, epilogue, false);
}

void conv2d_dgrad_depthwise(const Conv2dParams& g, const ArrayView& dy, const ArrayView& w,
                            const ArrayView& dx, const EpilogueView& epilogue) {
    run(g, dy, w, dx, epilogue, true);
}

}  // namespace pycnn::cuda
