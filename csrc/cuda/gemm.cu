#include "cuda/gemm.cuh"

#include "common/dtypes.h"
#include "cuda/gemm.h"
#include "cuda/gemm_launch.cuh"
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

template <class T>
using MatrixOperand = Operand<T, EvenAxis, EvenAxis>;
template <class T>
using MatrixProduct = Product<MatrixOperand<T>, MatrixOperand<T>, Output<T, EvenAxis, EvenAxis>>;

template <class T>
MatrixProduct<T> product_of(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                            const EpilogueView& epilogue) {
    const int64_t B = out.shape[0], M = out.shape[1], N = out.shape[2], K = a.shape[2];
    const auto operand = [&](const ArrayView& of, int line, int depth) {
        return MatrixOperand<T>{static_cast<const T*>(of.data),
                                B > 1 ? of.strides[0] : 0,
                                EvenAxis::of(of.shape[line], of.strides[line]),
                                EvenAxis::of(K, of.strides[depth]),
                                0,
                                0};
    };
    MatrixProduct<T> p{};
    p.left = operand(a, 1, 2);
    p.right = operand(b, 2, 1);
    p.out.data = static_cast<T*>(out.data);
    p.out.batch_step = B > 1 ? out.strides[0] : 0;
    p.out.rows = EvenAxis::of(M, out.strides[1]);
    p.out.cols = EvenAxis::of(N, out.strides[2]);
    p.out.epilogue = epilogue_of<T>(epilogue);
    const int64_t* r = p.out.epilogue.residual_steps;
    p.out.residual_batch_step = B > 1 ? r[0] : 0;
    p.out.residual_rows = EvenAxis::of(M, r[1]);
    p.out.residual_cols = EvenAxis::of(N, r[2]);
    p.out.channels = N;
    p.out.row_count = M, p.out.col_count = N;
    p.depth = K;
    p.batches = static_cast<int>(B);
    return p;
}

// Calls function(true or false) with a constant.
template <class F>
void with_flag(bool flag, F&& function) {
    if (flag)
        function(std::true_type{});
    else
        function(std::false_type{});
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
        {"tiled", gemm_tiled},
        {"naive", gemm_naive},
    };
    return algorithms;
}

}  // namespace pycnn::cuda
