// The reductions of what is read as float.
#include "cuda/reduce_launch.cuh"

namespace pycnn::cuda {

void reduce_float(const ReduceCall& call, const ReducePlan& plan) {
    if (computes_in_double(call.op))
        reduce_in_double<float>(call, plan);
    else
        reduce_as<float>(call, plan);
}

}  // namespace pycnn::cuda
