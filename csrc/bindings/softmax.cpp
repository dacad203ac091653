// Softmax and log-softmax along one axis, and their gradients.
#include <string>

#include "bindings/kernels.h"
#include "primitives/softmax.h"

namespace pycnn {
namespace {

ArrayView float_arg(py::handle object, const char* name) {
    const ArrayView view = array_arg(object, name);
    check_dtype(name, view, kFloatDTypes);
    return view;
}

ArrayView beside(py::handle object, const char* name, const ArrayView& like) {
    const ArrayView view = float_arg(object, name);
    check_shape(name, view, like.shape, like.ndim);
    return view;
}

int axis_arg(py::handle object, const ArrayView& a) {
    const int64_t axis = int64_arg(object, "axis");
    if (axis < 0 || axis >= a.ndim)
        throw ValueError(refusal("axis", std::to_string(axis),
                                 "an axis of y, from 0 to " + std::to_string(a.ndim - 1)));
    return static_cast<int>(axis);
}

bool log_arg(py::handle object) {
    if (!PyBool_Check(object.ptr()))
        throw TypeError(refusal("log", text_of(object), "True, False"));
    return object.ptr() == Py_True;
}

void fprop(py::handle x, py::handle y, py::handle axis, py::handle log) {
    const ArrayView to = float_arg(y, "y");
    check_output("y", to);
    const ArrayView from = beside(x, "x", to);
    const int along = axis_arg(axis, to);
    const bool logarithm = log_arg(log);
    const Running running;
    PYCNN_BEST(softmax_fprop)(from, to, along, logarithm);
}

void dgrad(py::handle dy, py::handle y, py::handle dx, py::handle axis, py::handle log) {
    const ArrayView to = float_arg(dx, "dx");
    check_output("dx", to);
    const ArrayView gradient = beside(dy, "dy", to), value = beside(y, "y", to);
    const int along = axis_arg(axis, to);
    const bool logarithm = log_arg(log);
    const Running running;
    PYCNN_BEST(softmax_dgrad)(gradient, value, to, along, logarithm);
}

}  // namespace

void bind_softmax(py::module_& m) {
    m.def("softmax_fprop", &fprop, py::arg("x"), py::arg("y"), py::arg("axis"), py::arg("log"),
          "Fills y.");
    m.def("softmax_dgrad", &dgrad, py::arg("dy"), py::arg("y"), py::arg("dx"), py::arg("axis"),
          py::arg("log"), "Fills dx; y is what the forward pass stored.");
}

}  // namespace pycnn
