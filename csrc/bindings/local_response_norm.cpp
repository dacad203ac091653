// Local response normalisation: the checks of its geometry and arrays.
#include "primitives/local_response_norm.h"
#include "bindings/kernels.h"

namespace pycnn {
namespace {

double double_arg(py::handle object, const std::string& name) {
    if (!PyFloat_Check(object.ptr()) && !PyLong_Check(object.ptr()))
        throw TypeError(refusal(name, text_of(object), "a float"));
    const double value = PyFloat_AsDouble(object.ptr());
    if (value == -1.0 && PyErr_Occurred()) throw py::error_already_set();
    return value;
}

// The values of a LocalResponseNormGeometry.
LocalResponseNormParams params_of(py::handle geometry) {
    const char* accepted = "size, alpha, beta, k";
    const py::tuple items = sequence_arg(geometry, "geometry", accepted);
    if (items.size() != 4) throw ValueError(refusal("geometry", text_of(geometry), accepted));
    const LocalResponseNormParams g{int64_arg(items[0], "size"), double_arg(items[1], "alpha"),
                                    double_arg(items[2], "beta"), double_arg(items[3], "k")};
    check_at_least("size", g.size, 1);
    return g;
}

void check_same(const char* name, const ArrayView& a, const ArrayView& out) {
    check_dtype(name, a, only(out.dtype));
    check_shape(name, a, out.shape, out.ndim);
}

ArrayView image_output(py::handle object, const char* name) {
    const ArrayView out = array_arg(object, name);
    check_dtype(name, out, kFloatDTypes);
    if (out.ndim < 2)
        throw ValueError(refusal(std::string(name) + "'s shape", shape_text(out),
                                 "images and channels, at least two axes"));
    check_output(name, out);
    return out;
}

void fprop(py::handle x, py::handle y, py::handle geometry) {
    const LocalResponseNormParams g = params_of(geometry);
    const ArrayView out = image_output(y, "y"), in = array_arg(x, "x");
    check_same("x", in, out);
    if (out.numel() == 0) return;
    const Running running;
    PYCNN_BEST(local_response_norm_fprop)(g, in, out);
}

void dgrad(py::handle dy, py::handle x, py::handle y, py::handle dx, py::handle geometry) {
    const LocalResponseNormParams g = params_of(geometry);
    const ArrayView out = image_output(dx, "dx"), dy_in = array_arg(dy, "dy"),
                    x_in = array_arg(x, "x"), y_in = array_arg(y, "y");
    check_same("dy", dy_in, out);
    check_same("x", x_in, out);
    check_same("y", y_in, out);
    if (out.numel() == 0) return;
    const Running running;
    PYCNN_BEST(local_response_norm_dgrad)(g, dy_in, x_in, y_in, out);
}

}  // namespace

void bind_local_response_norm(py::module_& m) {
    m.def("local_response_norm_fprop", &fprop, py::arg("x"), py::arg("y"), py::arg("geometry"),
          "Fills y; geometry is the values of a LocalResponseNormGeometry.");
    m.def("local_response_norm_dgrad", &dgrad, py::arg("dy"), py::arg("x"), py::arg("y"),
          py::arg("dx"), py::arg("geometry"), "Fills dx.");
}

}  // namespace pycnn
