#include "cuda/gemm.cuh"

#include "common/dtypes.h"
#include "cuda/gemm.h"
#include "cuda/gemm_product.cuh"
#include "primitives/gemm.h"

namespace pycnn::cuda {
namespace {

void gemm_naive(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                const EpilogueView& epilogue) {
    with_float_dtype(out.dtype, [&](auto t) {
        using T = decltype(t);
        GemmNaive<T> p{static_cast<const T*>(a.data),
                       static_cast<const T*>(b.data),
                       static_cast<T*>(out.data),
                       {},
                       {},
                       {},
                       out.shape[0],
                       out.shape[1],
                       out.shape[2],
                       a.shape[2],
                       epilogue_of<T>(epilogue)};
        std::copy_n(a.strides, 3, p.a_steps);
        std::copy_n(b.strides, 3, p.b_steps);
        std::copy_n(out.strides, 3, p.out_steps);
        launch(gemm_naive_kernel<T>, blocks_for(out.numel(), kGemmNaiveThreads),
               dim3(kGemmNaiveThreads), 0, p);
    });
}

}  // namespace

void gemm_tiled(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                const EpilogueView& epilogue) {
    with_float_dtype(out.dtype, [&](auto t) {
        using T = decltype(t);
        const auto p = product_of<T>(a, b, out, epilogue);
        const bool a_along = p.left.runs_along_depth(), b_along = p.right.runs_along_depth();
        const bool vectors =
            p.left.vectors_along(a_along, kWidth<T>) && p.right.vectors_along(b_along, kWidth<T>);
        with_flag(b_along, [&](auto right) {
            constexpr bool kRight = decltype(right)::value;
            if (!vectors) return launch_simt<true, kRight, false>(p);
            with_flag(a_along,
                      [&](auto left) { launch_simt<decltype(left)::value, kRight, true>(p); });
        });
    });
}

const std::vector<GemmAlgorithm>& gemm_algorithms() {
    static const std::vector<GemmAlgorithm> algorithms = {
        {"tensor_core", gemm_tensor_core},
        {"tf32", gemm_tf32},
        {"tiled", gemm_tiled},
        {"naive", gemm_naive},
    };
    return algorithms;
}

}  // namespace pycnn::cuda
