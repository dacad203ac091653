// NumPy's arrays as kernels see them.
#include <pybind11/numpy.h>

#include <limits>

#include "bindings/arguments.h"

namespace pycnn {
namespace {

const DTypeInfo* find_dtype(const py::dtype& dtype) {
    const char order = dtype.byteorder();
    if (order != '=' && order != '|') return nullptr;
    for (const DTypeInfo& d : kDTypes) {
        if (dtype.kind() != d.kind || dtype.itemsize() != d.bytes) continue;
        // To NumPy bfloat16 is two bytes of another library's (ml_dtypes): only its name tells.
        if (d.kind != 'V' || py::cast<std::string>(dtype.attr("name")) == d.name) return &d;
    }
    return nullptr;
}

}  // namespace

ArrayView host_array_arg(py::handle object, const std::string& name) {
    if (!py::isinstance<py::array>(object))
        throw TypeError(refusal(name, text_of(object), "a numpy.ndarray"));
    const auto array = py::reinterpret_borrow<py::array>(object);
    const DTypeInfo* dtype = find_dtype(array.dtype());
    if (dtype == nullptr)
        throw TypeError(refusal(name + "'s dtype", text_of(array.dtype()),
                                names_of(kAllDTypes) + " in this machine's byte order"));
    if (array.ndim() > kMaxDims)
        throw ValueError(refusal(name + "'s number of axes", std::to_string(array.ndim()),
                                 "at most " + std::to_string(kMaxDims)));

    ArrayView view{};
    view.data = const_cast<void*>(array.data());
    view.dtype = dtype->dtype;
    view.writable = array.writeable();
    view.ndim = static_cast<int>(array.ndim());
    for (int i = 0; i < view.ndim; ++i) {
        const int64_t bytes = array.strides(i);
        if (bytes % dtype->bytes != 0 || bytes == std::numeric_limits<int64_t>::min())
            throw ValueError(refusal(name + "'s byte stride of axis " + std::to_string(i),
                                     std::to_string(bytes),
                                     "a multiple of " + std::to_string(dtype->bytes)));
        view.shape[i] = array.shape(i);
        view.strides[i] = bytes / dtype->bytes;
    }
    checked_numel(view.shape, view.ndim, (name + "'s number of bytes").c_str());
    if (reinterpret_cast<uintptr_t>(view.data) % static_cast<uintptr_t>(dtype->bytes) != 0)
        throw ValueError(
            refusal(name, "misaligned",
                    "data aligned to its elements, " + std::to_string(dtype->bytes) + " bytes"));
    return view;
}

void register_exceptions() {
    py::register_local_exception_translator([](std::exception_ptr thrown) {
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const ValueError& error) {
            PyErr_SetString(PyExc_ValueError, error.what());
        } catch (const TypeError& error) {
            PyErr_SetString(PyExc_TypeError, error.what());
        }
    });
}

}  // namespace pycnn
