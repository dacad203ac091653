#include "common/dtypes.h"
#include "cuda/gemm.h"
#include "cuda/gemm_product.cuh"

namespace pycnn::cuda {
namespace {

// False where an operand holds no vectors.
template <class T>
bool multiply_on_tensor_cores(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                              const EpilogueView& epilogue) {
    const auto p = product_of<T>(a, b, out, epilogue);
    const bool a_along = p.left.runs_along_depth(), b_along = p.right.runs_along_depth();
    if (!holds_vectors(p, a_along, b_along)) return false;
    with_flag(a_along, [&](auto left) {
        with_flag(b_along, [&](auto right) {
            launch_mma<decltype(left)::value, decltype(right)::value>(p);
        });
    });
    return true;
}

}  // namespace

void gemm_tensor_core(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                      const EpilogueView& epilogue) {
    bool done = false;
    if (out.dtype == DType::f16)
        done = multiply_on_tensor_cores<Float16>(a, b, out, epilogue);
    else if (out.dtype == DType::bf16)
        done = multiply_on_tensor_cores<BFloat16>(a, b, out, epilogue);
    else
        check_dtype("out", out, only(DType::f16) | only(DType::bf16));
    if (!done) gemm_tiled(a, b, out, epilogue);
}

void gemm_tf32(const ArrayView& a, const ArrayView& b, const ArrayView& out,
               const EpilogueView& epilogue) {
    check_dtype("out", out, only(DType::f32));
    if (!multiply_on_tensor_cores<float>(a, b, out, epilogue)) gemm_tiled(a, b, out, epilogue);
}

}  // namespace pycnn::cuda
