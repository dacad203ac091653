// Resampling: the checks of its tables and arrays.
#include "primitives/resize2d.h"
#include "bindings/kernels.h"

namespace pycnn {
namespace {

// Element (i, t) of a table of any strides.
template <class T>
T at(const ArrayView& a, int64_t i, int64_t t) {
    return static_cast<const T*>(a.data)[i * a.strides[0] + t * a.strides[1]];
}

// A pycnn.providers.resize_tables.Taps: (source, weight or None, valid or None), each of shape
// (outputs, taps); taps that are not valid are left out.
ResizeAxis axis_arg(py::handle taps, const std::string& name, int64_t outputs, int64_t size) {
    const char* accepted = "three arrays: source, weight or None, valid or None";
    const py::tuple items = sequence_arg(taps, name, accepted);
    if (items.size() != 3) throw ValueError(refusal(name, text_of(taps), accepted));
    const std::string source_name = name + "'s source";
    const ArrayView source = host_array_arg(items[0], source_name);
    check_dtype(source_name, source, only(DType::i64));
    const std::array<int64_t, 2> shape{outputs, source.ndim == 2 ? source.shape[1] : 0};
    check_shape(source_name, source, shape.data(), 2);
    const auto optional = [&](py::handle object, const std::string& called, DTypes dtypes) {
        if (object.is_none()) return std::optional<ArrayView>();
        const ArrayView view = host_array_arg(object, called);
        check_dtype(called, view, dtypes);
        check_shape(called, view, shape.data(), 2);
        return std::optional<ArrayView>(view);
    };
    const auto weight = optional(items[1], name + "'s weight", only(DType::f32) | only(DType::f64));
    const auto valid = optional(items[2], name + "'s valid", only(DType::boolean));

    ResizeAxis axis;
    axis.weighted = weight.has_value();
    axis.single = true;
    axis.first.reserve(static_cast<size_t>(outputs) + 1);
    axis.first.push_back(0);
    for (int64_t i = 0; i < outputs; ++i) {
        for (int64_t t = 0; t < shape[1]; ++t) {
            if (valid && at<uint8_t>(*valid, i, t) == 0) continue;
            const int64_t from = at<int64_t>(source, i, t);
            if (from < 0 || from >= size)
                throw ValueError(refusal("an element of " + source_name, std::to_string(from),
                                         "integers from 0 to " + std::to_string(size - 1)));
            axis.source.push_back(from);
            axis.weight.push_back(!weight                       ? 1.0
                                  : weight->dtype == DType::f32 ? at<float>(*weight, i, t)
                                                                : at<double>(*weight, i, t));
        }
        axis.first.push_back(static_cast<int64_t>(axis.source.size()));
        axis.single = axis.single && axis.source.size() + 1 == axis.first.size();
    }
    return axis;
}

void resize(py::handle x, py::handle y, py::handle along_h, py::handle along_w) {
    const ArrayView out = array_arg(y, "y");
    const ArrayView in = array_arg(x, "x");
    const std::array<int64_t, 4> wanted{
        out.ndim > 0 ? out.shape[0] : 0, out.ndim > 1 ? out.shape[1] : 0,
        in.ndim > 2 ? in.shape[2] : 0, in.ndim > 3 ? in.shape[3] : 0};
    if (out.ndim != 4) throw ValueError(refusal("y's shape", shape_text(out), "four axes"));
    check_shape("x's shape", in, wanted.data(), 4);
    check_dtype("x", in, only(out.dtype));
    check_output("y", out);
    const ResizeAxis h = axis_arg(along_h, "along_h", out.shape[2], in.shape[2]);
    const ResizeAxis w = axis_arg(along_w, "along_w", out.shape[3], in.shape[3]);
    if (!(h.copies() && w.copies())) check_dtype("x", in, kFloatDTypes);
    if (out.numel() == 0) return;
    const Running running;
    PYCNN_BEST(resize2d)(h, w, in, out);
}

}  // namespace

void bind_resize2d(py::module_& m) {
    m.def("resize2d", &resize, py::arg("x"), py::arg("y"), py::arg("along_h"), py::arg("along_w"),
          "Fills y; along_h and along_w are tables of taps (source, weight, valid) of shape\n"
          "(outputs, taps) per axis; weight and valid may be None.");
}

}  // namespace pycnn
