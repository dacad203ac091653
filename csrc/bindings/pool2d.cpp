// Pooling: the checks of its geometry and arrays, and the algorithms by name.
#include "primitives/pool2d.h"
#include "bindings/kernels.h"

namespace pycnn {
namespace {

constexpr DTypes kPooledDTypes = kAllDTypes & ~only(DType::boolean);
constexpr int64_t kLargest = std::numeric_limits<int32_t>::max();

int64_t size_arg(py::handle object, const std::string& name, int64_t least) {
    const int64_t value = int64_arg(object, name);
    if (value < least || value > kLargest)
        throw ValueError(refusal(name, std::to_string(value),
                                 "an integer from " + std::to_string(least) + " to 2147483647"));
    return value;
}

bool flag_arg(py::handle object, const std::string& name) {
    if (!PyBool_Check(object.ptr())) throw TypeError(refusal(name, text_of(object), "a bool"));
    return object.ptr() == Py_True;
}

// The values of a Pool2dGeometry.
Pool2dParams params_of(py::handle geometry) {
    const char* accepted = "17 values of a Pool2dGeometry";
    const py::tuple items = sequence_arg(geometry, "geometry", accepted);
    if (items.size() != 17) throw ValueError(refusal("geometry", text_of(geometry), accepted));
    const auto name = [](size_t i) { return element("geometry", i); };
    const auto size = [&](size_t i, int64_t least) { return size_arg(items[i], name(i), least); };
    Pool2dParams g{};
    g = {size(0, 0),
         size(1, 0),
         size(2, 0),
         size(3, 0),
         size(4, 1),
         size(5, 1),
         size(6, 0),
         size(7, 0),
         size(8, 1),
         size(9, 1),
         size(10, 0),
         size(11, 0),
         size(12, 1),
         size(13, 1),
         flag_arg(items[14], name(14)),
         flag_arg(items[15], name(15)),
         std::nullopt};
    if (!items[16].is_none()) g.divisor_override = int64_arg(items[16], name(16));
    if (g.R * g.S > kLargest)
        throw ValueError(refusal("the taps of a window", std::to_string(g.R * g.S),
                                 "at most " + std::to_string(kLargest)));
    const auto check_windows = [](const char* axis, int64_t in, int64_t taps, int64_t out,
                                  int64_t stride, int64_t pad, int64_t dilation) {
        const int64_t reach = (taps - 1) * dilation + 1;
        if (pad >= reach)
            throw ValueError(refusal(std::string("the padding of the ") + axis, std::to_string(pad),
                                     "less than the dilated window, " + std::to_string(reach)));
        if (out > 0 && (out - 1) * stride >= std::max<int64_t>(in, 1) + pad)
            throw ValueError(refusal(std::string("the output's ") + axis, std::to_string(out),
                                     "windows that begin inside the image or before it"));
    };
    if (!g.adaptive) {
        check_windows("height", g.H, g.R, g.P, g.stride_h, g.pad_h, g.dilation_h);
        check_windows("width", g.W, g.S, g.Q, g.stride_w, g.pad_w, g.dilation_w);
    } else {  // windows of all sizes; R and S are the largest
        const bool plain = g.stride_h == 1 && g.stride_w == 1 && g.pad_h == 0 && g.pad_w == 0 &&
                           g.dilation_h == 1 && g.dilation_w == 1;
        if (!plain || g.R * g.P < g.H * (g.P > 0) || g.S * g.Q < g.W * (g.Q > 0))
            throw ValueError(refusal("geometry", text_of(geometry),
                                     "an adaptive pooling's: its largest window, stride 1, no "
                                     "padding, dilation 1"));
        const auto most = [](int64_t in, int64_t out) {
            return out ? (in + out - 1) / out + 1 : 1;
        };
        if (g.R > std::max<int64_t>(most(g.H, g.P), 1) ||
            g.S > std::max<int64_t>(most(g.W, g.Q), 1))
            throw ValueError(refusal("geometry", text_of(geometry),
                                     "windows no larger than an adaptive pooling has"));
    }
    return g;
}

struct Shapes {
    explicit Shapes(const Pool2dParams& g) : x{g.N, g.C, g.H, g.W}, y{g.N, g.C, g.P, g.Q} {
        checked_numel(x.data(), 4, "the input's number of elements");
        checked_numel(y.data(), 4, "the output's number of elements");
    }
    std::array<int64_t, 4> x, y;
};

DType offset_dtype(const Pool2dParams& g) { return g.R * g.S <= 256 ? DType::u8 : DType::i32; }

bool is_direct(py::handle algorithm) {
    if (PyUnicode_Check(algorithm.ptr())) {
        if (PyUnicode_CompareWithASCIIString(algorithm.ptr(), "direct") == 0) return true;
        if (PyUnicode_CompareWithASCIIString(algorithm.ptr(), "naive") == 0) return false;
    }
    throw ValueError(refusal("algorithm", text_of(algorithm), "'direct', 'naive'"));
}

void max_fprop(py::handle x, py::handle y, py::handle offsets, py::handle geometry,
               py::handle algorithm) {
    const Pool2dParams g = params_of(geometry);
    const Shapes shapes(g);
    const ArrayView out = output_arg(y, "y", shapes.y, kPooledDTypes);
    const ArrayView taken = output_arg(offsets, "offsets", shapes.y, only(offset_dtype(g)));
    const ArrayView in = input_arg(x, "x", shapes.x, only(out.dtype));
    const auto pass = is_direct(algorithm) ? PYCNN_BEST(max_pool2d_fprop_direct)
                                           : PYCNN_BEST(max_pool2d_fprop_naive);
    if (out.numel() == 0) return;
    const Running running;
    pass(g, in, out, taken);
}

void max_dgrad(py::handle dy, py::handle offsets, py::handle dx, py::handle geometry,
               py::handle algorithm) {
    const Pool2dParams g = params_of(geometry);
    const Shapes shapes(g);
    const ArrayView out = output_arg(dx, "dx", shapes.x);
    const ArrayView in = input_arg(dy, "dy", shapes.y, only(out.dtype));
    const ArrayView taken = input_arg(offsets, "offsets", shapes.y, only(offset_dtype(g)));
    const auto pass = is_direct(algorithm) ? PYCNN_BEST(max_pool2d_dgrad_direct)
                                           : PYCNN_BEST(max_pool2d_dgrad_naive);
    if (out.numel() == 0) return;
    const Running running;
    pass(g, in, taken, out);
}

void avg_fprop(py::handle x, py::handle y, py::handle geometry, py::handle algorithm) {
    const Pool2dParams g = params_of(geometry);
    const Shapes shapes(g);
    const ArrayView out = output_arg(y, "y", shapes.y, kPooledDTypes);
    const ArrayView in = input_arg(x, "x", shapes.x, only(out.dtype));
    const auto pass = is_direct(algorithm) ? PYCNN_BEST(avg_pool2d_fprop_direct)
                                           : PYCNN_BEST(avg_pool2d_fprop_naive);
    if (out.numel() == 0) return;
    const Running running;
    pass(g, in, out);
}

void avg_dgrad(py::handle dy, py::handle dx, py::handle geometry, py::handle algorithm) {
    const Pool2dParams g = params_of(geometry);
    const Shapes shapes(g);
    const ArrayView out = output_arg(dx, "dx", shapes.x);
    const ArrayView in = input_arg(dy, "dy", shapes.y, only(out.dtype));
    const auto pass = is_direct(algorithm) ? PYCNN_BEST(avg_pool2d_dgrad_direct)
                                           : PYCNN_BEST(avg_pool2d_dgrad_naive);
    if (out.numel() == 0) return;
    const Running running;
    pass(g, in, out);
}

}  // namespace

void bind_pool2d(py::module_& m) {
    m.def("max_pool2d_fprop", &max_fprop, py::arg("x"), py::arg("y"), py::arg("offsets"),
          py::arg("geometry"), py::arg("algorithm"),
          "Fills y and offsets; geometry is the values of a Pool2dGeometry.");
    m.def("max_pool2d_dgrad", &max_dgrad, py::arg("dy"), py::arg("offsets"), py::arg("dx"),
          py::arg("geometry"), py::arg("algorithm"), "Fills dx.");
    m.def("avg_pool2d_fprop", &avg_fprop, py::arg("x"), py::arg("y"), py::arg("geometry"),
          py::arg("algorithm"), "Fills y.");
    m.def("avg_pool2d_dgrad", &avg_dgrad, py::arg("dy"), py::arg("dx"), py::arg("geometry"),
          py::arg("algorithm"), "Fills dx.");
}

}  // namespace pycnn
