// Batched matrix product: out[b,m,n] = epilogue(sum_k a[b,m,k] * b[b,k,n]).
//
// a (B,M,K)  b (B,K,N)  out (B,M,N): one of the floating-point dtypes, the same for all, and any
// strides, out's without overlap. The epilogue runs along the columns.
#pragma once

#include <vector>

#include "common/array.h"
#include "common/epilogue.h"
#include "primitives/builds.h"

namespace pycnn {

struct GemmAlgorithm {
    const char* name;
    void (*run)(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                const EpilogueView& epilogue);
};
PYCNN_PER_BUILD(const std::vector<GemmAlgorithm>& gemm_algorithms();)

}  // namespace pycnn
