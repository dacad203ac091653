// Every convolution algorithm of every pass, by name.
#include <string>

#include "bindings/kernels.h"
#include "common/params.h"
#include "cpu/conv2d.h"

namespace pycnn {
namespace {

using Pass = Conv2dPass*;

struct Algorithm {
    const char* name;
    Pass (*fprop)();
    Pass (*dgrad)();
    Pass (*wgrad)();
};

// The function of the instruction set in use; null where the algorithm has no such pass.
#define PYCNN_PASS(function) [] { return Pass{PYCNN_BEST(function)}; }

constexpr Algorithm kAlgorithms[] = {
    {"winograd", PYCNN_PASS(conv2d_fprop_winograd), PYCNN_PASS(conv2d_dgrad_winograd), nullptr},
    {"depthwise", PYCNN_PASS(conv2d_fprop_depthwise), PYCNN_PASS(conv2d_dgrad_depthwise),
     PYCNN_PASS(conv2d_wgrad_depthwise)},
    {"grouped", PYCNN_PASS(conv2d_fprop_grouped), PYCNN_PASS(conv2d_dgrad_grouped),
     PYCNN_PASS(conv2d_wgrad_grouped)},
    {"pointwise", PYCNN_PASS(conv2d_fprop_pointwise), PYCNN_PASS(conv2d_dgrad_pointwise),
     PYCNN_PASS(conv2d_wgrad_pointwise)},
    {"pixel_shuffle", nullptr, PYCNN_PASS(conv2d_dgrad_pixel_shuffle), nullptr},
    {"direct", PYCNN_PASS(conv2d_fprop_direct), PYCNN_PASS(conv2d_dgrad_direct),
     PYCNN_PASS(conv2d_wgrad_direct)},
    {"im2col", PYCNN_PASS(conv2d_fprop_im2col), PYCNN_PASS(conv2d_dgrad_im2col),
     PYCNN_PASS(conv2d_wgrad_im2col)},
    {"naive", PYCNN_PASS(conv2d_fprop_naive), PYCNN_PASS(conv2d_dgrad_naive),
     PYCNN_PASS(conv2d_wgrad_naive)},
};

Pass (*find(py::handle name, Pass (*Algorithm::*pass)()))() {
    std::string accepted;
    for (const Algorithm& a : kAlgorithms) {
        if (a.*pass == nullptr) continue;
        if (PyUnicode_Check(name.ptr()) &&
            PyUnicode_CompareWithASCIIString(name.ptr(), a.name) == 0)
            return a.*pass;
        accepted += (accepted.empty() ? "'" : ", '") + std::string(a.name) + "'";
    }
    throw ValueError(refusal("algorithm", text_of(name), accepted));
}

struct Shapes {
    std::array<int64_t, 4> x, w, y;
};

Shapes shapes_of(const Conv2dParams& p) {
    return {{p.N, p.C, p.H, p.W}, {p.K, p.C / p.G, p.R, p.S}, {p.N, p.K, p.P, p.Q}};
}

// Runs a pass whose arrays are checked; nothing to do where the output is empty.
void run(Pass (*choose)(), const Conv2dParams& p, const ArrayView& a, const ArrayView& b,
         const ArrayView& out, const EpilogueView& epilogue) {
    const Pass pass = choose();
    if (out.numel() == 0) return;
    py::gil_scoped_release released;
    pass(p, a, b, out, epilogue);
}

void fprop(py::handle x, py::handle w, py::handle y, py::handle geometry, py::handle epilogue,
           py::handle algorithm) {
    const Conv2dParams p = conv2d_params(ints_arg<16>(geometry, "geometry"));
    const Shapes shapes = shapes_of(p);
    const ArrayView out = output_arg(y, "y", shapes.y);
    run(find(algorithm, &Algorithm::fprop), p, input_arg(x, "x", shapes.x, only(out.dtype)),
        input_arg(w, "w", shapes.w, only(out.dtype)), out, epilogue_arg(epilogue, out, p.K));
}

void dgrad(py::handle dy, py::handle w, py::handle dx, py::handle geometry, py::handle epilogue,
           py::handle algorithm) {
    const Conv2dParams p = conv2d_params(ints_arg<16>(geometry, "geometry"));
    const Shapes shapes = shapes_of(p);
    const ArrayView out = output_arg(dx, "dx", shapes.x);
    run(find(algorithm, &Algorithm::dgrad), p, input_arg(dy, "dy", shapes.y, only(out.dtype)),
        input_arg(w, "w", shapes.w, only(out.dtype)), out, epilogue_arg(epilogue, out, p.C));
}

void wgrad(py::handle x, py::handle dy, py::handle dw, py::handle geometry, py::handle algorithm) {
    const Conv2dParams p = conv2d_params(ints_arg<16>(geometry, "geometry"));
    const Shapes shapes = shapes_of(p);
    const ArrayView out = output_arg(dw, "dw", shapes.w);
    run(find(algorithm, &Algorithm::wgrad), p, input_arg(x, "x", shapes.x, only(out.dtype)),
        input_arg(dy, "dy", shapes.y, only(out.dtype)), out, EpilogueView{});
}

}  // namespace

void bind_conv2d(py::module_& m) {
    m.def("conv2d_fprop", &fprop, py::arg("x"), py::arg("w"), py::arg("y"), py::arg("geometry"),
          py::arg("epilogue"), py::arg("algorithm"),
          "Fills y; geometry is the values of a Conv2dGeometry, epilogue an Epilogue or None.");
    m.def("conv2d_dgrad", &dgrad, py::arg("dy"), py::arg("w"), py::arg("dx"), py::arg("geometry"),
          py::arg("epilogue"), py::arg("algorithm"), "Fills dx.");
    m.def("conv2d_wgrad", &wgrad, py::arg("x"), py::arg("dy"), py::arg("dw"), py::arg("geometry"),
          py::arg("algorithm"), "Fills dw.");
}

}  // namespace pycnn
