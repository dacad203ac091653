// The implicit products of conv2d_implicit_gemm.cuh on tensor cores: halves, and float32 as tf32.
#include "common/dtypes.h"
#include "cuda/conv2d.h"
#include "cuda/conv2d_implicit_gemm.cuh"

namespace pycnn::cuda {
namespace {

// function(T{}) for the halves, false for other dtypes.
template <class F>
bool with_halves(const ArrayView& out, F&& function) {
    if (out.dtype == DType::f16) return function(Float16{});
    return out.dtype == DType::bf16 && function(BFloat16{});
}

void check_taken(bool taken) {
    if (!taken)
        throw ValueError(
            "operands: tensor cores take halves (tf32: float32) and channels-last images, aligned "
            "to 16 bytes, whose channels per group fill 16 bytes");
}

// The passes; false where the operands hold no vectors.

template <class T>
bool fprop(const Conv2dParams& g, const ArrayView& x, const ArrayView& w, const ArrayView& y,
           const EpilogueView& epilogue) {
    FpropProduct<T> p{};
    set_fprop_left(p, g, x);
    const Filters<T> filters(w, true);
    set_fprop_right(p, g, filters.tensor);
    set_fprop_out(p, g, y, epilogue);
    if (!holds_vectors(p, true, true)) return false;
    launch_on<TensorCores<true, true>>(p);
    return true;
}

template <class T>
bool dgrad(const Conv2dParams& g, const ArrayView& dy, const ArrayView& w, const ArrayView& dx,
           const EpilogueView& epilogue) {
    const auto down = rows_axis<int64_t>(g, true), across = columns_axis<int64_t>(g, true);
    const Filters<T> filters(w, true);
    const auto all = phased_dgrad<T>(g, dy, filters.tensor, dx, epilogue, down, across);
    if (!holds_vectors(all.p, true, false) || all.h_steps.dy % kWidth<T> != 0 ||
        all.w_steps.dy % kWidth<T> != 0)
        return false;
    launch_phases<TensorCores<true, false>>(all, down, across);
    return true;
}

template <class T>
bool wgrad(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy, const ArrayView& dw) {
    const auto p = wgrad_product<T>(g, x, dy, dw);
    if (!holds_vectors(p, false, false)) return false;
    launch_on<TensorCores<false, false>>(p);
    return true;
}

}  // namespace

bool conv2d_fprop_on_tensor_cores(const Conv2dParams& g, const ArrayView& x, const ArrayView& w,
                                  const ArrayView& y, const EpilogueView& epilogue) {
    check_countable(g);
    return with_halves(y, [&](auto t) { return fprop<decltype(t)>(g, x, w, y, epilogue); });
}

bool conv2d_wgrad_on_tensor_cores(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy,
                                  const ArrayView& dw) {
    check_countable(g);
    return with_halves(dw, [&](auto t) { return wgrad<decltype(t)>(g, x, dy, dw); });
}

void conv2d_fprop_tensor_core(const Conv2dParams& g, const ArrayView& x, const ArrayView& w,
                              const ArrayView& y, const EpilogueView& epilogue) {
    check_taken(conv2d_fprop_on_tensor_cores(g, x, w, y, epilogue));
}

void conv2d_dgrad_tensor_core(const Conv2dParams& g, const ArrayView& dy, const ArrayView& w,
                              const ArrayView& dx, const EpilogueView& epilogue) {
    check_countable(g);
    check_taken(
        with_halves(dx, [&](auto t) { return dgrad<decltype(t)>(g, dy, w, dx, epilogue); }));
}

void conv2d_wgrad_tensor_core(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy,
                              const ArrayView& dw, const EpilogueView&) {
    check_taken(conv2d_wgrad_on_tensor_cores(g, x, dy, dw));
}

void conv2d_fprop_tf32(const Conv2dParams& g, const ArrayView& x, const ArrayView& w,
                       const ArrayView& y, const EpilogueView& epilogue) {
    check_countable(g);
    check_taken(y.dtype == DType::f32 && fprop<float>(g, x, w, y, epilogue));
}

void conv2d_dgrad_tf32(const Conv2dParams& g, const ArrayView& dy, const ArrayView& w,
                       const ArrayView& dx, const EpilogueView& epilogue) {
    check_countable(g);
    check_taken(dx.dtype == DType::f32 && dgrad<float>(g, dy, w, dx, epilogue));
}

void conv2d_wgrad_tf32(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy,
                       const ArrayView& dw, const EpilogueView&) {
    check_countable(g);
    check_taken(dw.dtype == DType::f32 && wgrad<float>(g, x, dy, dw));
}

}  // namespace pycnn::cuda
