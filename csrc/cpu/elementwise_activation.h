// Formulas of the activations and their derivatives.
//
// Numerics   derivatives at a kink and at NaN as pycnn/providers/reference/activation.py has them;
//            NaN propagates through every forward: max(low, x) is x where x is NaN
// Source     the papers are named there
#pragma once

#include "cpu/elementwise_arithmetic.h"

namespace pycnn::PYCNN_ISA {

template <class V>
PYCNN_INLINE V logistic(V x) {
    return 1 / (1 + exp(-x));
}

template <class V>
PYCNN_INLINE V clipped(V x, double low, double high) {
    return min(constant<V>(high), max(constant<V>(low), x));
}

template <class V>
PYCNN_INLINE V softplus(V x, V beta, V threshold) {
    const V z = x * beta;
    return select(z > threshold, x, log1p(exp(least(z, threshold))) / beta);
}
template <class V>
PYCNN_INLINE V softplus(V x) {
    return select(x > 20, x, log1p(exp(min(constant<V>(20), x))));
}

// log(1 / (1 + exp(-x)))
template <class V>
PYCNN_INLINE V log_logistic(V x) {
    return min(V{}, x) - log1p(exp(-abs(x)));
}

template <class V>
PYCNN_INLINE V silu_dgrad(V dy, V x) {
    const V s = logistic(x);
    return dy * s * (1 + x * (1 - s));
}

template <class V>
PYCNN_INLINE V gelu_dgrad(V dy, V x) {
    const V density = exp(x * x * Lane<V>(-0.5)) * Lane<V>(0.39894228040143267794);
    return dy * (normal_distribution(x) + x * density);
}

// tanh(sqrt(2/pi) * (x + 0.044715 x^3))
template <class V>
PYCNN_INLINE V tanh_of_cubic(V x) {
    using T = Lane<V>;
    return tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x));
}
template <class V>
PYCNN_INLINE V gelu_tanh_dgrad(V dy, V x) {
    using T = Lane<V>;
    const V t = tanh_of_cubic(x);
    const V slope = T(0.79788456080286535588) * (1 + T(0.134145) * x * x);
    return dy * ((1 + t) * T(0.5) + x * T(0.5) * (1 - t * t) * slope);
}

template <class V>
PYCNN_INLINE V mish_dgrad(V dy, V x) {
    const V t = tanh(softplus(x));
    return dy * (t + x * logistic(x) * (1 - t * t));
}

template <class V>
PYCNN_INLINE V softsign_dgrad(V dy, V x) {
    const V d = 1 + abs(x);
    return dy / d / d;
}

template <class V>
PYCNN_INLINE V glu_gate_dgrad(V dy, V a, V gate) {
    const V s = logistic(gate);
    return dy * a * s * (1 - s);
}

template <class T>
void add_clipping(OpTable& table) {
    using V = Vec<T>;
    PYCNN_OP(1, "relu", (V x), max(V{}, x))
    PYCNN_OP(2, "relu_dgrad", (V dy, V y), select(y <= 0, V{}, dy))
    PYCNN_OP(1, "relu6", (V x), clipped(x, 0, 6))
    PYCNN_OP(2, "relu6_dgrad", (V dy, V y), select((y > 0) & (y < 6), dy, V{}))
    PYCNN_OP(1, "hardtanh", (V x, V low, V high), least(largest(x, low), high))
    PYCNN_OP(2, "hardtanh_dgrad", (V dy, V y, V low, V high),
             select((y > low) & (y < high), dy, V{}))
    PYCNN_OP(1, "leaky_relu", (V x, V slope), select(x > 0, x, x * slope))
    PYCNN_OP(2, "leaky_relu_dgrad", (V dy, V y, V slope), select(y > 0, dy, dy * slope))
    PYCNN_OP(1, "hardsigmoid", (V x), clipped(x + 3, 0, 6) / 6)
    PYCNN_OP(2, "hardsigmoid_dgrad", (V dy, V x), select((x > -3) & (x < 3), dy / 6, V{}))
    PYCNN_OP(1, "hardswish", (V x), x * clipped(x + 3, 0, 6) / 6)
    PYCNN_OP(2, "hardswish_dgrad", (V dy, V x),
             select(x <= -3, V{}, select(x >= 3, dy, dy * (x / 3 + T(0.5)))))
    PYCNN_OP(1, "softsign", (V x), x / (1 + abs(x)))
    PYCNN_OP(2, "softsign_dgrad", (V dy, V x), softsign_dgrad(dy, x))
    PYCNN_OP(2, "prelu", (V x, V weight), select(x > 0, x, weight * x))
    PYCNN_OP(3, "prelu_dgrad", (V dy, V x, V weight), select(x > 0, dy, weight * dy))
    PYCNN_OP(2, "prelu_wgrad", (V dy, V x), select(x > 0, V{}, x * dy))
}

template <class T>
void add_smooth(OpTable& table) {
    using V = Vec<T>;
    PYCNN_OP(1, "elu", (V x, V alpha, V scale, V input_scale),
             select(x > 0, x * scale, expm1(min(V{}, x) * input_scale) * (alpha * scale)))
    PYCNN_OP(
        2, "elu_dgrad", (V dy, V x, V alpha, V scale, V input_scale),
        dy * select(x > 0, scale, exp(min(V{}, x) * input_scale) * (alpha * scale * input_scale)))
    PYCNN_OP(1, "silu", (V x), x * logistic(x))
    PYCNN_OP(2, "silu_dgrad", (V dy, V x), silu_dgrad(dy, x))
    PYCNN_OP(1, "gelu", (V x), x * normal_distribution(x))
    PYCNN_OP(2, "gelu_dgrad", (V dy, V x), gelu_dgrad(dy, x))
    PYCNN_OP(1, "gelu_tanh", (V x), x * T(0.5) * (1 + tanh_of_cubic(x)))
    PYCNN_OP(2, "gelu_tanh_dgrad", (V dy, V x), gelu_tanh_dgrad(dy, x))
    PYCNN_OP(1, "softplus", (V x, V beta, V threshold), softplus(x, beta, threshold))
    PYCNN_OP(2, "softplus_dgrad", (V dy, V x, V beta, V threshold),
             select(x * beta > threshold, dy, dy * logistic(x * beta)))
    PYCNN_OP(1, "mish", (V x), x * tanh(softplus(x)))
    PYCNN_OP(2, "mish_dgrad", (V dy, V x), mish_dgrad(dy, x))
    PYCNN_OP(1, "logsigmoid", (V x), log_logistic(x))
    PYCNN_OP(2, "logsigmoid_dgrad", (V dy, V x), dy * logistic(-x))
    PYCNN_OP(2, "glu", (V a, V gate), a * logistic(gate))
    PYCNN_OP(3, "glu_gate_dgrad", (V dy, V a, V gate), glu_gate_dgrad(dy, a, gate))
}

}  // namespace pycnn::PYCNN_ISA
