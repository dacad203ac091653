// The transforms of Winograd's F(4x4, 3x3), on vectors: six input pixels and three taps make four
// outputs with six products instead of twelve, in both directions 36 instead of 144.
//
//   y = A^T [(G w G^T) * (B^T x B)] A       (Lavin and Gray 2016, arXiv:1509.09308)
//
// A polynomial is multiplied by its values at the points 0, +-a, +-b and infinity. a = 11/16 and
// b = 3/2 lose four times less accuracy than the usual 1 and 2, at the same cost: what matters is
// that neither points nor their reciprocals have large powers (Alam et al. 2022, arXiv:2201.10369).
// Every entry of A and B is a float exactly; those of G are rounded.
#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace pycnn::PYCNN_ISA::winograd {

constexpr int kOutputs = 4;  // per direction
constexpr int kTaps = 3;
constexpr int kPoints = kOutputs + kTaps - 1;  // also the input pixels that a tile reads
constexpr int kProducts = kPoints * kPoints;

constexpr double kA = 11.0 / 16, kB = 3.0 / 2;
constexpr double kA2 = kA * kA, kB2 = kB * kB;

PYCNN_INLINE Vec<float> constant(double value) {
    return broadcast<float>(static_cast<float>(value));
}

// B^T d
PYCNN_INLINE void input_transform(const Vec<float> (&d)[kPoints], Vec<float> (&out)[kPoints]) {
    const Vec<float> a = constant(kA), b = constant(kB);
    const Vec<float> minus_a2 = constant(-kA2), minus_b2 = constant(-kB2);
    const Vec<float> minus_sum = constant(-kA2 - kB2), product = constant(kA2 * kB2);
    const Vec<float> even_a = fma(minus_b2, d[2], d[4]), odd_a = fma(minus_b2, d[1], d[3]);
    const Vec<float> even_b = fma(minus_a2, d[2], d[4]), odd_b = fma(minus_a2, d[1], d[3]);
    out[0] = fma(product, d[0], fma(minus_sum, d[2], d[4]));
    out[1] = fma(a, odd_a, even_a);
    out[2] = fma(-a, odd_a, even_a);
    out[3] = fma(b, odd_b, even_b);
    out[4] = fma(-b, odd_b, even_b);
    out[5] = fma(product, d[1], fma(minus_sum, d[3], d[5]));
}

// G g
PYCNN_INLINE void filter_transform(const Vec<float> (&g)[kTaps], Vec<float> (&out)[kPoints]) {
    constexpr double at_a = 2 * kA2 * (kA2 - kB2), at_b = 2 * kB2 * (kB2 - kA2);
    const Vec<float> even_a = fma(constant(kA2 / at_a), g[2], constant(1 / at_a) * g[0]);
    const Vec<float> even_b = fma(constant(kB2 / at_b), g[2], constant(1 / at_b) * g[0]);
    out[0] = constant(1 / (kA2 * kB2)) * g[0];
    out[1] = fma(constant(kA / at_a), g[1], even_a);
    out[2] = fma(constant(-kA / at_a), g[1], even_a);
    out[3] = fma(constant(kB / at_b), g[1], even_b);
    out[4] = fma(constant(-kB / at_b), g[1], even_b);
    out[5] = g[2];
}

// A^T m
PYCNN_INLINE void output_transform(const Vec<float> (&m)[kPoints], Vec<float> (&out)[kOutputs]) {
    const Vec<float> even_a = m[1] + m[2], odd_a = m[1] - m[2];
    const Vec<float> even_b = m[3] + m[4], odd_b = m[3] - m[4];
    out[0] = m[0] + even_a + even_b;
    out[1] = fma(constant(kB), odd_b, constant(kA) * odd_a);
    out[2] = fma(constant(kB2), even_b, constant(kA2) * even_a);
    out[3] = fma(constant(kB2 * kB), odd_b, fma(constant(kA2 * kA), odd_a, m[5]));
}

}  // namespace pycnn::PYCNN_ISA::winograd
