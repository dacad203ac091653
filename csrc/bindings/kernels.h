// What the bindings of the kernel families share, and one bind_<stem>() for each.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "bindings/arguments.h"
#include "common/epilogue.h"

namespace pycnn {

// An array that a kernel reads: floating point, of the given shape.
template <size_t NDim>
ArrayView input_arg(py::handle object, const char* name, const std::array<int64_t, NDim>& shape,
                    DTypes dtypes = kFloatDTypes) {
    const ArrayView view = array_arg(object, name);
    check_dtype(name, view, dtypes);
    check_shape(name, view, shape.data(), static_cast<int>(NDim));
    return view;
}

// An array that a kernel fills.
template <size_t NDim>
ArrayView output_arg(py::handle object, const char* name, const std::array<int64_t, NDim>& shape,
                     DTypes dtypes = kFloatDTypes) {
    const ArrayView view = input_arg(object, name, shape, dtypes);
    check_output(name, view);
    return view;
}

// The name of an activation, or None.
Activation activation_arg(py::handle object);

// A pycnn.dispatch.Epilogue or None; `channels` is what bias, scale and shift hold. All of them
// have the output's dtype.
EpilogueView epilogue_arg(py::handle object, const ArrayView& out, int64_t channels);

void bind_memory(py::module_& m);
void bind_add_activation(py::module_& m);
void bind_batch_norm(py::module_& m);
void bind_concat(py::module_& m);
void bind_softmax(py::module_& m);
void bind_softmax_cross_entropy(py::module_& m);
void bind_conv2d(py::module_& m);
void bind_copy(py::module_& m);
void bind_dropout(py::module_& m);
void bind_elementwise(py::module_& m);
void bind_reduce(py::module_& m);
void bind_gemm(py::module_& m);
void bind_im2col(py::module_& m);
void bind_pool2d(py::module_& m);
void bind_max_unpool2d(py::module_& m);
void bind_local_response_norm(py::module_& m);
void bind_resize2d(py::module_& m);

}  // namespace pycnn
