#include "common/dtypes.h"
#include "cuda/conv2d.h"
#include "cuda/conv2d_implicit_gemm.cuh"

namespace pycnn::cuda {

void conv2d_dgrad_implicit_gemm(const Conv2dParams& g, const ArrayView& dy, const ArrayView& w,
                                const ArrayView& dx, const EpilogueView& epilogue) {
    check_countable(g);
    const auto down = rows_axis<int64_t>(g, true), across = columns_axis<int64_t>(g, true);
    with_float_dtype(dx.dtype, [&](auto t) {
        using T = decltype(t);
        auto all = phased_dgrad<T>(g, dy, Tensor4<T>(w), dx, epilogue, down, across);
        const bool vectors = all.p.left.vectors_along(true, kWidth<T>) &&
                             all.h_steps.dy % kWidth<T> == 0 && all.w_steps.dy % kWidth<T> == 0;
        const Filters<T> filters(w, vectors);
        all = phased_dgrad<T>(g, dy, filters.tensor, dx, epilogue, down, across);
        if (vectors && all.p.right.vectors_along(false, kWidth<T>))
            launch_phases<Simt<true, false, true>>(all, down, across);
        else if (all.p.left.runs_along_depth())
            launch_phases<Simt<true, false, false>>(all, down, across);
        else
            launch_phases<Simt<false, false, false>>(all, down, across);
    });
}

}  // namespace pycnn::cuda
