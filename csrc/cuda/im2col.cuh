// Patches of images as columns, and the sum of columns into the pixels they came from.
//
// Computes   im2col  columns[n, (c*R + r)*S + s, p*Q + q] = x[n, c, p*Sh - top + r*Dh, ...],
//                    0 where that leaves the image
//            col2im  x[n,c,h,w] = the sum of the columns that im2col fills from it, in the order of
//                    r, s; then an epilogue, which only a convolution's dgrad has
// Arrays     x (N,C,H,W)  columns (N, C*R*S, P*Q); any strides. im2col copies bits; rows of columns
//            that begin on multiples of 16 bytes and have whole vectors are stored in vectors. The
//            columns of col2im may be in the accumulation dtype
// Grid       im2col: x: 128 threads a block, each with 16 bytes of (or one) neighbouring places of
//            a plane, for every tap. col2im: the same, a pixel each
// Tiling     none: a thread's taps read the same few rows, which the L1 cache holds
// Traffic    R*S elements written for one read (im2col), or read for one written: bandwidth
// Numerics   sums in f32 (f64 in itself), one rounding at the store: deterministic
// Refuses    nothing
// Source     Chellapilla, Puri and Simard 2006, High Performance Convolutional Neural Networks for
//            Document Processing
#pragma once

#include "cuda/conv2d_axis.cuh"
#include "cuda/epilogue.cuh"
#include "cuda/numbers.cuh"

namespace pycnn::cuda {

constexpr int kColumnsThreads = 128;

template <class T, class Int>
struct Im2col {
    const T* x;
    T* columns;
    int64_t x_steps[4], steps[3];
    int64_t channels;
    Int items;                          // threads: planes * chunks
    Divisor<Int> chunks, width, plane;  // chunks of a plane; Q; C
    ConvAxis<Int> h, w;
};

// Bits has the element's size; N is 1, or as many elements as 16 bytes hold.
template <class Bits, int N, class Int>
__global__ void __launch_bounds__(kColumnsThreads) im2col_kernel(Im2col<Bits, Int> p) {
    const int64_t item = int64_t{blockIdx.x} * kColumnsThreads + threadIdx.x;
    if (item >= p.items) return;
    Int image = static_cast<Int>(item);
    const Int pixel = p.chunks.divide(image) * N;
    const Int channel = p.plane.divide(image);
    const Bits* x = p.x + image * p.x_steps[0] + channel * p.x_steps[1];
    Bits* to = p.columns + image * p.steps[0] +
               int64_t{channel} * p.h.taps * p.w.taps * p.steps[1] + pixel * p.steps[2];
    Int row[N], column[N];  // of tap (0, 0)
    Int i = pixel;
    Int j = p.width.divide(i);
#pragma unroll
    for (int e = 0; e < N; ++e) {
        row[e] = i * p.h.stride - p.h.before;
        column[e] = j * p.w.stride - p.w.before;
        if (++j == p.width.value) j = 0, ++i;
    }
    for (Int r = 0; r < p.h.taps; ++r) {
        for (Int s = 0; s < p.w.taps; ++s) {
            Vector<Bits, N> values;
#pragma unroll
            for (int e = 0; e < N; ++e) {
                const Int h = row[e] + r * p.h.dilation, v = column[e] + s * p.w.dilation;
                const bool inside = h >= 0 && h < p.h.inputs && v >= 0 && v < p.w.inputs;
                values.v[e] = inside ? x[h * p.x_steps[2] + v * p.x_steps[3]] : Bits{};
            }
            store_vector(to, values);
            to += p.steps[1];
        }
    }
}

template <class T, class C, class Int>
struct Col2im {
    const C* columns;
    T* x;
    int64_t steps[3], x_steps[4];
    Int items;                             // pixels of all planes
    Divisor<Int> height, width, channels;  // H, W, C
    Int columns_width;                     // Q
    ConvAxis<Int> h, w;
    Epilogue<T> epilogue;
};

template <class T, class C, class Int>
__global__ void __launch_bounds__(kColumnsThreads, 8) col2im_kernel(Col2im<T, C, Int> p) {
    const int64_t item = int64_t{blockIdx.x} * kColumnsThreads + threadIdx.x;
    if (item >= p.items) return;
    Int image = static_cast<Int>(item);
    const Int column = p.width.divide(image), row = p.height.divide(image);
    const Int channel = p.channels.divide(image);
    const Meeting<Int> down = meeting(p.h, row), across = meeting(p.w, column);
    const C* from =
        p.columns + image * p.steps[0] + int64_t{channel} * p.h.taps * p.w.taps * p.steps[1];
    Accumulation<T> sum = 0;
    for (Int i = 0; i < down.taps; ++i) {
        const Int a = down.first_row + i * down.row_step;
        if (a < 0 || a >= p.h.inputs) continue;
        const Int r = down.first_tap + i * down.tap_step;
        for (Int j = 0; j < across.taps; ++j) {
            const Int b = across.first_row + j * across.row_step;
            if (b < 0 || b >= p.w.inputs) continue;
            const Int s = across.first_tap + j * across.tap_step;
            const int64_t at = (int64_t{r} * p.w.taps + s) * p.steps[1] +
                               (int64_t{a} * p.columns_width + b) * p.steps[2];
            sum += convert<Accumulation<T>>(from[at]);
        }
    }
    const auto offset = [&](const int64_t (&steps)[4]) {
        return image * steps[0] + channel * steps[1] + row * steps[2] + column * steps[3];
    };
    p.x[offset(p.x_steps)] =
        convert<T>(finish(p.epilogue, sum, channel, offset(p.epilogue.residual_steps)));
}

}  // namespace pycnn::cuda
