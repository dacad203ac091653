#include "primitives/reduce.h"

#include "cuda/reduce_launch.cuh"
#include "primitives/elementwise.h"

namespace pycnn::cuda {
namespace {

// `x` in float64, in memory of its own.
ArrayView in_double(const ArrayView& x, Workspace<double>& memory) {
    memory = Workspace<double>(x.numel());
    ElementwiseCall copy;
    copy.op = "copy";
    copy.inputs = 1;
    copy.input[0] = x;
    copy.out = dense_view(memory.data(), DType::f64, x, Layout::contiguous);
    elementwise(copy);
    return copy.out;
}

// The halves of a call's longest kept axis, one after the other.
void reduce_halves(const ReduceCall& call) {
    int axis = -1, out_axis = 0;
    for (int i = 0, o = 0; i < call.x.ndim; ++i) {
        if (call.reduced[i]) continue;
        if (axis < 0 || call.x.shape[i] > call.x.shape[axis]) axis = i, out_axis = o;
        ++o;
    }
    const int64_t size = call.x.shape[axis], first = size / 2;
    const auto cut = [&](ArrayView& a, int along, bool second) {
        if (second)
            a.data = static_cast<char*>(a.data) + first * a.strides[along] * info(a.dtype).bytes;
        a.shape[along] = second ? size - first : first;
    };
    for (const bool second : {false, true}) {
        ReduceCall half = call;
        cut(half.x, axis, second);
        cut(half.out, out_axis, second);
        reduce(half);
    }
}

}  // namespace

void reduce(const ReduceCall& given) {
    ReduceCall call = given;
    ReducePlan plan = reduce_plan(call);
    if (plan.outputs == 0) return;
    const bool picks = call.op == Reduction::amax || call.op == Reduction::amin ||
                       call.op == Reduction::argmax || call.op == Reduction::argmin;
    if (plan.count == 0 && picks)
        throw ValueError(refusal("the number of reduced elements", "0", "at least 1"));
    if (plan.outputs >= int64_t{1} << 31) return reduce_halves(call);
    Workspace<double> wide;
    if (!(kFloatDTypes & only(call.x.dtype))) {
        if (!computes_in_double(call.op)) return reduce_whole(call, plan);
        call.x = in_double(call.x, wide);
        plan = reduce_plan(call);
    }
    if (call.x.dtype == DType::f64)
        reduce_double(call, plan);
    else
        reduce_float(call, plan);
}

}  // namespace pycnn::cuda
