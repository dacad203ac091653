// The elementwise ops of whole numbers and truth values.
#include "cuda/elementwise_whole.cuh"

#include "cuda/elementwise_launch.cuh"

namespace pycnn::cuda {

const std::vector<ElementwiseRow>& whole_rows() {
    static const auto rows = rows_of<int64_t, Copying, WholeOfOne, WholeOfMore, WholeQuotients>();
    return rows;
}

}  // namespace pycnn::cuda
