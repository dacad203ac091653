// Python objects into checked C++ values. What does not convert is refused by name, as in
// common/checks.h, instead of with pybind11's list of overloads.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "common/array.h"
#include "common/checks.h"

namespace pycnn {

namespace py = pybind11;

// repr(object), short enough for one sentence, whatever the object does.
inline std::string text_of(py::handle object) {
    constexpr size_t longest = 80;
    try {
        std::string text = py::cast<std::string>(py::repr(object));
        return text.size() <= longest ? text : text.substr(0, longest) + "...";
    } catch (const std::exception&) {
        return std::string("an object of type ") + Py_TYPE(object.ptr())->tp_name;
    }
}

// A name: a string without zero bytes, which would end it for C.
inline std::string name_arg(py::handle object, const std::string& name) {
    if (!PyUnicode_Check(object.ptr())) throw TypeError(refusal(name, text_of(object), "a string"));
    Py_ssize_t length = 0;
    const char* text = PyUnicode_AsUTF8AndSize(object.ptr(), &length);
    if (text == nullptr) PyErr_Clear();
    if (text == nullptr || std::strlen(text) != static_cast<size_t>(length))
        throw ValueError(
            refusal(name, text_of(object), "a string of Unicode's characters but \\0"));
    return text;
}

// Integers and what has __index__ (NumPy's integers); neither bool nor float.
inline int64_t int64_arg(py::handle object, const std::string& name) {
    const char* accepted = "an integer";
    if (PyBool_Check(object.ptr()) || !PyIndex_Check(object.ptr()))
        throw TypeError(refusal(name, text_of(object), accepted));
    auto index = py::reinterpret_steal<py::object>(PyNumber_Index(object.ptr()));
    if (!index) {
        if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw py::error_already_set();
        PyErr_Clear();
        throw TypeError(refusal(name, text_of(object), accepted));
    }
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
    if (overflow != 0)
        throw ValueError(refusal(name, text_of(index), "an integer that fits in 64 bits"));
    if (value == -1 && PyErr_Occurred()) throw py::error_already_set();
    return value;
}

// The elements of a tuple, a list or another sequence.
inline py::tuple sequence_arg(py::handle object, const std::string& name,
                              const std::string& accepted) {
    if (!PySequence_Check(object.ptr()) || PyUnicode_Check(object.ptr()) ||
        PyBytes_Check(object.ptr()))
        throw TypeError(refusal(name, text_of(object), accepted));
    auto items = py::reinterpret_steal<py::object>(PySequence_Tuple(object.ptr()));
    if (!items) throw py::error_already_set();
    return items;
}

template <size_t Count>
std::array<int64_t, Count> ints_arg(py::handle object, const std::string& name) {
    const std::string accepted = std::to_string(Count) + " integers";
    const py::tuple items = sequence_arg(object, name, accepted);
    if (items.size() != Count) throw ValueError(refusal(name, text_of(object), accepted));
    std::array<int64_t, Count> values{};
    for (size_t i = 0; i < Count; ++i) values[i] = int64_arg(items[i], element(name, i));
    return values;
}

// What array libraries have in common, in two steps: a view with its dtype and number of axes, for
// the caller to enter the data, the shape and the strides in bytes; and that view with its strides
// in elements. Any dtype of kDTypes, aligned to its elements.
ArrayView begin_view(py::handle dtype, int64_t ndim, const std::string& name);
ArrayView finish_view(ArrayView view, const std::string& name);

// An array on the host, NumPy's.
ArrayView host_array_arg(py::handle object, const std::string& name);

// An array where this module's kernels run: NumPy's, or CuPy's on the current GPU.
ArrayView array_arg(py::handle object, const std::string& name);

// While one lives, kernels may be launched: Python's lock is free, and where they run on a GPU it
// is the one of CuPy's current device and stream.
class Running {
  public:
    Running();

  private:
    std::optional<py::gil_scoped_release> released_;
};

// ValueError, TypeError and MemoryError as Python's.
void register_exceptions();

}  // namespace pycnn
