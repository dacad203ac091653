// The matrix product as a part of other primitives.
#pragma once

#include "primitives/gemm.h"

namespace pycnn::cuda {

void gemm_tiled(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                const EpilogueView& epilogue);
// Halves, and float32 rounded to tf32; operands that hold no vectors are multiplied as by
// gemm_tiled.
void gemm_tensor_core(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                      const EpilogueView& epilogue);
void gemm_tf32(const ArrayView& a, const ArrayView& b, const ArrayView& out,
               const EpilogueView& epilogue);

// The fastest of them that multiplies exactly.
inline void gemm_fastest(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                         const EpilogueView& epilogue) {
    const bool halves = out.dtype == DType::f16 || out.dtype == DType::bf16;
    (halves ? gemm_tensor_core : gemm_tiled)(a, b, out, epilogue);
}

}  // namespace pycnn::cuda
