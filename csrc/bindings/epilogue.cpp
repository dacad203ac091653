#include <iterator>

#include "bindings/kernels.h"

namespace pycnn {
namespace {

std::optional<ArrayView> optional_arg(py::handle object, const char* name, DType dtype,
                                      const int64_t* shape, int ndim) {
    if (object.is_none()) return std::nullopt;
    const ArrayView view = array_arg(object, name);
    check_dtype(name, view, only(dtype));
    check_shape(name, view, shape, ndim);
    return view;
}

}  // namespace

Activation activation_arg(py::handle object) {
    if (object.is_none()) return Activation::none;
    if (PyUnicode_Check(object.ptr()))
        for (size_t i = 1; i < std::size(kActivations); ++i)
            if (PyUnicode_CompareWithASCIIString(object.ptr(), kActivations[i]) == 0)
                return static_cast<Activation>(i);
    std::string accepted = "None";
    for (size_t i = 1; i < std::size(kActivations); ++i)
        accepted += std::string(", '") + kActivations[i] + "'";
    throw ValueError(refusal("activation", text_of(object), accepted));
}

EpilogueView epilogue_arg(py::handle object, const ArrayView& out, int64_t channels) {
    EpilogueView epilogue;
    if (object.is_none()) return epilogue;
    const py::tuple fields =
        sequence_arg(object, "epilogue", "(bias, scale, shift, residual, activation) or None");
    if (fields.size() != 5)
        throw ValueError(refusal("epilogue", text_of(object),
                                 "(bias, scale, shift, residual, activation) or None"));
    epilogue.bias = optional_arg(fields[0], "bias", out.dtype, &channels, 1);
    epilogue.scale = optional_arg(fields[1], "scale", out.dtype, &channels, 1);
    epilogue.shift = optional_arg(fields[2], "shift", out.dtype, &channels, 1);
    epilogue.residual = optional_arg(fields[3], "residual", out.dtype, out.shape, out.ndim);
    epilogue.activation = activation_arg(fields[4]);
    return epilogue;
}

}  // namespace pycnn
