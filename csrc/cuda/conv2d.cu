// The convolution algorithms in CUDA C++, by name.
#include "cuda/conv2d.h"

namespace pycnn::cuda {

const std::vector<Conv2dAlgorithm>& conv2d_algorithms() {
    static const std::vector<Conv2dAlgorithm> algorithms = {
        {"depthwise", conv2d_fprop_depthwise, conv2d_dgrad_depthwise, conv2d_wgrad_depthwise},
        {"grouped", conv2d_fprop_grouped, conv2d_dgrad_grouped, conv2d_wgrad_grouped},
        {"pointwise", conv2d_fprop_pointwise, conv2d_dgrad_pointwise, conv2d_wgrad_pointwise},
        {"pixel_shuffle", nullptr, conv2d_dgrad_pixel_shuffle, nullptr},
        {"tensor_core", conv2d_fprop_tensor_core, conv2d_dgrad_tensor_core,
         conv2d_wgrad_tensor_core},
        {"tf32", conv2d_fprop_tf32, conv2d_dgrad_tf32, conv2d_wgrad_tf32},
        {"implicit_gemm", conv2d_fprop_implicit_gemm, conv2d_dgrad_implicit_gemm,
         conv2d_wgrad_implicit_gemm},
        {"im2col", conv2d_fprop_im2col, conv2d_dgrad_im2col, conv2d_wgrad_im2col},
        {"naive", conv2d_fprop_naive, conv2d_dgrad_naive, conv2d_wgrad_naive},
    };
    return algorithms;
}

}  // namespace pycnn::cuda
