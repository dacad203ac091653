// Dropout whose mask is computed from a counter.
#include <algorithm>
#include <cmath>

#include "bindings/kernels.h"
#include "primitives/dropout.h"

namespace pycnn {
namespace {

double probability_arg(py::handle object) {
    const double p = PyFloat_AsDouble(object.ptr());
    if (p == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        throw TypeError(refusal("p", text_of(object), "a number"));
    }
    if (!(p >= 0 && p <= 1)) throw ValueError(refusal("p", text_of(object), "a number in [0, 1]"));
    return p;
}

void drop(py::handle x, py::handle key, py::handle out, py::handle axes, py::handle p) {
    const ArrayView to = array_arg(out, "out");
    check_dtype("out", to, kFloatDTypes);
    check_output("out", to);
    const ArrayView from = array_arg(x, "x");
    check_dtype("x", from, only(to.dtype));
    check_shape("x", from, to.shape, to.ndim);
    const ArrayView state = input_arg<1>(key, "key", {2}, only(DType::i64));
    const int64_t masked = int64_arg(axes, "axes");
    if (masked < 0 || masked > to.ndim)
        throw ValueError(refusal("axes", text_of(axes), "from 0 to " + std::to_string(to.ndim)));
    const double lost = probability_arg(p);
    DropoutMask mask{};
    mask.axes = static_cast<int>(masked);
    mask.key = state;
    mask.threshold = static_cast<uint32_t>(std::min(std::nearbyint(lost * 0x1p32), 0x1p32 - 1));
    mask.scale = lost == 1 ? 0 : 1 / (1 - lost);
    const Running running;
    PYCNN_BEST(dropout)(from, to, mask);
}

}  // namespace

void bind_dropout(py::module_& m) {
    m.def("dropout", &drop, py::arg("x"), py::arg("key"), py::arg("out"), py::arg("axes"),
          py::arg("p"),
          "Fills out with x, each element of its first axes lost with probability p.");
}

}  // namespace pycnn
