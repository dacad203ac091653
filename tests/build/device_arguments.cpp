// What bindings/device_arrays_only.cpp makes of its arguments, for test_cuda_arguments.py.
#include "bindings/arguments.h"

PYBIND11_MODULE(device_arguments, m) {
    namespace py = pybind11;
    using namespace pycnn;
    register_exceptions();
    m.def("view", [](py::handle array) {
        const ArrayView view = array_arg(array, "x");
        const auto tuple = [&](const int64_t* values) {
            py::tuple result(view.ndim);
            for (int i = 0; i < view.ndim; ++i) result[static_cast<size_t>(i)] = values[i];
            return result;
        };
        return py::make_tuple(reinterpret_cast<uintptr_t>(view.data), info(view.dtype).name,
                              tuple(view.shape), tuple(view.strides), view.writable);
    });
    m.def("run", [] { const Running running; });
}
