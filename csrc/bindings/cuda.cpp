// pycnn._emulated and pycnn._cuda: the kernels of csrc/cuda, compiled for a CPU or for GPUs. The
// build names the module.
#include "bindings/arguments.h"
#include "bindings/kernels.h"

#ifdef PYCNN_EMULATED
#include <dlfcn.h>

#include "cpu/threads.h"
#include "emulator/engine.h"

namespace pycnn {
namespace {

py::tuple sizes(const emulator::Size3& s) { return py::make_tuple(s.x, s.y, s.z); }

// (offset of the kernel in this module's file, grid, block, bytes of dynamic shared memory) of each
// launch that `call` makes.
py::list launches(const py::function& call) {
    emulator::Noting noting;
    call();
    py::list found;
    for (const emulator::Launch& launch : noting.launches) {
        Dl_info module{};
        if (dladdr(launch.kernel, &module) == 0)
            throw std::runtime_error("the system does not say where a kernel lies");
        const auto offset =
            static_cast<const char*>(launch.kernel) - static_cast<const char*>(module.dli_fbase);
        found.append(
            py::make_tuple(offset, sizes(launch.grid), sizes(launch.block), launch.shared_bytes));
    }
    return found;
}

}  // namespace
}  // namespace pycnn
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
    m.def("launches", &launches, py::arg("call"),
          "Calls call() without running the kernels it launches on this thread, and returns of\n"
          "each (offset in this module's file, grid, block, bytes of dynamic shared memory).");
#endif
    bind_add_activation(m);
    bind_batch_norm(m);
    bind_concat(m);
    bind_conv2d(m);
    bind_dropout(m);
    bind_elementwise(m);
    bind_gemm(m);
    bind_im2col(m);
    bind_local_response_norm(m);
    bind_max_unpool2d(m);
    bind_pool2d(m);
    bind_reduce(m);
    bind_resize2d(m);
    bind_softmax(m);
    bind_softmax_cross_entropy(m);
}
