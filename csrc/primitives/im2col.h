// Patches as columns, and their adjoint:
// columns[n, (c*R + r)*S + s, p*Q + q] = x[n, c, p*stride_h - top + r*dilation_h, ...]
//
// x (N,C,H,W)  columns (N, C*R*S, P*Q): the same dtype, any strides, the output's without overlap.
#pragma once

#include "common/array.h"
#include "common/params.h"
#include "primitives/builds.h"

namespace pycnn {

PYCNN_PER_BUILD(void im2col(const Conv2dParams& p, const ArrayView& x, const ArrayView& columns);
                void col2im(const Conv2dParams& p, const ArrayView& columns, const ArrayView& x);)

}  // namespace pycnn
