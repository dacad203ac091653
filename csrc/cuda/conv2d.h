// The passes of the convolution algorithms in CUDA C++.
#pragma once

#include "primitives/conv2d.h"

namespace pycnn::cuda {

Conv2dPass conv2d_fprop_depthwise, conv2d_dgrad_depthwise, conv2d_wgrad_depthwise;
Conv2dPass conv2d_fprop_grouped, conv2d_dgrad_grouped, conv2d_wgrad_grouped;
Conv2dPass conv2d_fprop_pointwise, conv2d_dgrad_pointwise, conv2d_wgrad_pointwise;
Conv2dPass conv2d_dgrad_pixel_shuffle;
Conv2dPass conv2d_fprop_tensor_core, conv2d_dgrad_tensor_core, conv2d_wgrad_tensor_core;
Conv2dPass conv2d_fprop_tf32, conv2d_dgrad_tf32, conv2d_wgrad_tf32;
Conv2dPass conv2d_fprop_implicit_gemm, conv2d_dgrad_implicit_gemm, conv2d_wgrad_implicit_gemm;
Conv2dPass conv2d_fprop_im2col, conv2d_dgrad_im2col, conv2d_wgrad_im2col;
Conv2dPass conv2d_fprop_naive, conv2d_dgrad_naive, conv2d_wgrad_naive;

// Halves on tensor cores; false, and nothing done, where the arrays are not of the kind.
bool conv2d_fprop_on_tensor_cores(const Conv2dParams& g, const ArrayView& x, const ArrayView& w,
                                  const ArrayView& y, const EpilogueView& epilogue);
bool conv2d_wgrad_on_tensor_cores(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy,
                                  const ArrayView& dw);

}  // namespace pycnn::cuda
