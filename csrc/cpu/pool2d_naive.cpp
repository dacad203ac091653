// Pooling as the formula says, one output element at a time; every dtype.
//
// Computes   the four passes of cpu/pool2d.h
// Arrays     any strides; halves are widened as they are read
// Threads    one task per (image, channel) plane
// Traffic    fprop reads x once per tap; dgrad zeroes a plane of sums and adds every window to it
// Numerics   one accumulator per element, float32 for the halves; integers wrap as two's complement
//            and their averages are truncated; of equal values the first tap wins, of NaNs the last
// Refuses    nothing
// Source     LeCun et al. 1998 (average); Ranzato et al. 2007 (max)
#include <cmath>
#include <limits>
#include <type_traits>

#include "cpu/copy.h"
#include "cpu/parallel.h"
#include "cpu/pool2d_windows.h"
#include "primitives/pool2d.h"

namespace pycnn::PYCNN_ISA {
namespace {

// Row `h` of plane `plane` = n*C + c, and the step from pixel to pixel along it.
template <class T>
struct Row {
    Row(const ArrayView& a, int64_t plane, int64_t h)
        : data(static_cast<T*>(a.data) + plane / a.shape[1] * a.strides[0] +
               plane % a.shape[1] * a.strides[1] + h * a.strides[2]),
          step(a.strides[3]) {}
    T& operator[](int64_t w) const { return data[w * step]; }
    T* data;
    int64_t step;
};

template <class A>
A least() {
    if constexpr (std::is_integral_v<A>)
        return std::numeric_limits<A>::min();
    else
        return -std::numeric_limits<A>::infinity();
}

template <class T, class Offset>
void max_fprop(const Pool2dParams& g, const ArrayView& x, const ArrayView& y,
               const ArrayView& offsets) {
    using A = Accumulation<T>;
    const PoolAxis rows = along_h(g), columns = along_w(g);
    const double cost = static_cast<double>(g.P * g.Q) * static_cast<double>(g.R * g.S);
    parallel_for(g.N * g.C, cost, [&](int64_t plane) {
        for (int64_t p = 0; p < g.P; ++p) {
            const Window row = window_of(rows, p);
            for (int64_t q = 0; q < g.Q; ++q) {
                const Window column = window_of(columns, q);
                A best = least<A>();
                int64_t taken = row.first * g.S + column.first;
                for (int64_t r = 0; r < row.count; ++r) {
                    const Row<const T> from(x, plane, row.start + r * rows.dilation);
                    for (int64_t s = 0; s < column.count; ++s) {
                        const auto value =
                            static_cast<A>(from[column.start + s * columns.dilation]);
                        if (!(value > best || value != value)) continue;
                        best = value;
                        taken = (row.first + r) * g.S + column.first + s;
                    }
                }
                Row<T>(y, plane, p)[q] = static_cast<T>(best);
                Row<Offset>(offsets, plane, p)[q] = static_cast<Offset>(taken);
            }
        }
    });
}

template <class T, class Offset>
void max_dgrad(const Pool2dParams& g, const ArrayView& dy, const ArrayView& offsets,
               const ArrayView& dx) {
    using A = Accumulation<T>;
    const PoolAxis rows = along_h(g), columns = along_w(g);
    const double cost = static_cast<double>(g.P * g.Q + g.H * g.W);
    parallel_for(g.N * g.C, cost, [&](int64_t plane) {
        const Buffer<A> sums(g.H * g.W);
        std::fill_n(sums.data(), g.H * g.W, A{0});
        for (int64_t p = 0; p < g.P; ++p) {
            const Window row = window_of(rows, p);
            const Row<const Offset> taken(offsets, plane, p);
            const Row<const T> from(dy, plane, p);
            for (int64_t q = 0; q < g.Q; ++q) {
                const Window column = window_of(columns, q);
                const int64_t r = taken[q] / g.S - row.first, s = taken[q] % g.S - column.first;
                if (r < 0 || r >= row.count || s < 0 || s >= column.count) continue;
                sums[(row.start + r * rows.dilation) * g.W + column.start + s * columns.dilation] +=
                    static_cast<A>(from[q]);
            }
        }
        for (int64_t h = 0; h < g.H; ++h)
            for (int64_t w = 0; w < g.W; ++w)
                Row<T>(dx, plane, h)[w] = static_cast<T>(sums[h * g.W + w]);
    });
}

// Sums of integers wrap: they are added as unsigned numbers.
template <class A>
A added(A a, A b) {
    if constexpr (std::is_integral_v<A>) {
        using Unsigned = std::make_unsigned_t<A>;
        return static_cast<A>(
            static_cast<Unsigned>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b)));
    } else {
        return a + b;
    }
}

template <class A>
A divided(A sum, A divisor) {
    if constexpr (std::is_integral_v<A>) {
        if (divisor == 0) return 0;
        if constexpr (std::is_signed_v<A>)
            if (divisor == -1) return added<A>(static_cast<A>(~sum), A{1});
    }
    return static_cast<A>(sum / divisor);
}

template <class T>
void avg_fprop(const Pool2dParams& g, const ArrayView& x, const ArrayView& y) {
    using A = Accumulation<T>;
    const PoolAxis rows = along_h(g), columns = along_w(g);
    const double cost = static_cast<double>(g.P * g.Q) * static_cast<double>(g.R * g.S);
    parallel_for(g.N * g.C, cost, [&](int64_t plane) {
        for (int64_t p = 0; p < g.P; ++p) {
            const Window row = window_of(rows, p);
            for (int64_t q = 0; q < g.Q; ++q) {
                const Window column = window_of(columns, q);
                A total = 0;
                for (int64_t r = 0; r < row.count; ++r) {
                    const Row<const T> from(x, plane, row.start + r * rows.dilation);
                    A sum = 0;
                    for (int64_t s = 0; s < column.count; ++s)
                        sum = added(sum, static_cast<A>(from[column.start + s * columns.dilation]));
                    total = added(total, sum);
                }
                Row<T>(y, plane, p)[q] =
                    static_cast<T>(divided(total, divisor_of<A>(g, row, column)));
            }
        }
    });
}

template <class T>
void avg_dgrad(const Pool2dParams& g, const ArrayView& dy, const ArrayView& dx) {
    using A = Accumulation<T>;
    const PoolAxis rows = along_h(g), columns = along_w(g);
    const double cost = static_cast<double>(g.P * g.Q) * static_cast<double>(g.R * g.S) +
                        static_cast<double>(g.H * g.W);
    parallel_for(g.N * g.C, cost, [&](int64_t plane) {
        const Buffer<A> sums(g.H * g.W);
        std::fill_n(sums.data(), g.H * g.W, A{0});
        for (int64_t p = 0; p < g.P; ++p) {
            const Window row = window_of(rows, p);
            for (int64_t q = 0; q < g.Q; ++q) {
                const Window column = window_of(columns, q);
                const A share =
                    static_cast<A>(Row<const T>(dy, plane, p)[q]) / divisor_of<A>(g, row, column);
                for (int64_t r = 0; r < row.count; ++r)
                    for (int64_t s = 0; s < column.count; ++s)
                        sums[(row.start + r * rows.dilation) * g.W + column.start +
                             s * columns.dilation] += share;
            }
        }
        for (int64_t h = 0; h < g.H; ++h)
            for (int64_t w = 0; w < g.W; ++w)
                Row<T>(dx, plane, h)[w] = static_cast<T>(sums[h * g.W + w]);
    });
}

// Calls function(T{}) with the stored type of any dtype there is arithmetic for.
template <class F>
void with_dtype(DType dtype, F&& function) {
    switch (dtype) {
        case DType::u8: return function(uint8_t{});
        case DType::i8: return function(int8_t{});
        case DType::i16: return function(int16_t{});
        case DType::i32: return function(int32_t{});
        case DType::i64: return function(int64_t{});
        default: with_float_dtype(dtype, function);
    }
}

}  // namespace

void max_pool2d_fprop_naive(const Pool2dParams& g, const ArrayView& x, const ArrayView& y,
                            const ArrayView& offsets) {
    with_dtype(x.dtype, [&](auto t) {
        using T = decltype(t);
        if (offsets.dtype == DType::u8)
            max_fprop<T, uint8_t>(g, x, y, offsets);
        else
            max_fprop<T, int32_t>(g, x, y, offsets);
    });
}

void max_pool2d_dgrad_naive(const Pool2dParams& g, const ArrayView& dy, const ArrayView& offsets,
                            const ArrayView& dx) {
    with_float_dtype(dy.dtype, [&](auto t) {
        using T = decltype(t);
        if (offsets.dtype == DType::u8)
            max_dgrad<T, uint8_t>(g, dy, offsets, dx);
        else
            max_dgrad<T, int32_t>(g, dy, offsets, dx);
    });
}

void avg_pool2d_fprop_naive(const Pool2dParams& g, const ArrayView& x, const ArrayView& y) {
    with_dtype(x.dtype, [&](auto t) { avg_fprop<decltype(t)>(g, x, y); });
}

void avg_pool2d_dgrad_naive(const Pool2dParams& g, const ArrayView& dy, const ArrayView& dx) {
    with_float_dtype(dy.dtype, [&](auto t) { avg_dgrad<decltype(t)>(g, dy, dx); });
}

}  // namespace pycnn::PYCNN_ISA
