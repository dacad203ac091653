// A module whose kernels run where NumPy's arrays are.
#include "bindings/arguments.h"

namespace pycnn {

ArrayView array_arg(py::handle object, const std::string& name) {
    return host_array_arg(object, name);
}

Running::Running() { released_.emplace(); }

}  // namespace pycnn
