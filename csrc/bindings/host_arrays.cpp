// NumPy's arrays as kernels see them, and the checks that CuPy's share.
#include <pybind11/numpy.h>

#include <algorithm>
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

ArrayView begin_view(py::handle dtype, int64_t ndim, const std::string& name) {
    const bool numpys = py::isinstance<py::dtype>(dtype);
    const DTypeInfo* found =
        numpys ? find_dtype(py::reinterpret_borrow<py::dtype>(dtype)) : nullptr;
    if (found == nullptr)
        throw TypeError(refusal(name + "'s dtype", text_of(dtype),
                                names_of(kAllDTypes) + " in this machine's byte order"));
    if (ndim > kMaxDims)
        throw ValueError(refusal(name + "'s number of axes", std::to_string(ndim),
                                 "at most " + std::to_string(kMaxDims)));
    ArrayView view{};
    view.dtype = found->dtype;
    view.ndim = static_cast<int>(ndim);
    return view;
}

ArrayView finish_view(ArrayView view, const std::string& name) {
    const int64_t size = info(view.dtype).bytes;
    for (int i = 0; i < view.ndim; ++i) {
        const int64_t bytes = view.strides[i];
        if (bytes % size != 0 || bytes == std::numeric_limits<int64_t>::min())
            throw ValueError(refusal(name + "'s byte stride of axis " + std::to_string(i),
                                     std::to_string(bytes),
                                     "a multiple of " + std::to_string(size)));
        view.strides[i] = bytes / size;
    }
    checked_numel(view.shape, view.ndim, (name + "'s number of bytes").c_str());
    if (reinterpret_cast<uintptr_t>(view.data) % static_cast<uintptr_t>(size) != 0)
        throw ValueError(
            refusal(name, "misaligned",
                    "data aligned to its elements, " + std::to_string(size) + " bytes"));
    return view;
}

ArrayView host_array_arg(py::handle object, const std::string& name) {
    if (!py::isinstance<py::array>(object))
        throw TypeError(refusal(name, text_of(object), "a numpy.ndarray"));
    const auto array = py::reinterpret_borrow<py::array>(object);
    ArrayView view = begin_view(array.dtype(), array.ndim(), name);
    view.data = const_cast<void*>(array.data());
    view.writable = array.writeable();
    std::copy_n(array.shape(), view.ndim, view.shape);
    std::copy_n(array.strides(), view.ndim, view.strides);
    return finish_view(view, name);
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
