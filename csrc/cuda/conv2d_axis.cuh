// Where outputs, taps and the source of a convolution meet, along one axis of the image.
//
// Row i of the output, row a of what is read (the source: x in fprop, dy in dgrad) and tap r meet
// where a = i * stride - before + r * dilation in fprop and a * stride = i + before - r * dilation
// in dgrad. The outputs i, i + step, ... (step is 1 in fprop, the stride in dgrad) meet the same
// taps, at places of the source that are constant distances apart: a phase.
#pragma once

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/params.h"
#include "cuda/division.cuh"
#include "cuda/machine.cuh"

namespace pycnn::cuda {

// Int is int32_t where everything is below 2^30, else int64_t.
template <class Int>
struct ConvAxis {
    Int outputs, inputs, taps;  // of the output, of the source, of the filter
    Int stride, before, dilation;
    bool adjoint;  // dgrad
    Int step;      // from an output of a phase to the next
    Int phases;    // phases 0 to phases - 1 have outputs
    Int advance;   // from the source's row of one to that of the next, at the same tap
    // dgrad: tap r meets output i if r = (i + before) / common * inverse modulo tap_step, and
    // common divides i + before
    Int common, inverse, tap_step;
};

// What one output meets: taps first_tap + j * tap_step at the source's rows first_row + j *
// row_step, j < taps. The rows may lie outside the source.
template <class Int>
struct Meeting {
    Int taps, first_tap, tap_step, first_row, row_step;
};

template <class Int>
__host__ __device__ __forceinline__ Meeting<Int> meeting(const ConvAxis<Int>& axis, Int output) {
    if (!axis.adjoint) return {axis.taps, 0, 1, output * axis.stride - axis.before, axis.dilation};
    const Int at = output + axis.before;
    Int first = 0, taps = 0;
    if (at % axis.common == 0) {
        first = static_cast<Int>(int64_t{at / axis.common % axis.tap_step} * axis.inverse %
                                 axis.tap_step);
        if (first < axis.taps) taps = (axis.taps - first - 1) / axis.tap_step + 1;
    }
    const Int row = taps == 0 ? 0 : (at - first * axis.dilation) / axis.stride;
    return {taps, first, axis.tap_step, row, -(axis.dilation / axis.common)};
}

// Outputs phase, phase + step, ...
template <class Int>
__host__ __device__ __forceinline__ Int outputs_of(const ConvAxis<Int>& axis, Int phase) {
    return phase < axis.outputs ? (axis.outputs - phase - 1) / axis.step + 1 : 0;
}

template <class Int>
ConvAxis<Int> conv_axis(bool adjoint, int64_t size, int64_t count, int64_t taps, int64_t stride,
                        int64_t before, int64_t dilation) {
    ConvAxis<Int> axis{};
    axis.outputs = static_cast<Int>(adjoint ? size : count);
    axis.inputs = static_cast<Int>(adjoint ? count : size);
    axis.taps = static_cast<Int>(taps);
    axis.stride = static_cast<Int>(stride);
    axis.before = static_cast<Int>(before);
    axis.dilation = static_cast<Int>(dilation);
    axis.adjoint = adjoint;
    axis.step = adjoint ? axis.stride : 1;
    axis.phases = std::min(axis.step, axis.outputs);
    axis.advance = adjoint ? 1 : axis.stride;
    const int64_t common = std::gcd(stride, dilation), period = stride / common;
    axis.common = static_cast<Int>(common);
    axis.tap_step = adjoint ? static_cast<Int>(period) : 1;
    // the inverse of dilation / common modulo the period, by Euclid's algorithm
    int64_t a = dilation / common % period, b = period, x = 1, y = 0;
    while (a > 1) {
        const int64_t q = b / a;
        std::swap(a, b -= q * a);
        std::swap(x, y -= q * x);
    }
    axis.inverse = static_cast<Int>(period == 1 ? 0 : (x % period + period) % period);
    return axis;
}

template <class Int>
ConvAxis<Int> rows_axis(const Conv2dParams& g, bool adjoint) {
    return conv_axis<Int>(adjoint, g.H, g.P, g.R, g.stride_h, g.top, g.dilation_h);
}
template <class Int>
ConvAxis<Int> columns_axis(const Conv2dParams& g, bool adjoint) {
    return conv_axis<Int>(adjoint, g.W, g.Q, g.S, g.stride_w, g.left, g.dilation_w);
}

// Whether every row and column, those of the padding too, counts in 32 bits.
inline bool counts_in_32_bits(const Conv2dParams& g) {
    constexpr int64_t limit = int64_t{1} << 29;
    return g.H + g.top < limit && g.W + g.left < limit && g.P < limit && g.Q < limit &&
           g.stride_h < limit && g.stride_w < limit && g.R * g.dilation_h < limit &&
           g.S * g.dilation_w < limit;
}

// A divisor known at the launch, of numbers of 32 or 64 bits that are not negative.
template <class Int>
struct Divisor {
    Int value;
    Division division;

    Divisor() = default;
    explicit Divisor(int64_t v) : value(static_cast<Int>(v)) {
        if (sizeof(Int) == 4) division = Division(v);
    }
    // n becomes the quotient; returns the remainder.
    __device__ __forceinline__ Int divide(Int& n) const {
        if constexpr (sizeof(Int) == 4) {
            auto rest = static_cast<uint32_t>(n);
            const uint32_t remainder = division.divide(rest);
            n = static_cast<Int>(rest);
            return static_cast<Int>(remainder);
        } else {
            const Int remainder = n % value;
            n /= value;
            return remainder;
        }
    }
};

}  // namespace pycnn::cuda
