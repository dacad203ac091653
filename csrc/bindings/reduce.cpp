// The primitive `reduce`.
#include "primitives/reduce.h"

#include "bindings/kernels.h"

namespace pycnn {
namespace {

struct Named {
    const char* name;
    Reduction op;
};
constexpr Named kReductions[] = {
    {"sum", Reduction::sum},
    {"mean", Reduction::mean},
    {"prod", Reduction::prod},
    {"var", Reduction::var},
    {"std", Reduction::std},
    {"amax", Reduction::amax},
    {"amin", Reduction::amin},
    {"argmax", Reduction::argmax},
    {"argmin", Reduction::argmin},
    {"any", Reduction::any},
    {"all", Reduction::all},
    {"count_nonzero", Reduction::count_nonzero},
    {"logsumexp", Reduction::logsumexp},
    {"norm", Reduction::norm},
    {"norm1", Reduction::norm1},
    {"norm_power", Reduction::norm_power},
};

Reduction reduction_arg(py::handle name) {
    std::string accepted;
    for (const Named& r : kReductions) {
        if (PyUnicode_Check(name.ptr()) &&
            PyUnicode_CompareWithASCIIString(name.ptr(), r.name) == 0)
            return r.op;
        accepted += (accepted.empty() ? "'" : ", '") + std::string(r.name) + "'";
    }
    throw ValueError(refusal("op", text_of(name), accepted));
}

void run(py::handle x, py::handle out, py::handle op, py::handle axes, double correction) {
    ReduceCall call{};
    call.op = reduction_arg(op);
    call.x = array_arg(x, "x");
    call.correction = correction;
    const py::tuple named = sequence_arg(axes, "axes", "a sequence of integers");
    for (size_t i = 0; i < named.size(); ++i) {
        const int64_t axis = int64_arg(named[i], element("axes", i));
        if (axis < 0 || axis >= call.x.ndim || call.reduced[axis])
            throw ValueError(refusal(element("axes", i), std::to_string(axis),
                                     "different axes of x, from 0 on"));
        call.reduced[axis] = true;
    }
    int64_t left[kMaxDims];
    int ndim = 0;
    for (int i = 0; i < call.x.ndim; ++i)
        if (!call.reduced[i]) left[ndim++] = call.x.shape[i];
    call.out = array_arg(out, "out");
    check_shape("out", call.out, left, ndim);
    check_output("out", call.out);
    const Running running;
    PYCNN_BEST(reduce)(call);
}

}  // namespace

void bind_reduce(py::module_& m) {
    m.def("reduce", &run, py::arg("x"), py::arg("out"), py::arg("op"), py::arg("axes"),
          py::arg("correction"), "Fills out with op over x's axes, which out does not have.");
}

}  // namespace pycnn
