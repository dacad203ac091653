// Local response normalisation.
//
// s[c] = k + alpha/size * sum of x[j]^2 over c - size/2 <= j <= c + (size-1)/2 inside [0, C)
// fprop   y[c] = x[c] * s[c]^-beta
// dgrad   dx[c] = dy[c] * s[c]^-beta - 2*alpha*beta/size * x[c] * sum of dy[i]*y[i]/s[i] over the i
//                 whose window holds c
//
// x, y, dy, dx (N,C,*) of one floating-point dtype, any strides, an output's without overlap.
#pragma once

#include "common/array.h"
#include "primitives/builds.h"

namespace pycnn {

struct LocalResponseNormParams {
    int64_t size;
    double alpha, beta, k;
};

PYCNN_PER_BUILD(void local_response_norm_fprop(const LocalResponseNormParams& g, const ArrayView& x,
                                               const ArrayView& y);
                void local_response_norm_dgrad(const LocalResponseNormParams& g,
                                               const ArrayView& dy, const ArrayView& x,
                                               const ArrayView& y, const ArrayView& dx);)

}  // namespace pycnn
