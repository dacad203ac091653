// gemm as a Product of the engines, for launchers.
#pragma once

#include "cuda/gemm_launch.cuh"

namespace pycnn::cuda {

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

}  // namespace pycnn::cuda
