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

}  // namespace pycnn::cuda
