// Batch normalisation as the formulas say, one element of a channel at a time.
//
// Computes   the four passes of cpu/batch_norm.h
// Arrays     any strides, halves widened as they are read
// Threads    one task per channel
// Traffic    every operand once, element by element
// Numerics   Welford's running update in accumulation dtype; sums in the order n, then the rest
// Refuses    nothing
// Source     Welford 1962, "Note on a method for calculating corrected sums of squares and
//            products"
#include "cpu/batch_norm_layout.h"
#include "cpu/epilogue.h"
#include "cpu/parallel.h"
#include "primitives/batch_norm.h"

namespace pycnn::PYCNN_ISA {
namespace {

// Element i = n * size + s of channel c.
int64_t offset_of(const ArrayView& a, int64_t c, int64_t i) {
    int64_t offset = c * a.strides[1];
    for (int axis = a.ndim - 1; axis >= 2; --axis) {
        offset += i % a.shape[axis] * a.strides[axis];
        i /= a.shape[axis];
    }
    return offset + i * a.strides[0];
}

template <class A>
A get(const ArrayView& a, int64_t offset) {
    A value{};
    with_float_dtype(a.dtype, [&](auto t) {
        using T = decltype(t);
        value = static_cast<A>(static_cast<Accumulation<T>>(static_cast<const T*>(a.data)[offset]));
    });
    return value;
}

template <class A>
void set(const ArrayView& a, int64_t offset, A value) {
    with_float_dtype(a.dtype, [&](auto t) {
        using T = decltype(t);
        static_cast<T*>(a.data)[offset] = T(static_cast<Accumulation<T>>(value));
    });
}

template <class A>
A of_channel(const ArrayView& a, int64_t c) {
    return get<A>(a, c * a.strides[0]);
}
template <class A>
A of_channel(const std::optional<ArrayView>& a, int64_t c, A without) {
    return a ? of_channel<A>(*a, c) : without;
}

// Calls body(c, elements of a channel, A{}) for every channel of `like`, in its accumulation dtype.
template <class F>
void for_channels(const ArrayView& like, F&& body) {
    const int64_t count = like.shape[0] * spatial_size(like);
    with_accumulation(like.dtype, [&](auto a) {
        parallel_for(like.shape[1], 4.0 * static_cast<double>(count),
                     [&](int64_t c) { body(c, count, a); });
    });
}

}  // namespace

void batch_norm_stats_naive(const ArrayView& x, const ArrayView& mean, const ArrayView& m2) {
    for_channels(x, [&](int64_t c, int64_t count, auto zero) {
        auto average = zero, squares = zero;
        for (int64_t i = 0; i < count; ++i) {
            const auto value = get<decltype(zero)>(x, offset_of(x, c, i));
            const auto deviation = value - average;
            average += deviation / static_cast<decltype(zero)>(i + 1);
            squares += deviation * (value - average);
        }
        set(mean, c * mean.strides[0], average);
        set(m2, c * m2.strides[0], squares);
    });
}

void batch_norm_reduce_naive(const BatchNormReduce& a) {
    for_channels(a.x, [&](int64_t c, int64_t count, auto zero) {
        using A = decltype(zero);
        const A middle = of_channel<A>(a.mean, c), inverse = of_channel<A>(a.invstd, c);
        const A scale = inverse * of_channel<A>(a.weight, c, 1), bias = of_channel<A>(a.bias, c, 0);
        A sum = 0, product = 0;
        for (int64_t i = 0; i < count; ++i) {
            const A g = get<A>(a.dy, offset_of(a.dy, c, i));
            const A d = get<A>(a.x, offset_of(a.x, c, i)) - middle;
            if (a.relu && d * scale + bias <= 0) continue;
            sum += g;
            product += g * (d * inverse);
        }
        set(a.sum_dy, c * a.sum_dy.strides[0], sum);
        set(a.sum_dy_xhat, c * a.sum_dy_xhat.strides[0], product);
    });
}

void batch_norm_apply_naive(const BatchNormApply& a) {
    for_channels(a.x, [&](int64_t c, int64_t count, auto zero) {
        using A = decltype(zero);
        const A middle = of_channel<A>(a.mean, c), bias = of_channel<A>(a.bias, c, 0);
        const A scale = of_channel<A>(a.invstd, c) * of_channel<A>(a.weight, c, 1);
        for (int64_t i = 0; i < count; ++i) {
            A value = (get<A>(a.x, offset_of(a.x, c, i)) - middle) * scale + bias;
            if (a.residual) value += get<A>(*a.residual, offset_of(*a.residual, c, i));
            activate(&value, 1, a.activation);
            set(a.y, offset_of(a.y, c, i), value);
        }
    });
}

void batch_norm_dgrad_naive(const BatchNormDgrad& a) {
    for_channels(a.x, [&](int64_t c, int64_t count, auto zero) {
        using A = decltype(zero);
        const A middle = of_channel<A>(a.mean, c), inverse = of_channel<A>(a.invstd, c);
        const A scale = inverse * of_channel<A>(a.weight, c, 1), bias = of_channel<A>(a.bias, c, 0);
        const bool training = a.sum_dy && a.sum_dy_xhat;
        const A m = static_cast<A>(count);
        const A shift = training ? of_channel<A>(*a.sum_dy, c) / m : 0;
        const A slope = training ? of_channel<A>(*a.sum_dy_xhat, c) / m : 0;
        for (int64_t i = 0; i < count; ++i) {
            A g = get<A>(a.dy, offset_of(a.dy, c, i));
            const A d = get<A>(a.x, offset_of(a.x, c, i)) - middle;
            if (a.relu && d * scale + bias <= 0) g = 0;
            if (training) g = g - shift - d * inverse * slope;
            set(a.dx, offset_of(a.dx, c, i), g * scale);
        }
    });
}

}  // namespace pycnn::PYCNN_ISA
