// Batched matrix product on the CPU: out[b,m,n] = epilogue(sum_k a[b,m,k] * b[b,k,n]).
//
// a (B,M,K)  b (B,K,N)  out (B,M,N): one of the floating-point dtypes, the same for all, and any
// strides, out's without overlap. The epilogue runs along the columns.
#pragma once

#include "common/array.h"
#include "common/epilogue.h"
#include "cpu/per_isa.h"

namespace pycnn {

PYCNN_PER_ISA(void gemm_tiled(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                              const EpilogueView& epilogue);
              void gemm_naive(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                              const EpilogueView& epilogue);)

}  // namespace pycnn
