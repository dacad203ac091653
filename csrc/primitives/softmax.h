// Softmax and log-softmax along one axis, and their gradients.
#pragma once

#include "common/array.h"
#include "primitives/builds.h"

namespace pycnn {

// Arrays of one shape, any float dtypes and strides.
//   fprop  y_i = exp(x_i - m) / s, or x_i - m - log(s), with m = max x and s = sum exp(x_j - m)
//   dgrad  dx_i = y_i * (dy_i - sum dy_j * y_j), or dy_i - exp(y_i) * sum dy_j
PYCNN_PER_BUILD(void softmax_fprop(const ArrayView& x, const ArrayView& y, int axis, bool log);
                void softmax_dgrad(const ArrayView& dy, const ArrayView& y, const ArrayView& dx,
                                   int axis, bool log);)

}  // namespace pycnn
