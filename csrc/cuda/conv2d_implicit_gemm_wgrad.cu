#include "common/dtypes.h"
#include "cuda/conv2d.h"
#include "cuda/conv2d_implicit_gemm.cuh"

namespace pycnn::cuda {

void conv2d_wgrad_implicit_gemm(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy,
                                const ArrayView& dw, const EpilogueView&) {
    check_countable(g);
    with_float_dtype(dw.dtype, [&](auto t) {
        using T = decltype(t);
        const auto p = wgrad_product<T>(g, x, dy, dw);
        if (p.left.vectors_along(false, kWidth<T>) && p.right.vectors_along(false, kWidth<T>))
            launch_simt<false, false, true>(p);
        else if (p.left.runs_along_depth())
            launch_simt<true, true, false>(p);
        else
            launch_simt<false, false, false>(p);
    });
}

}  // namespace pycnn::cuda
