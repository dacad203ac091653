// Convolution as a matrix product with the image's patches as columns: the general way.
//
// Computes   fprop y_n = w * columns(x_n), dgrad dx_n = the adjoint's columns w^T * dy_n summed
//            into the image, wgrad dw = sum_n dy_n * columns(x_n)^T; for each group its own
// Arrays     dense contiguous (N,C,H,W); others and the halves go through dense float copies
// Threads    blocks of columns side by side where there are enough, else the products' own; dgrad a
//            task per image and group, wgrad per group
// Tiling     the columns of as many output rows as make 1 MB, then cpu/gemm_core.cpp
// Traffic    every pixel is copied R*S times: 2*K FLOP per copied element
// Numerics   cpu/gemm_core.cpp; dgrad adds up taps in the order r, s within a block of rows
// Refuses    nothing
// Source     Chellapilla, Puri and Simard 2006, High Performance Convolutional Neural Networks for
//            Document Processing
#include "cpu/columns.h"
#include "cpu/conv2d.h"
#include "cpu/gemm_core.h"

namespace pycnn::PYCNN_ISA {
namespace {

constexpr int64_t kColumns = 256 * 1024;  // elements of columns at a time

// A convolution's sizes per group, and its blocks of output rows.
struct Blocks {
    explicit Blocks(const Conv2dParams& p)
        : channels(p.C / p.G),
          filters(p.K / p.G),
          depth(channels * p.R * p.S),
          rows(std::clamp<int64_t>(kColumns / std::max<int64_t>(1, depth * p.Q), 1, p.P)),
          count((p.P + rows - 1) / rows) {}

    int64_t channels, filters, depth;
    int64_t rows, count;  // output rows of a block, blocks of an image

    PatchShape shape(const Conv2dParams& p, int64_t block) const {
        const int64_t begin = block * rows, end = std::min(p.P, begin + rows);
        const int64_t width = (end - begin) * p.Q;
        return {channels, begin, end, p.H * p.W, p.W, 1, width, 1};
    }
    int64_t largest(const Conv2dParams& p) const { return depth * rows * p.Q; }
};

// Runs body(task) for all tasks: side by side if they keep the threads busy, else one by one, so
// that the products inside share the threads.
template <class F>
void for_each_task(int64_t tasks, F&& body) {
    if (tasks >= 2 * num_threads())
        parallel_for(tasks, 1e6, body);
    else
        for (int64_t task = 0; task < tasks; ++task) body(task);
}

template <class T>
void fprop(const Conv2dParams& p, const ArrayView& x, const ArrayView& w, const ArrayView& y,
           const EpilogueView& epilogue) {
    const DenseInput<T> images(x, Layout::contiguous), filters(w, Layout::contiguous);
    const DenseOutput<T> to(y, Layout::contiguous);
    const DenseEpilogue<T> e(epilogue, Layout::contiguous);
    const Blocks b(p);
    for_each_task(p.N * p.G * b.count, [&](int64_t task) {
        const int64_t n = task / b.count / p.G, group = task / b.count % p.G;
        const PatchShape shape = b.shape(p, task % b.count);
        const Buffer<T> columns(b.largest(p));
        image_to_columns(p, shape, images.data() + (n * p.C + group * b.channels) * p.H * p.W,
                         columns.data());
        const int64_t first = group * b.filters;
        const int64_t offset = ((n * p.K + first) * p.P + shape.begin) * p.Q;
        Gemm<T> g{};
        g.M = b.filters, g.N = shape.row_step, g.K = b.depth;
        g.a = filters.data() + first * b.depth, g.a_m = Axis::even(b.depth), g.a_k = Axis::even(1);
        g.b = columns.data(), g.b_k = Axis::even(shape.row_step), g.b_n = Axis::even(1);
        g.c = to.data() + offset, g.c_m = Axis::even(p.P * p.Q);
        g.per_row = true;
        g.epilogue = e.epilogue;
        if (g.epilogue.bias) g.epilogue.bias += first;
        if (g.epilogue.scale) g.epilogue.scale += first;
        if (g.epilogue.shift) g.epilogue.shift += first;
        if (g.epilogue.residual) g.epilogue.residual += offset;
        multiply(g);
    });
    to.finish();
}

// The epilogue of a plane of one channel, in place.
template <class T>
void finish_plane(const Epilogue<T>& e, int64_t channel, int64_t offset, int64_t size, T* plane) {
    if (!e.any()) return;
    for (int64_t i = 0; i < size; ++i) {
        T value = plane[i];
        if (e.bias) value += e.bias[channel];
        if (e.scale) value *= e.scale[channel];
        if (e.shift) value += e.shift[channel];
        if (e.residual) value += e.residual[offset + i];
        plane[i] = value;
    }
    if (e.activation != Activation::none) activate(plane, size, e.activation);
}

template <class T>
void dgrad(const Conv2dParams& p, const ArrayView& dy, const ArrayView& w, const ArrayView& dx,
           const EpilogueView& epilogue) {
    const DenseInput<T> from(dy, Layout::contiguous), filters(w, Layout::contiguous);
    const DenseOutput<T> to(dx, Layout::contiguous);
    const DenseEpilogue<T> e(epilogue, Layout::contiguous);
    const Blocks b(p);
    for_each_task(p.N * p.G, [&](int64_t task) {
        const int64_t n = task / p.G, group = task % p.G, first = group * b.filters;
        const int64_t planes = (n * p.C + group * b.channels) * p.H * p.W;
        T* image = to.data() + planes;
        std::fill_n(image, b.channels * p.H * p.W, T(0));
        const Buffer<T> columns(b.largest(p));
        for (int64_t block = 0; block < b.count; ++block) {
            const PatchShape shape = b.shape(p, block);
            Gemm<T> g{};
            g.M = b.depth, g.N = shape.row_step, g.K = b.filters;
            g.a = filters.data() + first * b.depth;
            g.a_m = Axis::even(1), g.a_k = Axis::even(b.depth);
            g.b = from.data() + ((n * p.K + first) * p.P + shape.begin) * p.Q;
            g.b_k = Axis::even(p.P * p.Q), g.b_n = Axis::even(1);
            g.c = columns.data(), g.c_m = Axis::even(shape.row_step);
            multiply(g);
            add_columns(p, shape, static_cast<const T*>(columns.data()), image);
        }
        for (int64_t c = 0; c < b.channels; ++c)
            finish_plane(e.epilogue, group * b.channels + c, planes + c * p.H * p.W, p.H * p.W,
                         image + c * p.H * p.W);
    });
    to.finish();
}

template <class T>
void wgrad(const Conv2dParams& p, const ArrayView& x, const ArrayView& dy, const ArrayView& dw) {
    const DenseInput<T> images(x, Layout::contiguous), from(dy, Layout::contiguous);
    const DenseOutput<T> to(dw, Layout::contiguous);
    const Blocks b(p);
    for_each_task(p.G, [&](int64_t group) {
        const int64_t first = group * b.filters;
        T* sums = to.data() + first * b.depth;
        std::fill_n(sums, b.filters * b.depth, T(0));
        const Buffer<T> columns(b.largest(p));
        for (int64_t task = 0; task < p.N * b.count; ++task) {
            const int64_t n = task / b.count;
            const PatchShape shape = b.shape(p, task % b.count);
            image_to_columns(p, shape, images.data() + (n * p.C + group * b.channels) * p.H * p.W,
                             columns.data());
            Gemm<T> g{};
            g.M = b.filters, g.N = b.depth, g.K = shape.row_step;
            g.a = from.data() + ((n * p.K + first) * p.P + shape.begin) * p.Q;
            g.a_m = Axis::even(p.P * p.Q), g.a_k = Axis::even(1);
            g.b = columns.data(), g.b_k = Axis::even(1), g.b_n = Axis::even(shape.row_step);
            g.c = sums, g.c_m = Axis::even(b.depth);
            g.add = true;
            multiply(g);
        }
    });
    to.finish();
}

}  // namespace

void conv2d_fprop_im2col(const Conv2dParams& p, const ArrayView& x, const ArrayView& w,
                         const ArrayView& y, const EpilogueView& epilogue) {
    with_accumulation(y.dtype, [&](auto t) { fprop<decltype(t)>(p, x, w, y, epilogue); });
}

void conv2d_dgrad_im2col(const Conv2dParams& p, const ArrayView& dy, const ArrayView& w,
                         const ArrayView& dx, const EpilogueView& epilogue) {
    with_accumulation(dx.dtype, [&](auto t) { dgrad<decltype(t)>(p, dy, w, dx, epilogue); });
}

void conv2d_wgrad_im2col(const Conv2dParams& p, const ArrayView& x, const ArrayView& dy,
                         const ArrayView& dw, const EpilogueView&) {
    with_accumulation(dw.dtype, [&](auto t) { wgrad<decltype(t)>(p, x, dy, dw); });
}

}  // namespace pycnn::PYCNN_ISA
