// Patches of images as columns, and the sum of columns into the pixels they came from.
//
// Computes   im2col and col2im of cpu/im2col.h; 0 where a patch leaves the image
// Arrays     any strides; runs of adjacent pixels are copied as bytes
// Threads    a task per (image, channel)
// Tiling     none: a row of a plane at a time
// Traffic    R*S elements written for one read (im2col), or read for one written
// Numerics   im2col copies bits; col2im sums in float32 for the halves, tap by tap, one rounding
// Refuses    nothing
// Source     Chellapilla, Puri and Simard 2006, High Performance Convolutional Neural Networks for
//            Document Processing
#include "primitives/im2col.h"

#include "cpu/columns.h"
#include "cpu/copy.h"
#include "cpu/parallel.h"

namespace pycnn::PYCNN_ISA {
namespace {

PatchShape shape_of(const Conv2dParams& p, const ArrayView& columns) {
    return {1, 0, p.P, 0, 0, 0, columns.strides[1], columns.strides[2]};
}

// The columns of channel c of image n.
template <class T>
T* columns_at(const Conv2dParams& p, const ArrayView& columns, int64_t n, int64_t c) {
    return static_cast<T*>(columns.data) + n * columns.strides[0] +
           c * p.R * p.S * columns.strides[1];
}

template <class T>
T* plane_at(const ArrayView& x, int64_t n, int64_t c) {
    return static_cast<T*>(x.data) + n * x.strides[0] + c * x.strides[1];
}

double cost_of(const Conv2dParams& p) { return static_cast<double>(p.R * p.S * p.P * p.Q); }

template <class T>
void gather(const Conv2dParams& p, const ArrayView& x, const ArrayView& columns) {
    PatchShape shape = shape_of(p, columns);
    shape.h_step = x.strides[2], shape.w_step = x.strides[3];
    parallel_for(p.N * p.C, cost_of(p) * 0.2, [&](int64_t plane) {
        const int64_t n = plane / p.C, c = plane % p.C;
        image_to_columns(p, shape, static_cast<const T*>(plane_at<T>(x, n, c)),
                         columns_at<T>(p, columns, n, c));
    });
}

template <class T>
void scatter(const Conv2dParams& p, const ArrayView& columns, const ArrayView& x) {
    using A = Accumulation<T>;
    PatchShape shape = shape_of(p, columns);
    shape.h_step = p.W, shape.w_step = 1;
    parallel_for(p.N * p.C, cost_of(p) * 0.3, [&](int64_t plane) {
        const int64_t n = plane / p.C, c = plane % p.C;
        const Buffer<A> sums(p.H * p.W);
        std::fill_n(sums.data(), p.H * p.W, A(0));
        add_columns(p, shape, static_cast<const T*>(columns_at<T>(p, columns, n, c)), sums.data());
        T* to = plane_at<T>(x, n, c);
        for (int64_t h = 0; h < p.H; ++h)
            for (int64_t w = 0; w < p.W; ++w)
                to[h * x.strides[2] + w * x.strides[3]] = static_cast<T>(sums[h * p.W + w]);
    });
}

}  // namespace

void im2col(const Conv2dParams& p, const ArrayView& x, const ArrayView& columns) {
    switch (info(x.dtype).bytes) {
        case 2: return gather<uint16_t>(p, x, columns);
        case 4: return gather<uint32_t>(p, x, columns);
        default: return gather<uint64_t>(p, x, columns);
    }
}

void col2im(const Conv2dParams& p, const ArrayView& columns, const ArrayView& x) {
    with_float_dtype(x.dtype, [&](auto t) { scatter<decltype(t)>(p, columns, x); });
}

}  // namespace pycnn::PYCNN_ISA
