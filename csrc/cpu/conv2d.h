// The passes of the convolution algorithms of the CPU.
#pragma once

#include "primitives/conv2d.h"

namespace pycnn {

PYCNN_PER_BUILD(Conv2dPass conv2d_fprop_winograd, conv2d_dgrad_winograd;)
PYCNN_PER_BUILD(Conv2dPass conv2d_fprop_depthwise, conv2d_dgrad_depthwise, conv2d_wgrad_depthwise;)
PYCNN_PER_BUILD(Conv2dPass conv2d_fprop_grouped, conv2d_dgrad_grouped, conv2d_wgrad_grouped;)
PYCNN_PER_BUILD(Conv2dPass conv2d_fprop_pointwise, conv2d_dgrad_pointwise, conv2d_wgrad_pointwise;)
PYCNN_PER_BUILD(Conv2dPass conv2d_dgrad_pixel_shuffle;)
PYCNN_PER_BUILD(Conv2dPass conv2d_fprop_direct, conv2d_dgrad_direct, conv2d_wgrad_direct;)
PYCNN_PER_BUILD(Conv2dPass conv2d_fprop_im2col, conv2d_dgrad_im2col, conv2d_wgrad_im2col;)
PYCNN_PER_BUILD(Conv2dPass conv2d_fprop_naive, conv2d_dgrad_naive, conv2d_wgrad_naive;)

}  // namespace pycnn
