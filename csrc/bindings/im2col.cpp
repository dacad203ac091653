// im2col and col2im.
#include "primitives/im2col.h"
#include "bindings/kernels.h"
#include "common/params.h"

namespace pycnn {
namespace {

std::array<int64_t, 3> columns_shape(const Conv2dParams& p) {
    const char* what = "the columns' height";
    return {p.N, checked_mul(checked_mul(p.C, p.R, what), p.S, what), p.P * p.Q};
}

void run_im2col(py::handle x, py::handle columns, py::handle geometry) {
    const Conv2dParams p = conv2d_params(ints_arg<16>(geometry, "geometry"));
    const ArrayView out = output_arg(columns, "columns", columns_shape(p));
    const ArrayView in = input_arg<4>(x, "x", {p.N, p.C, p.H, p.W}, only(out.dtype));
    if (out.numel() == 0) return;
    const Running running;
    PYCNN_BEST(im2col)(p, in, out);
}

void run_col2im(py::handle columns, py::handle x, py::handle geometry) {
    const Conv2dParams p = conv2d_params(ints_arg<16>(geometry, "geometry"));
    const ArrayView out = output_arg<4>(x, "x", {p.N, p.C, p.H, p.W});
    const ArrayView in = input_arg(columns, "columns", columns_shape(p), only(out.dtype));
    if (out.numel() == 0) return;
    const Running running;
    PYCNN_BEST(col2im)(p, in, out);
}

}  // namespace

void bind_im2col(py::module_& m) {
    m.def("im2col", &run_im2col, py::arg("x"), py::arg("columns"), py::arg("geometry"),
          "Fills columns; geometry is the values of a Conv2dGeometry.");
    m.def("col2im", &run_col2im, py::arg("columns"), py::arg("x"), py::arg("geometry"), "Fills x.");
}

}  // namespace pycnn
