// Copies between layouts and dtypes, as Python sees them.
#include "bindings/kernels.h"
#include "cpu/copy.h"

namespace pycnn {
namespace {

void copy_array(py::handle from, py::handle to) {
    const ArrayView source = array_arg(from, "from"), target = array_arg(to, "to");
    check_shape("to", target, source.shape, source.ndim);
    check_output("to", target);
    if (source.dtype != target.dtype) {
        check_dtype("from", source, kFloatDTypes);
        check_dtype("to", target, kFloatDTypes);
    }
    py::gil_scoped_release released;
    PYCNN_BEST(copy)(source, target);
}

}  // namespace

void bind_copy(py::module_& m) {
    m.def("copy", &copy_array, py::arg("from"), py::arg("to"),
          "Fills `to` with the elements of `from`, an array of its shape: any strides in both,\n"
          "floating-point dtypes converted.");
}

}  // namespace pycnn
