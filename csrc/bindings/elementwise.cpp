// The primitive `elementwise`.
#include "primitives/elementwise.h"

#include <cmath>

#include "bindings/kernels.h"

namespace pycnn {
namespace {

// A number as float64 and as a 64-bit integer, which wraps and drops a fraction.
Number number_arg(py::handle object, const std::string& name) {
    Number number{};
    if (PyFloat_Check(object.ptr())) {
        number.real = PyFloat_AS_DOUBLE(object.ptr());
        number.integer = std::abs(number.real) < 0x1p63 ? static_cast<int64_t>(number.real) : 0;
        return number;
    }
    if (PyLong_Check(object.ptr())) {
        number.real = PyLong_AsDouble(object.ptr());
        if (number.real == -1 && PyErr_Occurred()) {
            PyErr_Clear();
            throw ValueError(refusal(name, text_of(object), "a number that fits in float64"));
        }
        number.integer = static_cast<int64_t>(PyLong_AsUnsignedLongLongMask(object.ptr()));
        return number;
    }
    // float() would read a string
    const auto real = py::reinterpret_steal<py::object>(
        PyNumber_Check(object.ptr()) ? PyNumber_Float(object.ptr()) : nullptr);
    if (!real) {
        PyErr_Clear();
        throw TypeError(refusal(name, text_of(object), "a number"));
    }
    return number_arg(real, name);
}

void check_broadcasts(const std::string& name, const ArrayView& a, const ArrayView& out) {
    bool fits = a.ndim <= out.ndim;
    for (int i = 0; fits && i < a.ndim; ++i) {
        const int64_t size = out.shape[out.ndim - a.ndim + i];
        fits = a.shape[i] == size || a.shape[i] == 1;
    }
    if (!fits)
        throw ValueError(
            refusal(name + "'s shape", shape_text(a), "one that broadcasts to " + shape_text(out)));
}

void run(py::handle inputs, py::handle out, py::handle op, py::handle parameters) {
    ElementwiseCall call;
    call.op = name_arg(op, "op");
    const py::tuple arrays = sequence_arg(inputs, "inputs", "a sequence of arrays");
    const py::tuple numbers = sequence_arg(parameters, "parameters", "a sequence of numbers");
    if (arrays.empty() || arrays.size() > kMostInputs)
        throw ValueError(refusal("the number of inputs", std::to_string(arrays.size()), "1 to 6"));
    if (numbers.size() > kMostParameters)
        throw ValueError(
            refusal("the number of parameters", std::to_string(numbers.size()), "at most 4"));
    call.out = array_arg(out, "out");
    check_output("out", call.out);
    for (const py::handle object : arrays) {
        const std::string name = element("inputs", static_cast<size_t>(call.inputs));
        ArrayView& a = call.input[call.inputs++];
        a = array_arg(object, name);
        check_broadcasts(name, a, call.out);
    }
    for (const py::handle object : numbers) {
        const auto i = static_cast<size_t>(call.parameters);
        call.parameter[call.parameters++] = number_arg(object, element("parameters", i));
    }
    const Running running;
    PYCNN_BEST(elementwise)(call);
}

}  // namespace

void bind_elementwise(py::module_& m) {
    m.def("elementwise", &run, py::arg("inputs"), py::arg("out"), py::arg("op"),
          py::arg("parameters"), "Fills out with op(*inputs; *parameters), inputs broadcast.");
    m.def(
        "elementwise_ops",
        [] {
            py::list names;
            for (const std::string& name : PYCNN_BEST(elementwise_ops)()) names.append(name);
            return names;
        },
        "The names of the ops.");
}

}  // namespace pycnn
