#include "cuda/conv2d_depthwise_strips.cuh"
#include "cuda/conv2d_depthwise_strips.h"

namespace pycnn::cuda {

bool depthwise_strips_wide(const Conv2dParams& g, const ArrayView& source, const ArrayView& w,
                           const ArrayView& out, const EpilogueView& epilogue, bool adjoint) {
    const bool last = channels_together(out);
    const int64_t along = last ? g.S : g.R;
    if (along != 5 && (along != 7 || g.stride_h != 1)) return false;
    return with_strips(source, out, last, [&](auto t, auto n) {
        using T = decltype(t);
        constexpr int N = n();
        if (along == 7)
            return launch_strips<T, N, 0, 7, 1, false>(g, source, w, out, epilogue, adjoint, last);
        if (g.stride_h == 1)
            return launch_strips<T, N, 0, 5, 1, false>(g, source, w, out, epilogue, adjoint, last);
        if (adjoint)
            return launch_strips<T, N, 0, 5, 2, true>(g, source, w, out, epilogue, false, last);
        return launch_strips<T, N, 0, 5, 2, false>(g, source, w, out, epilogue, false, last);
    });
}

}  // namespace pycnn::cuda
