// The reductions of what is read as double.
#include "cuda/reduce_launch.cuh"

namespace pycnn::cuda {

void reduce_double(const ReduceCall& call, const ReducePlan& plan) {
    if (computes_in_double(call.op))
        reduce_in_double<double>(call, plan);
    else
        reduce_as<double>(call, plan);
}

}  // namespace pycnn::cuda
