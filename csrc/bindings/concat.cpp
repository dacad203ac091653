// Joining arrays along one axis, and cutting one into parts.
#include <string>
#include <vector>

#include "bindings/kernels.h"
#include "primitives/concat.h"

namespace pycnn {
namespace {

struct Joint {
    std::vector<ArrayView> parts;
    ArrayView whole;
    int axis;
};

// Checks that the parts, one after the other along `axis`, have the shape of `whole`.
Joint joint(py::handle parts, const char* part_name, py::handle whole, const char* whole_name,
            py::handle axis, bool joins) {
    Joint j{};
    j.whole = array_arg(whole, whole_name);
    const int64_t along = int64_arg(axis, "axis");
    if (along < 0 || along >= j.whole.ndim)
        throw ValueError(refusal("axis", std::to_string(along),
                                 "an axis of " + std::string(whole_name) + ", from 0 to " +
                                     std::to_string(j.whole.ndim - 1)));
    j.axis = static_cast<int>(along);
    const py::tuple items = sequence_arg(parts, part_name, "a sequence of arrays");
    int64_t size = 0;
    for (size_t i = 0; i < items.size(); ++i) {
        const std::string name = element(part_name, i);
        const ArrayView part = array_arg(items[i], name);
        check_dtype(name, part, only(j.whole.dtype));
        ArrayView expected = j.whole;
        if (part.ndim == expected.ndim) expected.shape[along] = part.shape[along];
        check_shape(name, part, expected.shape, expected.ndim);
        if (!joins) check_output(name, part);
        size = checked_add(size, part.shape[along], "the size of all parts");
        j.parts.push_back(part);
    }
    if (size != j.whole.shape[along])
        throw ValueError(refusal(
            "the size of all parts", std::to_string(size),
            "that of " + std::string(whole_name) + ", " + std::to_string(j.whole.shape[along])));
    if (joins) check_output(whole_name, j.whole);
    return j;
}

void concat_arrays(py::handle inputs, py::handle out, py::handle axis) {
    const Joint j = joint(inputs, "inputs", out, "out", axis, true);
    const Running running;
    PYCNN_BEST(concat)(j.parts, j.whole, j.axis);
}

void split_array(py::handle x, py::handle outputs, py::handle axis) {
    const Joint j = joint(outputs, "outputs", x, "x", axis, false);
    const Running running;
    PYCNN_BEST(split)(j.whole, j.parts, j.axis);
}

}  // namespace

void bind_concat(py::module_& m) {
    m.def("concat", &concat_arrays, py::arg("inputs"), py::arg("out"), py::arg("axis"),
          "Fills out with the inputs, one after the other along the axis.");
    m.def("split", &split_array, py::arg("x"), py::arg("outputs"), py::arg("axis"),
          "Fills the outputs with the parts of x along the axis, in order.");
}

}  // namespace pycnn
