// The matrix product as a part of other primitives.
#pragma once

#include "primitives/gemm.h"

namespace pycnn::cuda {

void gemm_tiled(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                const EpilogueView& epilogue);

}  // namespace pycnn::cuda
