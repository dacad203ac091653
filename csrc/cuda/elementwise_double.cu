// The elementwise ops computed in double.
#include "cuda/elementwise_launch.cuh"
#include "cuda/elementwise_smooth.cuh"

namespace pycnn::cuda {

const std::vector<ElementwiseRow>& double_rows() {
    static const auto rows = rows_of<double, Copying, Addition, Multiplication, Relu, ReluGradient,
                                     ArithmeticOfOne, ArithmeticOfTwo, ArithmeticOfMore,
                                     SmoothOfOne, SmoothOfTwo, SmoothOfMore, Powers, Periodic>();
    return rows;
}

}  // namespace pycnn::cuda
