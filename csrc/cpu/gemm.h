// The matrix products of the CPU.
#pragma once

#include "primitives/gemm.h"

namespace pycnn {

PYCNN_PER_BUILD(void gemm_tiled(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                                const EpilogueView& epilogue);
                void gemm_naive(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                                const EpilogueView& epilogue);)

}  // namespace pycnn
