// Softmax cross entropy of logits with class indices, and its gradient.
#include <string>

#include "bindings/kernels.h"
#include "primitives/softmax_cross_entropy.h"

namespace pycnn {
namespace {

constexpr DTypes kTargets = only(DType::i64) | only(DType::i32) | only(DType::i16) |
                            only(DType::i8) | only(DType::u8) | only(DType::boolean);

// The arrays that both passes read, checked.
CrossEntropy problem(py::handle logits, py::handle target, py::handle class_weight,
                     py::handle ignore_index, py::handle label_smoothing) {
    CrossEntropy a{};
    a.logits = array_arg(logits, "logits");
    check_dtype("logits", a.logits, kFloatDTypes);
    if (a.logits.ndim < 2)
        throw ValueError(
            refusal("logits' number of axes", std::to_string(a.logits.ndim), "at least 2"));
    a.target = array_arg(target, "target");
    check_dtype("target", a.target, kTargets);
    if (!class_weight.is_none())
        a.class_weight = input_arg<1>(class_weight, "class_weight", {a.logits.shape[1]});
    a.ignore_index = int64_arg(ignore_index, "ignore_index");
    const double smoothing = PyFloat_AsDouble(label_smoothing.ptr());
    if (PyErr_Occurred()) {
        PyErr_Clear();
        throw TypeError(refusal("label_smoothing", text_of(label_smoothing), "a number"));
    }
    a.label_smoothing = smoothing;
    return a;
}

// An array with one element per position of the logits.
ArrayView per_position(py::handle object, const char* name, const CrossEntropy& a,
                       DTypes dtypes = kFloatDTypes) {
    int64_t shape[kMaxDims];
    shape[0] = a.logits.shape[0];
    for (int i = 2; i < a.logits.ndim; ++i) shape[i - 1] = a.logits.shape[i];
    const ArrayView view = array_arg(object, name);
    check_dtype(name, view, dtypes);
    check_shape(name, view, shape, a.logits.ndim - 1);
    return view;
}

void fprop(py::handle logits, py::handle target, py::handle class_weight, py::handle loss,
           py::handle logsumexp, py::handle ignore_index, py::handle label_smoothing) {
    const CrossEntropy a = problem(logits, target, class_weight, ignore_index, label_smoothing);
    per_position(target, "target", a, kTargets);
    const ArrayView losses = per_position(loss, "loss", a);
    const ArrayView sums = per_position(logsumexp, "logsumexp", a);
    check_output("loss", losses);
    check_output("logsumexp", sums);
    const Running running;
    PYCNN_BEST(softmax_cross_entropy_fprop)(a, losses, sums);
}

void dgrad(py::handle dloss, py::handle logits, py::handle target, py::handle class_weight,
           py::handle logsumexp, py::handle dlogits, py::handle ignore_index,
           py::handle label_smoothing) {
    const CrossEntropy a = problem(logits, target, class_weight, ignore_index, label_smoothing);
    per_position(target, "target", a, kTargets);
    const ArrayView gradient = per_position(dloss, "dloss", a);
    const ArrayView sums = per_position(logsumexp, "logsumexp", a);
    const ArrayView to = array_arg(dlogits, "dlogits");
    check_dtype("dlogits", to, kFloatDTypes);
    check_shape("dlogits", to, a.logits.shape, a.logits.ndim);
    check_output("dlogits", to);
    const Running running;
    PYCNN_BEST(softmax_cross_entropy_dgrad)(a, gradient, sums, to);
}

}  // namespace

void bind_softmax_cross_entropy(py::module_& m) {
    m.def("softmax_cross_entropy_fprop", &fprop, py::arg("logits"), py::arg("target"),
          py::arg("class_weight"), py::arg("loss"), py::arg("logsumexp"), py::arg("ignore_index"),
          py::arg("label_smoothing"), "Fills loss and logsumexp; class_weight may be None.");
    m.def("softmax_cross_entropy_dgrad", &dgrad, py::arg("dloss"), py::arg("logits"),
          py::arg("target"), py::arg("class_weight"), py::arg("logsumexp"), py::arg("dlogits"),
          py::arg("ignore_index"), py::arg("label_smoothing"), "Fills dlogits.");
}

}  // namespace pycnn
