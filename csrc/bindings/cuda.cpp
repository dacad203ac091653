// pycnn._emulated and pycnn._cuda: the kernels of csrc/cuda, compiled for a CPU or for GPUs. The
// build names the module.
#include "bindings/arguments.h"
#include "bindings/kernels.h"

#ifdef PYCNN_EMULATED
#include "cpu/threads.h"
#endif

PYBIND11_MODULE(PYCNN_MODULE, m) {
    namespace py = pybind11;
    using namespace pycnn;

    m.doc() = "The CUDA C++ kernels of pycnn.";
    register_exceptions();
    m.def("version", [] { return PYCNN_VERSION; }, "The version of pycnn this was built from.");
#ifdef PYCNN_EMULATED
    m.def("get_num_threads", &num_threads, "How many threads blocks are spread over.");
    m.def(
        "set_num_threads",
        [](py::handle count) { set_num_threads(int64_arg(count, "the number of threads")); },
        py::arg("count"), "Sets how many threads blocks are spread over.");
#endif
    bind_add_activation(m);
    bind_conv2d(m);
    bind_gemm(m);
    bind_im2col(m);
}
