// The convolution algorithms in CUDA C++, by name.
#include "cuda/conv2d.h"

namespace pycnn::cuda {

const std::vector<Conv2dAlgorithm>& conv2d_algorithms() {
    static const std::vector<Conv2dAlgorithm> algorithms = {
        {"depthwise", conv2d_fprop_depthwise, conv2d_dgrad_depthwise, conv2d_wgrad_depthwise},
        {"grouped", conv2d_fprop_grouped, conv2d_dgrad_grouped, conv2d_wgrad_grouped},
        {"naive", conv2d_fprop_naive, conv2d_dgrad_naive, conv2d_wgrad_naive},
    };
    return algorithms;
}

}  // namespace pycnn::cuda
