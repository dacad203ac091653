// Sum and activation in one pass.
#include "primitives/add_activation.h"
#include "bindings/kernels.h"

namespace pycnn {
namespace {

void add_and_activate(py::handle a, py::handle b, py::handle out, py::handle activation) {
    const ArrayView to = array_arg(out, "out");
    check_dtype("out", to, kFloatDTypes);
    check_output("out", to);
    const auto input = [&](py::handle object, const char* name) {
        const ArrayView view = array_arg(object, name);
        check_dtype(name, view, only(to.dtype));
        check_shape(name, view, to.shape, to.ndim);
        return view;
    };
    const ArrayView first = input(a, "a"), second = input(b, "b");
    const Activation function = activation_arg(activation);
    const Running running;
    PYCNN_BEST(add_activation)(first, second, to, function);
}

}  // namespace

void bind_add_activation(py::module_& m) {
    m.def("add_activation", &add_and_activate, py::arg("a"), py::arg("b"), py::arg("out"),
          py::arg("activation"), "Fills out with activation(a + b); out may be a or b.");
}

}  // namespace pycnn
