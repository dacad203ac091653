// pycnn._native: what the CPU build is, its threads, and the checks its kernels make.
#include <pybind11/pybind11.h>

#include <string>

#include "bindings/arguments.h"
#include "bindings/kernels.h"
#include "common/array.h"
#include "common/checks.h"
#include "common/params.h"
#include "cpu/isa.h"
#include "cpu/parallel.h"
#include "cpu/threads.h"

namespace pycnn {
namespace {

std::string compiler() {
#if defined(__clang__)
    return "Clang " __clang_version__;
#elif defined(__GNUC__)
    return "GCC " __VERSION__;
#else
    return "unknown";
#endif
}

py::dict builds() {
    py::dict result;
    for (const IsaBuild& build : isa_builds()) {
        py::dict what;
        what["float_lanes"] = build.float_lanes;
        what["fma"] = build.fma;
        result[build.name] = what;
    }
    return result;
}

py::tuple conv2d_output_shape(py::handle x_shape, py::handle w_shape, py::handle stride,
                              py::handle padding, py::handle dilation, py::handle groups) {
    const Conv2dParams p =
        conv2d_params(ints_arg<4>(x_shape, "x_shape"), ints_arg<4>(w_shape, "w_shape"),
                      ints_arg<2>(stride, "stride"), ints_arg<4>(padding, "padding"),
                      ints_arg<2>(dilation, "dilation"), int64_arg(groups, "groups"));
    return py::make_tuple(p.N, p.K, p.P, p.Q);
}

DTypes dtypes_arg(py::handle object) {
    DTypes accepted = 0;
    const py::tuple items = sequence_arg(object, "dtypes", "a sequence of dtype names");
    for (size_t i = 0; i < items.size(); ++i) {
        const std::string asked = name_arg(items[i], element("dtypes", i));
        DTypes found = 0;
        for (const DTypeInfo& d : kDTypes)
            if (asked == d.name) found = only(d.dtype);
        if (found == 0)
            throw ValueError(
                refusal(element("dtypes", i), "'" + asked + "'", names_of(kAllDTypes)));
        accepted |= found;
    }
    return accepted;
}

Layout layout_arg(py::handle object) {
    const std::string asked = name_arg(object, "layout");
    if (asked == "any") return Layout::any;
    if (asked == "contiguous") return Layout::contiguous;
    if (asked == "channels_last") return Layout::channels_last;
    throw ValueError(refusal("layout", "'" + asked + "'", "'any', 'contiguous', 'channels_last'"));
}

void check_array(py::handle array, py::handle name, py::handle shape, py::handle dtypes,
                 py::handle layout, bool output) {
    const std::string called = name_arg(name, "name");
    const ArrayView view = array_arg(array, called);
    if (!dtypes.is_none()) check_dtype(called, view, dtypes_arg(dtypes));
    if (!shape.is_none()) {
        const py::tuple items = sequence_arg(shape, "shape", "a sequence of integers");
        if (items.size() > kMaxDims)
            throw ValueError(refusal("shape", text_of(shape),
                                     "at most " + std::to_string(kMaxDims) + " integers"));
        int64_t expected[kMaxDims];
        for (size_t i = 0; i < items.size(); ++i)
            expected[i] = int64_arg(items[i], element("shape", i));
        check_shape(called, view, expected, static_cast<int>(items.size()));
    }
    check_layout(called, view, layout_arg(layout));
    if (output) check_output(called, view);
}

}  // namespace
}  // namespace pycnn

PYBIND11_MODULE(_native, m) {
    namespace py = pybind11;
    using namespace pycnn;

    m.doc() = "The C++ side of pycnn on the CPU.";

    register_exceptions();

    m.def("version", [] { return PYCNN_VERSION; }, "The version of pycnn this was built from.");
    m.def("compiler", &compiler, "The compiler and its version.");
    m.def(
        "build_flags", [] { return PYCNN_BUILD_FLAGS; },
        "What the compiler was given, beside the flags of each instruction set.");
    m.def(
        "isa", [] { return isa_name(active_isa()); },
        "The instruction set in use: 'avx512', 'avx2' or 'baseline'.\n\n"
        "The best that the build, the processor and the operating system share, or what\n"
        "PYCNN_ISA names; ValueError if that cannot run here.");
    m.def(
        "set_isa", [](py::handle name) { set_isa(name_arg(name, "the instruction set")); },
        py::arg("name"),
        "Sets the instruction set in use, for tests and comparisons; no kernel may be running.");
    m.def("isa_builds", &builds,
          "The instruction sets kernels were compiled for, slowest first:\n"
          "{name: {'float_lanes': float32 values in a register, 'fma': bool}}.");
    m.def("get_num_threads", &num_threads,
          "How many threads the kernels use: PYCNN_NUM_THREADS, or the cores this process may\n"
          "run on, until set_num_threads.");
    m.def(
        "set_num_threads",
        [](py::handle count) { set_num_threads(int64_arg(count, "the number of threads")); },
        py::arg("count"), "Sets how many threads the kernels use.");
    m.def("set_least_share", &set_least_share, py::arg("nanoseconds"),
          "Sets the least work worth a further thread; 0 shares everything, for tests.");
    m.def("conv2d_output_shape", &conv2d_output_shape, py::arg("x_shape"), py::arg("w_shape"),
          py::arg("stride"), py::arg("padding"), py::arg("dilation"), py::arg("groups"),
          "Checks a convolution and returns its output's shape, (N, K, P, Q).\n\n"
          "padding is (top, bottom, left, right). ValueError or TypeError names the argument,\n"
          "its value and what is accepted; sizes that overflow 64 bits are refused.");
    m.def("check_array", &check_array, py::arg("array"), py::arg("name"), py::kw_only(),
          py::arg("shape") = py::none(), py::arg("dtypes") = py::none(), py::arg("layout") = "any",
          py::arg("output") = false,
          "Makes on an array the checks that every kernel makes before it runs.\n\n"
          "A shape, dtype names and a memory format ('any', 'contiguous', 'channels_last') to\n"
          "hold it to; an output is writable and no two of its elements share memory. ValueError\n"
          "or TypeError names the array, what it is and what is accepted.");

    bind_memory(m);
    bind_add_activation(m);
    bind_batch_norm(m);
    bind_concat(m);
    bind_softmax(m);
    bind_softmax_cross_entropy(m);
    bind_conv2d(m);
    bind_copy(m);
    bind_dropout(m);
    bind_elementwise(m);
    bind_reduce(m);
    bind_gemm(m);
    bind_im2col(m);
    bind_pool2d(m);
    bind_max_unpool2d(m);
    bind_local_response_norm(m);
    bind_resize2d(m);
}
