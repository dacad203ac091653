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

// A pass on checked arrays: fprop (x, w -> y), dgrad (dy, w -> dx), wgrad (x, dy -> dw, no
// epilogue).
using Conv2dPass = void(const Conv2dParams& p, const ArrayView& a, const ArrayView& b,
                        const ArrayView& out, const EpilogueView& epilogue);

PYCNN_PER_ISA(Conv2dPass conv2d_fprop_winograd, conv2d_dgrad_winograd;)
PYCNN_PER_ISA(Conv2dPass conv2d_fprop_depthwise, conv2d_dgrad_depthwise, conv2d_wgrad_depthwise;)
PYCNN_PER_ISA(Conv2dPass conv2d_fprop_grouped, conv2d_dgrad_grouped, conv2d_wgrad_grouped;)
PYCNN_PER_ISA(Conv2dPass conv2d_fprop_pointwise, conv2d_dgrad_pointwise, conv2d_wgrad_pointwise;)
PYCNN_PER_ISA(Conv2dPass conv2d_dgrad_pixel_shuffle;)
PYCNN_PER_ISA(Conv2dPass conv2d_fprop_direct, conv2d_dgrad_direct, conv2d_wgrad_direct;)
PYCNN_PER_ISA(Conv2dPass conv2d_fprop_im2col, conv2d_dgrad_im2col, conv2d_wgrad_im2col;)
PYCNN_PER_ISA(Conv2dPass conv2d_fprop_naive, conv2d_dgrad_naive, conv2d_wgrad_naive;)

}  // namespace pycnn
