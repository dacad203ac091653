// The matrix product and its algorithms, by name.
#include <string>

#include "bindings/kernels.h"
#include "primitives/gemm.h"

namespace pycnn {
namespace {

const GemmAlgorithm& find(py::handle name) {
    std::string accepted;
    for (const GemmAlgorithm& a : PYCNN_BEST(gemm_algorithms)()) {
        if (PyUnicode_Check(name.ptr()) &&
            PyUnicode_CompareWithASCIIString(name.ptr(), a.name) == 0)
            return a;
        accepted += (accepted.empty() ? "'" : ", '") + std::string(a.name) + "'";
    }
    throw ValueError(refusal("algorithm", text_of(name), accepted));
}

void gemm(py::handle a, py::handle b, py::handle out, py::handle geometry, py::handle epilogue,
          py::handle algorithm) {
    const auto [B, M, N, K] = ints_arg<4>(geometry, "geometry");
    const ArrayView to = output_arg<3>(out, "out", {B, M, N});
    const ArrayView left = input_arg<3>(a, "a", {B, M, K}, only(to.dtype));
    const ArrayView right = input_arg<3>(b, "b", {B, K, N}, only(to.dtype));
    const EpilogueView last = epilogue_arg(epilogue, to, N);
    const GemmAlgorithm& found = find(algorithm);
    if (to.numel() == 0) return;
    const Running running;
    found.run(left, right, to, last);
}

}  // namespace

void bind_gemm(py::module_& m) {
    m.def("gemm", &gemm, py::arg("a"), py::arg("b"), py::arg("out"), py::arg("geometry"),
          py::arg("epilogue"), py::arg("algorithm"),
          "Fills out; geometry is (B, M, N, K), epilogue an Epilogue or None.");
}

}  // namespace pycnn
