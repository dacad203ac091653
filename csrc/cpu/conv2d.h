// Two-dimensional convolution on the CPU: what each algorithm offers for each pass.
//
// fprop   y[n,k,p,q] = sum_{c,r,s} x[n, c, p*stride_h - top + r*dilation_h, ...] * w[k,c,r,s]
// dgrad   dx, the adjoint of fprop in x        wgrad   dw, the adjoint of fprop in w
//
// x, dx (N,C,H,W)  w, dw (K,C/G,R,S)  y, dy (N,K,P,Q): one of the floating-point dtypes, the same
// for all, and any strides, an output's without overlap. fprop and dgrad end in an epilogue along
// the channels of what they write.
#pragma once

#include "common/array.h"
#include "common/epilogue.h"
#include "common/params.h"
#include "cpu/per_isa.h"

namespace pycnn {

PYCNN_PER_ISA(
    void conv2d_fprop_naive(const Conv2dParams& p, const ArrayView& x, const ArrayView& w,
                            const ArrayView& y, const EpilogueView& epilogue);
    void conv2d_dgrad_naive(const Conv2dParams& p, const ArrayView& dy, const ArrayView& w,
                            const ArrayView& dx, const EpilogueView& epilogue);
    void conv2d_wgrad_naive(const Conv2dParams& p, const ArrayView& x, const ArrayView& dy,
                            const ArrayView& dw, const EpilogueView& epilogue);
    void conv2d_wgrad_direct(const Conv2dParams& p, const ArrayView& x, const ArrayView& dy,
                             const ArrayView& dw, const EpilogueView& epilogue);)

}  // namespace pycnn
