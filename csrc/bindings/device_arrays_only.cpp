// A module whose kernels run where CuPy's arrays are. CuPy is asked through Python: whoever has an
// array of it has imported it.
#include <pybind11/numpy.h>

#include "bindings/arguments.h"
#include "cuda/stream.h"

namespace pycnn {
namespace {

// The cupy module, or None where nobody has imported it.
py::object imported_cupy() {
    PyObject* module = PyDict_GetItemString(PyImport_GetModuleDict(), "cupy");
    return module == nullptr ? py::none() : py::reinterpret_borrow<py::object>(module);
}

bool is_cupy_array(py::handle object) {
    const py::object cupy = imported_cupy();
    return !cupy.is_none() && py::isinstance(object, cupy.attr("ndarray"));
}

int64_t current_device(const py::object& cupy) {
    return int64_arg(cupy.attr("cuda").attr("runtime").attr("getDevice")(), "the current device");
}

void check_device(py::handle array, const std::string& name) {
    const int64_t of_array = int64_arg(array.attr("device").attr("id"), name + "'s device");
    const int64_t current = current_device(imported_cupy());
    if (of_array != current)
        throw ValueError(refusal(name, "an array on cuda:" + std::to_string(of_array),
                                 "one on the current device, cuda:" + std::to_string(current)));
}

void* pointer_arg(py::handle object, const std::string& name) {
    void* pointer = PyLong_Check(object.ptr()) ? PyLong_AsVoidPtr(object.ptr()) : nullptr;
    if (PyErr_Occurred()) throw py::error_already_set();
    if (pointer == nullptr && !PyLong_Check(object.ptr()))
        throw TypeError(refusal(name, text_of(object), "an address"));
    return pointer;
}

}  // namespace

ArrayView array_arg(py::handle object, const std::string& name) {
    if (!is_cupy_array(object)) {
        const bool host = py::isinstance<py::array>(object);
        throw TypeError(
            refusal(name, host ? "a numpy.ndarray" : text_of(object), "a cupy.ndarray"));
    }
    const py::tuple shape = object.attr("shape"), strides = object.attr("strides");
    ArrayView view = begin_view(object.attr("dtype"), static_cast<int64_t>(shape.size()), name);
    if (strides.size() != shape.size())
        throw ValueError(refusal(name + "'s number of strides", std::to_string(strides.size()),
                                 std::to_string(shape.size())));
    for (int i = 0; i < view.ndim; ++i) {
        const auto axis = static_cast<size_t>(i);
        view.shape[i] = int64_arg(shape[axis], name + "'s size");
        check_at_least(name + "'s size", view.shape[i], 0);
        view.strides[i] = int64_arg(strides[axis], name + "'s stride");
    }
    view.data = pointer_arg(object.attr("data").attr("ptr"), name + "'s data");
    view.writable = true;  // CuPy knows no other
    check_device(object, name);
    return finish_view(view, name);
}

Running::Running() {
    int64_t device = 0;
    void* stream = nullptr;
    {  // no Python object may outlive the lock
        // a call without arrays may come before anybody imported CuPy
        const py::object cupy = py::module_::import("cupy");
        device = current_device(cupy);
        const py::object current = cupy.attr("cuda").attr("get_current_stream")();
        stream = pointer_arg(current.attr("ptr"), "the current stream");
    }
    released_.emplace();
    // CuPy's own copy of CUDA's runtime has set this thread's device: the one here is told too
    cuda::check(cudaSetDevice(static_cast<int>(device)), "the GPU");
    cuda::current_stream() = static_cast<cudaStream_t>(stream);
}

}  // namespace pycnn
