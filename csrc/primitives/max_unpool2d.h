// Max unpooling.
//
// fprop   y[n,c].flat[indices[n,c,p,q]] = x[n,c,p,q], zeros elsewhere
// dgrad   dx[n,c,p,q] = dy[n,c].flat[indices[n,c,p,q]]
//
// x, dx, indices (N,C,P,Q)  y, dy (N,C,H,W), any strides, an output's without overlap; one
// floating-point dtype, indices int64. ValueError for an index outside [0, H*W); the output is then
// unspecified.
#pragma once

#include "common/array.h"
#include "primitives/builds.h"

namespace pycnn {

PYCNN_PER_BUILD(void max_unpool2d_fprop(const ArrayView& x, const ArrayView& indices,
                                        const ArrayView& y);
                void max_unpool2d_dgrad(const ArrayView& dy, const ArrayView& indices,
                                        const ArrayView& dx);)

}  // namespace pycnn
