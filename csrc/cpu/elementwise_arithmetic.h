// Formulas of arithmetic, comparisons and elementary functions, and of the gradients of reductions.
//
// Numerics   NaN, ties and kinks as pycnn/providers/reference/elementwise.py has them
#pragma once

#include "cpu/elementwise_table.h"

namespace pycnn::PYCNN_ISA {

// --- what the formulas share ---------------------------------------------------------------------

// NaN if either is.
template <class V>
PYCNN_INLINE V largest(V a, V b) {
    return select(a != a, a, max(a, b));
}
template <class V>
PYCNN_INLINE V least(V a, V b) {
    return select(a != a, a, min(a, b));
}

template <class V>
PYCNN_INLINE V constant(double value) {
    return broadcast<Lane<V>>(static_cast<Lane<V>>(value));
}

template <class V>
PYCNN_INLINE V sign(V x) {
    return select(x > 0, constant<V>(1), select(x < 0, constant<V>(-1), V{}));
}

// To the nearest integer, ties to even; what is large, infinite or NaN is its own.
template <class V>
PYCNN_INLINE V round_even(V x) {
    const V a = abs(x);
    const V limit = constant<V>(sizeof(x[0]) == 4 ? 0x1p22 : 0x1p51);
    V rounded = nearest(a).value;
    // between 2^22 and 2^23 a half fits in the mantissa, but the sum of nearest() does not
    const V magic = constant<V>(sizeof(x[0]) == 4 ? 0x1p23 : 0x1p52);
    rounded = select(a < limit, rounded, (a + magic) - magic);
    return select(a < magic, copysign(rounded, x), x);
}
template <class V>
PYCNN_INLINE V floor(V x) {
    const V r = round_even(x);
    return copysign(select(r > x, r - 1, r), x);
}
template <class V>
PYCNN_INLINE V ceil(V x) {
    const V r = round_even(x);
    return copysign(select(r < x, r + 1, r), x);
}
template <class V>
PYCNN_INLINE V trunc(V x) {
    return copysign(floor(abs(x)), x);
}

// floor(a / b), exact: from the remainder, as Python and NumPy do it.
template <class T>
T floor_quotient(T a, T b) {
    if (b == 0) return a / b;
    const T rest = std::fmod(a, b);
    T quotient = (a - rest) / b;
    if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
    if (quotient == 0) return std::copysign(T{0}, a / b);
    const T below = std::floor(quotient);
    return quotient - below > static_cast<T>(0.5) ? below + 1 : below;
}
// What is left of a then; the sign is b's.
template <class T>
T floor_remainder(T a, T b) {
    const T rest = std::fmod(a, b);
    if (rest == 0) return std::copysign(T{0}, b);
    return (b < 0) != (rest < 0) ? rest + b : rest;
}
template <class V, class F>
PYCNN_INLINE V lanes_of_both(V a, V b, F&& function) {
    for (size_t i = 0; i < sizeof(a) / sizeof(a[0]); ++i) a[i] = function(a[i], b[i]);
    return a;
}

template <class V>
PYCNN_INLINE V pow_dgrad_a(V dy, V a, V b) {
    return select(b == 0, V{}, dy * (b * pow(a, b - 1)));
}
template <class V>
PYCNN_INLINE V pow_dgrad_b(V dy, V a, V b) {
    return select((a == 0) & (b >= 0), V{}, dy * (pow(a, b) * log(a)));
}
template <class V>
PYCNN_INLINE V maximum_dgrad_a(V dy, V a, V b) {
    return select(a < b, V{}, select(a == b, dy / 2, dy));
}

// --- the rows ------------------------------------------------------------------------------------

template <class T>
void add_arithmetic(OpTable& table) {
    using V = Vec<T>;
    constexpr T kInfinity = std::numeric_limits<T>::infinity();

    PYCNN_OP(1, "neg", (V x), -x)
    PYCNN_OP(1, "abs", (V x), abs(x))
    PYCNN_OP(2, "abs_dgrad", (V dy, V x), dy * sign(x))
    PYCNN_OP(2, "exp_dgrad", (V dy, V y), dy * y)
    PYCNN_OP(2, "exp2_dgrad", (V dy, V y), dy * y * T(0.69314718055994530942))
    PYCNN_OP(2, "expm1_dgrad", (V dy, V y), dy * (y + 1))
    PYCNN_OP(2, "log_dgrad", (V dy, V x), dy / x)
    PYCNN_OP(2, "log1p_dgrad", (V dy, V x), dy / (x + 1))
    PYCNN_OP(2, "log2_dgrad", (V dy, V x), dy / (x * T(0.69314718055994530942)))
    PYCNN_OP(2, "log10_dgrad", (V dy, V x), dy / (x * T(2.30258509299404568402)))
    PYCNN_OP(1, "sqrt", (V x), sqrt(x))
    PYCNN_OP(2, "sqrt_dgrad", (V dy, V y), dy / (2 * y))
    PYCNN_OP(1, "rsqrt", (V x), 1 / sqrt(x))
    PYCNN_OP(2, "rsqrt_dgrad", (V dy, V y), dy * (y * y * y) * T(-0.5))
    PYCNN_OP(1, "reciprocal", (V x), 1 / x)
    PYCNN_OP(2, "reciprocal_dgrad", (V dy, V y), -dy * (y * y))
    PYCNN_OP(1, "square", (V x), x * x)
    PYCNN_OP(2, "square_dgrad", (V dy, V x), dy * (2 * x))
    PYCNN_OP(2, "tanh_dgrad", (V dy, V y), dy * (1 - y * y))
    PYCNN_OP(2, "sigmoid_dgrad", (V dy, V y), dy * ((1 - y) * y))
    PYCNN_OP(1, "floor", (V x), floor(x))
    PYCNN_OP(1, "ceil", (V x), ceil(x))
    PYCNN_OP(1, "trunc", (V x), trunc(x))
    PYCNN_OP(1, "round", (V x), round_even(x))
    PYCNN_OP(1, "isnan", (V x), x != x)
    PYCNN_OP(1, "isinf", (V x), abs(x) == kInfinity)
    PYCNN_OP(1, "isfinite", (V x), abs(x) < kInfinity)
    PYCNN_OP(1, "logical_not", (V x), x == 0)
    PYCNN_OP(1, "sign", (V x), sign(x))

    PYCNN_OP(1, "clamp", (V x, V low, V high), least(largest(x, low), high))
    PYCNN_OP(2, "clamp_dgrad", (V dy, V x, V low, V high),
             select((x >= low) & (x <= high), dy, V{}))
    PYCNN_OP(1, "clamp_min", (V x, V low), largest(x, low))
    PYCNN_OP(2, "clamp_min_dgrad", (V dy, V x, V low), select(x >= low, dy, V{}))
    PYCNN_OP(1, "clamp_max", (V x, V high), least(x, high))
    PYCNN_OP(2, "clamp_max_dgrad", (V dy, V x, V high), select(x <= high, dy, V{}))
    PYCNN_OP(2, "masked_fill", (V x, V mask, V value), select(mask != 0, value, x))
    PYCNN_OP(3, "where", (V condition, V a, V b), select(condition != 0, a, b))

    PYCNN_OP_AND_SCALAR("add", a + b)
    PYCNN_OP(2, "add", (V a, V b, V alpha), a + alpha * b)
    PYCNN_OP(2, "sub", (V a, V b), a - b)
    PYCNN_OP_AND_SCALAR("mul", a * b)
    PYCNN_OP_AND_SCALAR("div", a / b)
    PYCNN_OP(3, "div_dgrad_b", (V dy, V a, V b), -dy * ((a / b) / b))
    PYCNN_OP(2, "trunc_divide", (V a, V b), trunc(a / b))
    PYCNN_OP(2, "maximum", (V a, V b), largest(a, b))
    PYCNN_OP(2, "minimum", (V a, V b), least(a, b))
    PYCNN_OP_AND_SCALAR("eq", a == b)
    PYCNN_OP_AND_SCALAR("ne", a != b)
    PYCNN_OP_AND_SCALAR("lt", a < b)
    PYCNN_OP_AND_SCALAR("le", a <= b)
    PYCNN_OP_AND_SCALAR("gt", a > b)
    PYCNN_OP_AND_SCALAR("ge", a >= b)
    PYCNN_OP(2, "logical_and", (V a, V b), (a != 0) & (b != 0))
    PYCNN_OP(2, "logical_or", (V a, V b), (a != 0) | (b != 0))
    PYCNN_OP(2, "logical_xor", (V a, V b), (a != 0) ^ (b != 0))
    PYCNN_OP(3, "maximum_dgrad_a", (V dy, V a, V b), maximum_dgrad_a(dy, a, b))
    PYCNN_OP(3, "maximum_dgrad_b", (V dy, V a, V b), maximum_dgrad_a(dy, b, a))
    PYCNN_OP(3, "minimum_dgrad_a", (V dy, V a, V b), maximum_dgrad_a(dy, b, a))
    PYCNN_OP(3, "minimum_dgrad_b", (V dy, V a, V b), maximum_dgrad_a(dy, a, b))
    PYCNN_OP(1, "rsub_scalar", (V x, V number), number - x)
    PYCNN_OP(1, "rdiv_scalar", (V x, V number), number / x)
    PYCNN_OP(2, "rdiv_scalar_dgrad", (V dy, V x, V number), -dy * ((number / x) / x))

    // of reductions: dy and the result, broadcast back over the reduced axes
    PYCNN_OP(4, "prod_dgrad", (V dy, V x, V product, V zeros),
             dy * select(zeros == 0, product / x, select((zeros == 1) & (x == 0), product, V{})))
    PYCNN_OP(3, "var_dgrad", (V dy, V x, V mean, V scale), dy * (scale * (x - mean)))
    PYCNN_OP(4, "std_dgrad", (V dy, V x, V mean, V std, V scale),
             select(std == 0, V{}, dy / (2 * std)) * (scale * (x - mean)))
    PYCNN_OP(3, "norm_dgrad", (V dy, V x, V y), select(y == 0, V{}, dy * (x / y)))
    PYCNN_OP(3, "norm1_dgrad", (V dy, V x, V y), (static_cast<void>(y), dy * sign(x)))

    // of batch normalisation
    PYCNN_OP(1, "invstd", (V m2, V count, V eps), 1 / sqrt(m2 / count + eps))
    PYCNN_OP(2, "running_update", (V running, V latest, V momentum, V divisor),
             (1 - momentum) * running + momentum * (latest / divisor))
}

template <class T>
void add_elementary(OpTable& table) {
    using V = Vec<T>;
    PYCNN_OP(1, "exp", (V x), exp(x))
    PYCNN_OP(1, "exp2", (V x), exp2(x))
    PYCNN_OP(1, "expm1", (V x), expm1(x))
    PYCNN_OP(1, "log", (V x), log(x))
    PYCNN_OP(1, "log1p", (V x), log1p(x))
    PYCNN_OP(1, "log2", (V x), log2(x))
    PYCNN_OP(1, "log10", (V x), log10(x))
    PYCNN_OP(1, "sin", (V x), sin(x))
    PYCNN_OP(2, "sin_dgrad", (V dy, V x), dy * cos(x))
    PYCNN_OP(1, "cos", (V x), cos(x))
    PYCNN_OP(2, "cos_dgrad", (V dy, V x), dy * -sin(x))
    PYCNN_OP(1, "tanh", (V x), tanh(x))
    PYCNN_OP(1, "sigmoid", (V x), 1 / (1 + exp(-x)))
    PYCNN_OP(1, "erf", (V x), erf(x))
    PYCNN_OP(2, "erf_dgrad", (V dy, V x), dy * T(1.12837916709551257390) * exp(-x * x))
    PYCNN_OP(3, "logsumexp_dgrad", (V dy, V x, V y), dy * exp(x - y))
    PYCNN_OP(2, "pow", (V a, V b), pow(a, b))
    PYCNN_OP(3, "pow_dgrad_a", (V dy, V a, V b), pow_dgrad_a(dy, a, b))
    PYCNN_OP(3, "pow_dgrad_b", (V dy, V a, V b), pow_dgrad_b(dy, a, b))
    PYCNN_OP(1, "pow_scalar", (V x, V exponent), pow(x, exponent))
    PYCNN_OP(2, "pow_scalar_dgrad", (V dy, V x, V exponent), pow_dgrad_a(dy, x, exponent))
    PYCNN_OP(1, "rpow_scalar", (V x, V base), pow(base, x))
    PYCNN_OP(2, "rpow_scalar_dgrad", (V dy, V x, V base), pow_dgrad_b(dy, base, x))
    PYCNN_OP(3, "norm_power_dgrad", (V dy, V x, V y, V p),
             select((x == 0) | (y == 0), V{}, dy * (sign(x) * pow(abs(x) / y, p - 1))))
    PYCNN_OP(2, "floor_divide", (V a, V b), lanes_of_both(a, b, floor_quotient<T>))
    PYCNN_OP(2, "remainder", (V a, V b), lanes_of_both(a, b, floor_remainder<T>))
}

}  // namespace pycnn::PYCNN_ISA
