// The convolution algorithms of the CPU, by name.
#include "cpu/conv2d.h"

namespace pycnn::PYCNN_ISA {

const std::vector<Conv2dAlgorithm>& conv2d_algorithms() {
    static const std::vector<Conv2dAlgorithm> algorithms = {
        {"winograd", conv2d_fprop_winograd, conv2d_dgrad_winograd, nullptr},
        {"depthwise", conv2d_fprop_depthwise, conv2d_dgrad_depthwise, conv2d_wgrad_depthwise},
        {"grouped", conv2d_fprop_grouped, conv2d_dgrad_grouped, conv2d_wgrad_grouped},
        {"pointwise", conv2d_fprop_pointwise, conv2d_dgrad_pointwise, conv2d_wgrad_pointwise},
        {"pixel_shuffle", nullptr, conv2d_dgrad_pixel_shuffle, nullptr},
        {"direct", conv2d_fprop_direct, conv2d_dgrad_direct, conv2d_wgrad_direct},
        {"im2col", conv2d_fprop_im2col, conv2d_dgrad_im2col, conv2d_wgrad_im2col},
        {"naive", conv2d_fprop_naive, conv2d_dgrad_naive, conv2d_wgrad_naive},
    };
    return algorithms;
}

}  // namespace pycnn::PYCNN_ISA
