// The reductions of whole numbers and truth values.
#include "cuda/reduce_launch.cuh"

namespace pycnn::cuda {

void reduce_whole(const ReduceCall& call, const ReducePlan& plan) {
    reduce_as<int64_t>(call, plan);
}

}  // namespace pycnn::cuda
