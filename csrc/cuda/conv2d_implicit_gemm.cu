#include "cuda/conv2d_implicit_gemm.cuh"

#include "common/dtypes.h"
#include "cuda/conv2d.h"

namespace pycnn::cuda {

void conv2d_fprop_implicit_gemm(const Conv2dParams& g, const ArrayView& x, const ArrayView& w,
                                const ArrayView& y, const EpilogueView& epilogue) {
    check_countable(g);
    with_float_dtype(y.dtype, [&](auto t) {
        using T = decltype(t);
        FpropProduct<T> p{};
        set_fprop_left(p, g, x);
        const Filters<T> filters(w, p.left.vectors_along(true, kWidth<T>));
        set_fprop_right(p, g, filters.tensor);
        set_fprop_out(p, g, y, epilogue);
        if (p.left.vectors_along(true, kWidth<T>) && p.right.vectors_along(true, kWidth<T>))
            launch_simt<true, true, true>(p);
        else if (p.left.runs_along_depth())
            launch_simt<true, true, false>(p);
        else
            launch_simt<false, true, false>(p);
    });
}

}  // namespace pycnn::cuda
