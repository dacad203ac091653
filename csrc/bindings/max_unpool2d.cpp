// Max unpooling: the checks of its arrays.
#include "primitives/max_unpool2d.h"
#include "bindings/kernels.h"

namespace pycnn {
namespace {

struct Arrays {
    ArrayView in, indices, out;
};

// `small` (N,C,P,Q) is what the indices belong to, `large` (N,C,H,W) what they point into.
void check_images(const ArrayView& small, const char* small_name, const ArrayView& large,
                  const char* large_name) {
    if (small.ndim != 4)
        throw ValueError(
            refusal(std::string(small_name) + "'s shape", shape_text(small), "four axes"));
    const std::array<int64_t, 4> wanted{small.shape[0], small.shape[1],
                                        large.ndim > 2 ? large.shape[2] : 0,
                                        large.ndim > 3 ? large.shape[3] : 0};
    check_shape(large_name, large, wanted.data(), 4);
}

void fprop(py::handle x, py::handle indices, py::handle y) {
    const ArrayView out = array_arg(y, "y"), in = array_arg(x, "x");
    check_dtype("y", out, kFloatDTypes);
    check_dtype("x", in, only(out.dtype));
    check_images(in, "x", out, "y");
    check_output("y", out);
    const ArrayView places = array_arg(indices, "indices");
    check_dtype("indices", places, only(DType::i64));
    check_shape("indices", places, in.shape, 4);
    if (out.numel() == 0 && in.numel() == 0) return;
    const Running running;
    PYCNN_BEST(max_unpool2d_fprop)(in, places, out);
}

void dgrad(py::handle dy, py::handle indices, py::handle dx) {
    const ArrayView out = array_arg(dx, "dx"), in = array_arg(dy, "dy");
    check_dtype("dx", out, kFloatDTypes);
    check_dtype("dy", in, only(out.dtype));
    check_images(out, "dx", in, "dy");
    check_output("dx", out);
    const ArrayView places = array_arg(indices, "indices");
    check_dtype("indices", places, only(DType::i64));
    check_shape("indices", places, out.shape, 4);
    if (out.numel() == 0) return;
    const Running running;
    PYCNN_BEST(max_unpool2d_dgrad)(in, places, out);
}

}  // namespace

void bind_max_unpool2d(py::module_& m) {
    m.def("max_unpool2d_fprop", &fprop, py::arg("x"), py::arg("indices"), py::arg("y"), "Fills y.");
    m.def("max_unpool2d_dgrad", &dgrad, py::arg("dy"), py::arg("indices"), py::arg("dx"),
          "Fills dx.");
}

}  // namespace pycnn
