// Batch normalisation: statistics, application, and the two passes of the gradient.
#include <string>

#include "bindings/kernels.h"
#include "primitives/batch_norm.h"

namespace pycnn {
namespace {

// x and its shape, which the arrays beside it have.
struct Image {
    explicit Image(py::handle object) : x(array_arg(object, "x")) {
        check_dtype("x", x, kFloatDTypes);
        if (x.ndim < 2)
            throw ValueError(refusal("x's number of axes", std::to_string(x.ndim), "at least 2"));
    }

    ArrayView beside(py::handle object, const char* name) const {
        const ArrayView view = array_arg(object, name);
        check_dtype(name, view, kFloatDTypes);
        check_shape(name, view, x.shape, x.ndim);
        return view;
    }
    ArrayView output(py::handle object, const char* name) const {
        const ArrayView view = beside(object, name);
        check_output(name, view);
        return view;
    }
    ArrayView channels(py::handle object, const char* name) const {
        return input_arg<1>(object, name, {x.shape[1]});
    }
    std::optional<ArrayView> optional_channels(py::handle object, const char* name) const {
        if (object.is_none()) return std::nullopt;
        return channels(object, name);
    }
    ArrayView channels_output(py::handle object, const char* name) const {
        return output_arg<1>(object, name, {x.shape[1]});
    }

    ArrayView x;
};

// Whether the algorithm is the naive one.
bool is_naive(py::handle algorithm) {
    if (PyUnicode_Check(algorithm.ptr())) {
        if (PyUnicode_CompareWithASCIIString(algorithm.ptr(), "naive") == 0) return true;
        if (PyUnicode_CompareWithASCIIString(algorithm.ptr(), "direct") == 0) return false;
    }
    throw ValueError(refusal("algorithm", text_of(algorithm), "'direct', 'naive'"));
}

bool relu_arg(py::handle object) {
    if (!PyBool_Check(object.ptr())) throw TypeError(refusal("relu", text_of(object), "a bool"));
    return object.ptr() == Py_True;
}

void stats(py::handle x, py::handle mean, py::handle m2, py::handle algorithm) {
    const Image image(x);
    const ArrayView means = image.channels_output(mean, "mean");
    const ArrayView m2s = image.channels_output(m2, "m2");
    const auto run =
        is_naive(algorithm) ? PYCNN_BEST(batch_norm_stats_naive) : PYCNN_BEST(batch_norm_stats);
    const Running running;
    run(image.x, means, m2s);
}

void apply(py::handle x, py::handle mean, py::handle invstd, py::handle weight, py::handle bias,
           py::handle y, py::handle epilogue, py::handle algorithm) {
    const Image image(x);
    BatchNormApply a{image.x,
                     image.channels(mean, "mean"),
                     image.channels(invstd, "invstd"),
                     image.optional_channels(weight, "weight"),
                     image.optional_channels(bias, "bias"),
                     std::nullopt,
                     Activation::none,
                     image.output(y, "y")};
    const EpilogueView e = epilogue_arg(epilogue, a.y, a.x.shape[1]);
    if (e.bias || e.scale || e.shift)
        throw ValueError(refusal("epilogue", text_of(epilogue), "a residual and an activation"));
    a.residual = e.residual;
    a.activation = e.activation;
    const auto run =
        is_naive(algorithm) ? PYCNN_BEST(batch_norm_apply_naive) : PYCNN_BEST(batch_norm_apply);
    const Running running;
    run(a);
}

void reduce(py::handle dy, py::handle x, py::handle mean, py::handle invstd, py::handle weight,
            py::handle bias, py::handle sum_dy, py::handle sum_dy_xhat, py::handle relu,
            py::handle algorithm) {
    const Image image(x);
    const BatchNormReduce a{image.beside(dy, "dy"),
                            image.x,
                            image.channels(mean, "mean"),
                            image.channels(invstd, "invstd"),
                            image.optional_channels(weight, "weight"),
                            image.optional_channels(bias, "bias"),
                            relu_arg(relu),
                            image.channels_output(sum_dy, "sum_dy"),
                            image.channels_output(sum_dy_xhat, "sum_dy_xhat")};
    const auto run =
        is_naive(algorithm) ? PYCNN_BEST(batch_norm_reduce_naive) : PYCNN_BEST(batch_norm_reduce);
    const Running running;
    run(a);
}

void dgrad(py::handle dy, py::handle x, py::handle mean, py::handle invstd, py::handle weight,
           py::handle bias, py::handle sum_dy, py::handle sum_dy_xhat, py::handle dx,
           py::handle relu, py::handle algorithm) {
    const Image image(x);
    const BatchNormDgrad a{image.beside(dy, "dy"),
                           image.x,
                           image.channels(mean, "mean"),
                           image.channels(invstd, "invstd"),
                           image.optional_channels(weight, "weight"),
                           image.optional_channels(bias, "bias"),
                           image.optional_channels(sum_dy, "sum_dy"),
                           image.optional_channels(sum_dy_xhat, "sum_dy_xhat"),
                           relu_arg(relu),
                           image.output(dx, "dx")};
    const auto run =
        is_naive(algorithm) ? PYCNN_BEST(batch_norm_dgrad_naive) : PYCNN_BEST(batch_norm_dgrad);
    const Running running;
    run(a);
}

}  // namespace

void bind_batch_norm(py::module_& m) {
    m.def("batch_norm_stats", &stats, py::arg("x"), py::arg("mean"), py::arg("m2"),
          py::arg("algorithm"), "Fills mean and m2.");
    m.def("batch_norm_apply", &apply, py::arg("x"), py::arg("mean"), py::arg("invstd"),
          py::arg("weight"), py::arg("bias"), py::arg("y"), py::arg("epilogue"),
          py::arg("algorithm"),
          "Fills y; weight and bias may be None, epilogue is an Epilogue with at most a residual\n"
          "and an activation, or None.");
    m.def("batch_norm_reduce", &reduce, py::arg("dy"), py::arg("x"), py::arg("mean"),
          py::arg("invstd"), py::arg("weight"), py::arg("bias"), py::arg("sum_dy"),
          py::arg("sum_dy_xhat"), py::arg("relu"), py::arg("algorithm"),
          "Fills sum_dy and sum_dy_xhat; with relu those of dy where the output is positive, for\n"
          "which weight and bias are given, or None.");
    m.def("batch_norm_dgrad", &dgrad, py::arg("dy"), py::arg("x"), py::arg("mean"),
          py::arg("invstd"), py::arg("weight"), py::arg("bias"), py::arg("sum_dy"),
          py::arg("sum_dy_xhat"), py::arg("dx"), py::arg("relu"), py::arg("algorithm"),
          "Fills dx; weight and bias may be None, and so may the sums, where the statistics were\n"
          "constants. With relu dy counts where the output is positive.");
}

}  // namespace pycnn
