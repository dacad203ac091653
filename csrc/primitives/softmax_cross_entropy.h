// Softmax cross entropy of logits with class indices, and its gradient.
#pragma once

#include <optional>

#include "common/array.h"
#include "primitives/builds.h"

namespace pycnn {

// logits (N, C, *); target (N, *) of integers; class_weight (C,) or none; loss, logsumexp and dloss
// (N, *); any strides and float dtypes.
//   fprop  loss = (1-s) * w_t * (lse - x_t) + s/C * sum_c w_c * (lse - x_c), lse = log sum exp x_c
//   dgrad  dx_c = dloss * ((1-s) * w_t * (p_c - [c = t]) + s/C * (p_c * sum w - w_c)),
//          p_c = exp(x_c - lse)
// Where t is ignore_index both are 0; where it is another integer outside [0, C) they are NaN.
struct CrossEntropy {
    ArrayView logits, target;
    std::optional<ArrayView> class_weight;
    int64_t ignore_index;
    double label_smoothing;
};

PYCNN_PER_BUILD(void softmax_cross_entropy_fprop(const CrossEntropy& a, const ArrayView& loss,
                                                 const ArrayView& logsumexp);
                void softmax_cross_entropy_dgrad(const CrossEntropy& a, const ArrayView& dloss,
                                                 const ArrayView& logsumexp, const ArrayView& dx);)

}  // namespace pycnn
