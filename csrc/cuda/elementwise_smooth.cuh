// Formulas with an exponential, a logarithm or more: elementary functions, smooth activations,
// losses, powers, and their derivatives.
//
// Numerics   kinks, infinities and NaN as pycnn/providers/reference has them
// Source     the papers are named there
#pragma once

#include "cuda/elementwise_arithmetic.cuh"

namespace pycnn::cuda {

template <class A>
PYCNN_FORMULA A logistic(A x) {
    return 1 / (1 + exp(-x));
}

template <class A>
PYCNN_FORMULA A softplus(A x, A beta, A threshold) {
    const A z = x * beta;
    return z > threshold ? x : log1p(exp(z)) / beta;
}

// log(1 / (1 + exp(-x)))
template <class A>
PYCNN_FORMULA A log_logistic(A x) {
    return (x > 0 ? A(0) : x) - log1p(exp(-fabs(x)));
}

// (1 + erf(x / sqrt(2))) / 2, the normal distribution, without cancellation below 0
template <class A>
PYCNN_FORMULA A normal_distribution(A x) {
    return A(0.5) * erfc(x * A(-0.70710678118654752440));
}

template <class A>
PYCNN_FORMULA A silu_dgrad(A dy, A x) {
    const A s = logistic(x);
    return dy * s * (1 + x * (1 - s));
}

template <class A>
PYCNN_FORMULA A gelu_dgrad(A dy, A x) {
    const A density = exp(x * x * A(-0.5)) * A(0.39894228040143267794);
    return dy * (normal_distribution(x) + x * density);
}

// tanh(sqrt(2/pi) * (x + 0.044715 x^3))
template <class A>
PYCNN_FORMULA A tanh_of_cubic(A x) {
    return tanh(A(0.79788456080286535588) * (x + A(0.044715) * x * x * x));
}
template <class A>
PYCNN_FORMULA A gelu_tanh_dgrad(A dy, A x) {
    const A t = tanh_of_cubic(x);
    const A slope = A(0.79788456080286535588) * (1 + A(0.134145) * x * x);
    return dy * ((1 + t) * A(0.5) + x * A(0.5) * (1 - t * t) * slope);
}

template <class A>
PYCNN_FORMULA A mish_dgrad(A dy, A x) {
    const A t = tanh(softplus(x, A(1), A(20)));
    return dy * (t + x * logistic(x) * (1 - t * t));
}

template <class A>
PYCNN_FORMULA A glu_gate_dgrad(A dy, A a, A gate) {
    const A s = logistic(gate);
    return dy * a * s * (1 - s);
}

// Binary cross entropy stops its logarithms at -100.
template <class A>
PYCNN_FORMULA A floored(A logarithm) {
    return logarithm < -100 ? A(-100) : logarithm;
}

struct SmoothOfOne {
    static constexpr int kArrays = 1, kWidest = 8;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP(1, "exp", (A x), exp(x))
        PYCNN_OP(1, "exp2", (A x), exp2(x))
        PYCNN_OP(1, "expm1", (A x), expm1(x))
        PYCNN_OP(1, "log", (A x), log(x))
        PYCNN_OP(1, "log1p", (A x), log1p(x))
        PYCNN_OP(1, "log2", (A x), log2(x))
        PYCNN_OP(1, "log10", (A x), log10(x))
        PYCNN_OP(1, "tanh", (A x), tanh(x))
        PYCNN_OP(1, "sigmoid", (A x), logistic(x))
        PYCNN_OP(1, "erf", (A x), erf(x))
        PYCNN_OP(1, "elu", (A x, A alpha, A scale, A input_scale),
                 x > 0 ? x * scale : expm1(x * input_scale) * (alpha * scale))
        PYCNN_OP(1, "silu", (A x), x * logistic(x))
        PYCNN_OP(1, "gelu", (A x), x * normal_distribution(x))
        PYCNN_OP(1, "gelu_tanh", (A x), x * A(0.5) * (1 + tanh_of_cubic(x)))
        PYCNN_OP(1, "softplus", (A x, A beta, A threshold), softplus(x, beta, threshold))
        PYCNN_OP(1, "mish", (A x), x * tanh(softplus(x, A(1), A(20))))
        PYCNN_OP(1, "logsigmoid", (A x), log_logistic(x))
    }
};

struct SmoothOfTwo {
    static constexpr int kArrays = 2, kWidest = 8;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP(2, "erf_dgrad", (A dy, A x), dy * A(1.12837916709551257390) * exp(-x * x))
        PYCNN_OP(2, "elu_dgrad", (A dy, A x, A alpha, A scale, A input_scale),
                 dy * (x > 0 ? scale : exp(x * input_scale) * (alpha * scale * input_scale)))
        PYCNN_OP(2, "silu_dgrad", (A dy, A x), silu_dgrad(dy, x))
        PYCNN_OP(2, "gelu_dgrad", (A dy, A x), gelu_dgrad(dy, x))
        PYCNN_OP(2, "gelu_tanh_dgrad", (A dy, A x), gelu_tanh_dgrad(dy, x))
        PYCNN_OP(2, "softplus_dgrad", (A dy, A x, A beta, A threshold),
                 x * beta > threshold ? dy : dy * logistic(x * beta))
        PYCNN_OP(2, "mish_dgrad", (A dy, A x), mish_dgrad(dy, x))
        PYCNN_OP(2, "logsigmoid_dgrad", (A dy, A x), dy * logistic(-x))
        PYCNN_OP(2, "glu", (A a, A gate), a * logistic(gate))

        // losses: x the prediction, t its target
        PYCNN_OP(2, "binary_cross_entropy", (A x, A t),
                 (t - 1) * floored(log1p(-x)) - t * floored(log(x)))
        PYCNN_OP(2, "binary_cross_entropy_with_logits", (A x, A t), (1 - t) * x - log_logistic(x))
        PYCNN_OP(2, "kl_div", (A x, A t), (t == 0 ? A(0) : t * log(t)) - t * x)
        PYCNN_OP(2, "kl_div_log", (A x, A t), exp(t) * (t - x))
    }
};

struct SmoothOfMore {
    static constexpr int kArrays = 4, kWidest = 4;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP(3, "logsumexp_dgrad", (A dy, A x, A y), dy * exp(x - y))
        PYCNN_OP(3, "glu_gate_dgrad", (A dy, A a, A gate), glu_gate_dgrad(dy, a, gate))

        PYCNN_OP(3, "binary_cross_entropy_dgrad_b", (A dy, A x, A), dy * (log1p(-x) - log(x)))
        PYCNN_OP(3, "binary_cross_entropy_with_logits", (A x, A t, A p),
                 (1 - t) * x - ((p - 1) * t + 1) * log_logistic(x))
        PYCNN_OP(3, "binary_cross_entropy_with_logits_dgrad_a", (A dy, A x, A t),
                 dy * (logistic(x) - t))
        PYCNN_OP(4, "binary_cross_entropy_with_logits_dgrad_a", (A dy, A x, A t, A p),
                 dy * ((p * t + 1 - t) * logistic(x) - p * t))
        PYCNN_OP(4, "binary_cross_entropy_with_logits_dgrad_b", (A dy, A x, A, A p),
                 dy * (log_logistic(-x) - p * log_logistic(x)))
        PYCNN_OP(3, "kl_div_dgrad_b", (A dy, A x, A t), dy * (log(t) + t / t - x))
        PYCNN_OP(3, "kl_div_log_dgrad_a", (A dy, A, A t), -exp(t) * dy)
        PYCNN_OP(3, "kl_div_log_dgrad_b", (A dy, A x, A t), dy * (exp(t) * (t - x + 1)))
    }
};

// --- the longest --------------------------------------------------------------------------------

template <class A>
PYCNN_FORMULA A power_slope(A dy, A a, A b) {  // of a^b, in a
    return b == 0 ? A(0) : dy * (b * pow(a, b - 1));
}
template <class A>
PYCNN_FORMULA A exponent_slope(A dy, A a, A b) {  // of a^b, in b
    return a == 0 && b >= 0 ? A(0) : dy * (pow(a, b) * log(a));
}

// floor(a / b), exact: from the remainder, as Python and NumPy do it.
template <class A>
PYCNN_FORMULA A floor_quotient(A a, A b) {
    if (b == 0) return a / b;
    const A rest = fmod(a, b);
    A quotient = (a - rest) / b;
    if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
    if (quotient == 0) return copysign(A(0), a / b);
    const A below = floor(quotient);
    return quotient - below > A(0.5) ? below + 1 : below;
}
// What is left of a then; the sign is b's.
template <class A>
PYCNN_FORMULA A floor_remainder(A a, A b) {
    const A rest = fmod(a, b);
    if (rest == 0) return copysign(A(0), b);
    return (b < 0) != (rest < 0) ? rest + b : rest;
}

struct Powers {
    static constexpr int kArrays = 3, kWidest = 4;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP(2, "pow", (A a, A b), pow(a, b))
        PYCNN_OP(3, "pow_dgrad_a", (A dy, A a, A b), power_slope(dy, a, b))
        PYCNN_OP(3, "pow_dgrad_b", (A dy, A a, A b), exponent_slope(dy, a, b))
        PYCNN_OP(1, "pow_scalar", (A x, A exponent), pow(x, exponent))
        PYCNN_OP(2, "pow_scalar_dgrad", (A dy, A x, A exponent), power_slope(dy, x, exponent))
        PYCNN_OP(1, "rpow_scalar", (A x, A base), pow(base, x))
        PYCNN_OP(2, "rpow_scalar_dgrad", (A dy, A x, A base), exponent_slope(dy, base, x))
        PYCNN_OP(3, "norm_power_dgrad", (A dy, A x, A y, A p),
                 x == 0 || y == 0 ? A(0) : dy * (sign_of(x) * pow(fabs(x) / y, p - 1)))
        PYCNN_OP(2, "floor_divide", (A a, A b), floor_quotient(a, b))
        PYCNN_OP(2, "remainder", (A a, A b), floor_remainder(a, b))
    }
};

// The reduction of a very large argument keeps a table in local memory: a kernel of its own.
struct Periodic {
    static constexpr int kArrays = 2, kWidest = 4;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP(1, "sin", (A x), sin(x))
        PYCNN_OP(2, "sin_dgrad", (A dy, A x), dy * cos(x))
        PYCNN_OP(1, "cos", (A x), cos(x))
        PYCNN_OP(2, "cos_dgrad", (A dy, A x), dy * -sin(x))
    }
};

}  // namespace pycnn::cuda
