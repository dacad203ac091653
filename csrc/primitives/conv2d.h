// Two-dimensional convolution: what each algorithm offers for each pass.
//
// fprop   y[n,k,p,q] = sum_{c,r,s} x[n, c, p*stride_h - top + r*dilation_h, ...] * w[k,c,r,s]
// dgrad   dx, the adjoint of fprop in x        wgrad   dw, the adjoint of fprop in w
//
// x, dx (N,C,H,W)  w, dw (K,C/G,R,S)  y, dy (N,K,P,Q): one of the floating-point dtypes, the same
// for all, and any strides, an output's without overlap. fprop and dgrad end in an epilogue along
// the channels of what they write.
#pragma once

#include <vector>

#include "common/array.h"
#include "common/epilogue.h"
#include "common/params.h"
#include "primitives/builds.h"

namespace pycnn {

// A pass on checked arrays: fprop (x, w -> y), dgrad (dy, w -> dx), wgrad (x, dy -> dw, no
// epilogue).
using Conv2dPass = void(const Conv2dParams& p, const ArrayView& a, const ArrayView& b,
                        const ArrayView& out, const EpilogueView& epilogue);

// An algorithm of a build; null where it has no such pass.
struct Conv2dAlgorithm {
    const char* name;
    Conv2dPass *fprop, *dgrad, *wgrad;
};
PYCNN_PER_BUILD(const std::vector<Conv2dAlgorithm>& conv2d_algorithms();)

}  // namespace pycnn
