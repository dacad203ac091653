// Every convolution algorithm of every pass, by name.
#include <string>

#include "bindings/kernels.h"
#include "common/params.h"
#include "primitives/conv2d.h"

namespace pycnn {
namespace {

using Pass = Conv2dPass*;

// The pass of an algorithm of this build.
Pass find(py::handle name, Pass Conv2dAlgorithm::* pass) {
    std::string accepted;
    for (const Conv2dAlgorithm& a : PYCNN_BEST(conv2d_algorithms)()) {
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
void run(Pass pass, const Conv2dParams& p, const ArrayView& a, const ArrayView& b,
         const ArrayView& out, const EpilogueView& epilogue) {
    if (out.numel() == 0) return;
    const Running running;
    pass(p, a, b, out, epilogue);
}

void fprop(py::handle x, py::handle w, py::handle y, py::handle geometry, py::handle epilogue,
           py::handle algorithm) {
    const Conv2dParams p = conv2d_params(ints_arg<16>(geometry, "geometry"));
    const Shapes shapes = shapes_of(p);
    const ArrayView out = output_arg(y, "y", shapes.y);
    run(find(algorithm, &Conv2dAlgorithm::fprop), p, input_arg(x, "x", shapes.x, only(out.dtype)),
        input_arg(w, "w", shapes.w, only(out.dtype)), out, epilogue_arg(epilogue, out, p.K));
}

void dgrad(py::handle dy, py::handle w, py::handle dx, py::handle geometry, py::handle epilogue,
           py::handle algorithm) {
    const Conv2dParams p = conv2d_params(ints_arg<16>(geometry, "geometry"));
    const Shapes shapes = shapes_of(p);
    const ArrayView out = output_arg(dx, "dx", shapes.x);
    run(find(algorithm, &Conv2dAlgorithm::dgrad), p, input_arg(dy, "dy", shapes.y, only(out.dtype)),
        input_arg(w, "w", shapes.w, only(out.dtype)), out, epilogue_arg(epilogue, out, p.C));
}

void wgrad(py::handle x, py::handle dy, py::handle dw, py::handle geometry, py::handle algorithm) {
    const Conv2dParams p = conv2d_params(ints_arg<16>(geometry, "geometry"));
    const Shapes shapes = shapes_of(p);
    const ArrayView out = output_arg(dw, "dw", shapes.w);
    run(find(algorithm, &Conv2dAlgorithm::wgrad), p, input_arg(x, "x", shapes.x, only(out.dtype)),
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
