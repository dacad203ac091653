// Formulas of arithmetic and comparisons, of the activations that need no more, and of the
// gradients of reductions.
//
// Numerics   NaN, ties and kinks as pycnn/providers/reference has them: elementwise.py,
//            activation.py, loss.py
#pragma once

#include <math.h>

#include "cuda/elementwise_table.cuh"

namespace pycnn::cuda {

// NaN if either is.
template <class A>
PYCNN_FORMULA A largest(A a, A b) {
    return a != a || a > b ? a : b;
}
template <class A>
PYCNN_FORMULA A least(A a, A b) {
    return a != a || a < b ? a : b;
}

template <class A>
PYCNN_FORMULA A sign_of(A x) {
    return x > 0 ? A(1) : x < 0 ? A(-1) : A(0);
}

// NaN stays.
template <class A>
PYCNN_FORMULA A clipped(A x, A low, A high) {
    return x < low ? low : x > high ? high : x;
}

template <class A>
PYCNN_FORMULA A tie_gradient(A dy, A a, A b) {  // of maximum(a, b), in a
    return a < b ? A(0) : a == b ? dy / 2 : dy;
}

template <class A>
PYCNN_FORMULA A small_or(A z, A edge, A small, A large) {
    return z < edge ? small : large;
}

// --- alone in their kernels: what training runs most ---------------------------------------------

struct Copying {
    static constexpr int kArrays = 1, kWidest = 8;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP(1, "copy", (A x), x)
    }
};

struct Addition {
    static constexpr int kArrays = 2, kWidest = 8;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP_OF_TWO("add", a + b)
    }
};

struct Multiplication {
    static constexpr int kArrays = 2, kWidest = 8;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP_OF_TWO("mul", a * b)
    }
};

struct Relu {
    static constexpr int kArrays = 1, kWidest = 8;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP(1, "relu", (A x), x < 0 ? A(0) : x)
    }
};

struct ReluGradient {
    static constexpr int kArrays = 2, kWidest = 8;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP(2, "relu_dgrad", (A dy, A y), y <= 0 ? A(0) : dy)
    }
};

// --- together ---------------------------------------------------------------------------------

struct ArithmeticOfOne {
    static constexpr int kArrays = 1, kWidest = 8;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP(1, "neg", (A x), -x)
        PYCNN_OP(1, "abs", (A x), fabs(x))
        PYCNN_OP(1, "sign", (A x), sign_of(x))
        PYCNN_OP(1, "square", (A x), x * x)
        PYCNN_OP(1, "sqrt", (A x), sqrt(x))
        PYCNN_OP(1, "rsqrt", (A x), 1 / sqrt(x))
        PYCNN_OP(1, "reciprocal", (A x), 1 / x)
        PYCNN_OP(1, "floor", (A x), floor(x))
        PYCNN_OP(1, "ceil", (A x), ceil(x))
        PYCNN_OP(1, "trunc", (A x), trunc(x))
        PYCNN_OP(1, "round", (A x), rint(x))
        PYCNN_OP(1, "isnan", (A x), x != x)
        PYCNN_OP(1, "isinf", (A x), fabs(x) == static_cast<A>(INFINITY))
        PYCNN_OP(1, "isfinite", (A x), fabs(x) < static_cast<A>(INFINITY))
        PYCNN_OP(1, "logical_not", (A x), x == 0)

        PYCNN_OP(1, "clamp", (A x, A low, A high), least(largest(x, low), high))
        PYCNN_OP(1, "clamp_min", (A x, A low), largest(x, low))
        PYCNN_OP(1, "clamp_max", (A x, A high), least(x, high))
        PYCNN_OP_OF_SCALAR("add", a + b)
        PYCNN_OP_OF_SCALAR("mul", a * b)
        PYCNN_OP_OF_SCALAR("div", a / b)
        PYCNN_OP_OF_SCALAR("rsub", b - a)
        PYCNN_OP_OF_SCALAR("rdiv", b / a)
        PYCNN_OP_OF_SCALAR("eq", a == b)
        PYCNN_OP_OF_SCALAR("ne", a != b)
        PYCNN_OP_OF_SCALAR("lt", a < b)
        PYCNN_OP_OF_SCALAR("le", a <= b)
        PYCNN_OP_OF_SCALAR("gt", a > b)
        PYCNN_OP_OF_SCALAR("ge", a >= b)
        PYCNN_OP(1, "invstd", (A m2, A count, A eps), 1 / sqrt(m2 / count + eps))

        PYCNN_OP(1, "relu6", (A x), clipped(x, A(0), A(6)))
        PYCNN_OP(1, "hardtanh", (A x, A low, A high), least(largest(x, low), high))
        PYCNN_OP(1, "leaky_relu", (A x, A slope), x > 0 ? x : x * slope)
        PYCNN_OP(1, "hardsigmoid", (A x), clipped(x + 3, A(0), A(6)) / 6)
        PYCNN_OP(1, "hardswish", (A x), x * clipped(x + 3, A(0), A(6)) / 6)
        PYCNN_OP(1, "softsign", (A x), x / (1 + fabs(x)))
    }
};

struct ArithmeticOfTwo {
    static constexpr int kArrays = 2, kWidest = 8;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP(2, "add", (A a, A b, A alpha), a + alpha * b)
        PYCNN_OP_OF_TWO("sub", a - b)
        PYCNN_OP_OF_TWO("div", a / b)
        PYCNN_OP_OF_TWO("trunc_divide", trunc(a / b))
        PYCNN_OP_OF_TWO("maximum", largest(a, b))
        PYCNN_OP_OF_TWO("minimum", least(a, b))
        PYCNN_OP_OF_TWO("eq", a == b)
        PYCNN_OP_OF_TWO("ne", a != b)
        PYCNN_OP_OF_TWO("lt", a < b)
        PYCNN_OP_OF_TWO("le", a <= b)
        PYCNN_OP_OF_TWO("gt", a > b)
        PYCNN_OP_OF_TWO("ge", a >= b)
        PYCNN_OP_OF_TWO("logical_and", a != 0 && b != 0)
        PYCNN_OP_OF_TWO("logical_or", a != 0 || b != 0)
        PYCNN_OP_OF_TWO("logical_xor", (a != 0) != (b != 0))
        PYCNN_OP(2, "masked_fill", (A x, A mask, A value), mask != 0 ? value : x)
        PYCNN_OP(2, "running_update", (A running, A latest, A momentum, A divisor),
                 (1 - momentum) * running + momentum * (latest / divisor))

        PYCNN_OP(2, "abs_dgrad", (A dy, A x), dy * sign_of(x))
        PYCNN_OP(2, "exp_dgrad", (A dy, A y), dy * y)
        PYCNN_OP(2, "exp2_dgrad", (A dy, A y), dy * y * A(0.69314718055994530942))
        PYCNN_OP(2, "expm1_dgrad", (A dy, A y), dy * (y + 1))
        PYCNN_OP(2, "log_dgrad", (A dy, A x), dy / x)
        PYCNN_OP(2, "log1p_dgrad", (A dy, A x), dy / (x + 1))
        PYCNN_OP(2, "log2_dgrad", (A dy, A x), dy / (x * A(0.69314718055994530942)))
        PYCNN_OP(2, "log10_dgrad", (A dy, A x), dy / (x * A(2.30258509299404568402)))
        PYCNN_OP(2, "sqrt_dgrad", (A dy, A y), dy / (2 * y))
        PYCNN_OP(2, "rsqrt_dgrad", (A dy, A y), dy * (y * y * y) * A(-0.5))
        PYCNN_OP(2, "reciprocal_dgrad", (A dy, A y), -dy * (y * y))
        PYCNN_OP(2, "square_dgrad", (A dy, A x), dy * (2 * x))
        PYCNN_OP(2, "tanh_dgrad", (A dy, A y), dy * (1 - y * y))
        PYCNN_OP(2, "sigmoid_dgrad", (A dy, A y), dy * ((1 - y) * y))
        PYCNN_OP(2, "clamp_dgrad", (A dy, A x, A low, A high), x >= low && x <= high ? dy : A(0))
        PYCNN_OP(2, "clamp_min_dgrad", (A dy, A x, A low), x >= low ? dy : A(0))
        PYCNN_OP(2, "clamp_max_dgrad", (A dy, A x, A high), x <= high ? dy : A(0))
        PYCNN_OP(2, "rdiv_scalar_dgrad", (A dy, A x, A number), -dy * ((number / x) / x))

        PYCNN_OP(2, "relu6_dgrad", (A dy, A y), y > 0 && y < 6 ? dy : A(0))
        PYCNN_OP(2, "hardtanh_dgrad", (A dy, A y, A low, A high), y > low && y < high ? dy : A(0))
        PYCNN_OP(2, "leaky_relu_dgrad", (A dy, A y, A slope), y > 0 ? dy : dy * slope)
        PYCNN_OP(2, "hardsigmoid_dgrad", (A dy, A x), x > -3 && x < 3 ? dy / 6 : A(0))
        PYCNN_OP(2, "hardswish_dgrad", (A dy, A x),
                 x <= -3  ? A(0)
                 : x >= 3 ? dy
                          : dy * (x / 3 + A(0.5)))
        PYCNN_OP(2, "softsign_dgrad", (A dy, A x), dy / (1 + fabs(x)) / (1 + fabs(x)))
        PYCNN_OP(2, "prelu", (A x, A weight), x > 0 ? x : weight * x)
        PYCNN_OP(2, "prelu_wgrad", (A dy, A x), x > 0 ? A(0) : x * dy)

        // losses: x the prediction, t its target
        PYCNN_OP(2, "mse", (A x, A t), (x - t) * (x - t))
        PYCNN_OP(
            2, "smooth_l1", (A x, A t, A beta),
            small_or(fabs(x - t), beta, (x - t) * (x - t) / (2 * beta), fabs(x - t) - beta / 2))
        PYCNN_OP(
            2, "huber", (A x, A t, A delta),
            small_or(fabs(x - t), delta, (x - t) * (x - t) / 2, delta * (fabs(x - t) - delta / 2)))
    }
};

struct ArithmeticOfMore {
    static constexpr int kArrays = 4, kWidest = 8;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP(3, "where", (A condition, A a, A b), condition != 0 ? a : b)
        PYCNN_OP(3, "div_dgrad_b", (A dy, A a, A b), -dy * ((a / b) / b))
        PYCNN_OP(3, "maximum_dgrad_a", (A dy, A a, A b), tie_gradient(dy, a, b))
        PYCNN_OP(3, "maximum_dgrad_b", (A dy, A a, A b), tie_gradient(dy, b, a))
        PYCNN_OP(3, "minimum_dgrad_a", (A dy, A a, A b), tie_gradient(dy, b, a))
        PYCNN_OP(3, "minimum_dgrad_b", (A dy, A a, A b), tie_gradient(dy, a, b))
        PYCNN_OP(3, "prelu_dgrad", (A dy, A x, A weight), x > 0 ? dy : weight * dy)

        // of reductions: dy and the result, broadcast back over the reduced axes
        PYCNN_OP(4, "prod_dgrad", (A dy, A x, A product, A zeros),
                 dy * (zeros == 0             ? product / x
                       : zeros == 1 && x == 0 ? product
                                              : A(0)))
        PYCNN_OP(3, "var_dgrad", (A dy, A x, A mean, A scale), dy * (scale * (x - mean)))
        PYCNN_OP(4, "std_dgrad", (A dy, A x, A mean, A std, A scale),
                 (std == 0 ? A(0) : dy / (2 * std)) * (scale * (x - mean)))
        PYCNN_OP(3, "norm_dgrad", (A dy, A x, A y), y == 0 ? A(0) : dy * (x / y))
        PYCNN_OP(3, "norm1_dgrad", (A dy, A x, A), dy * sign_of(x))

        PYCNN_OP(3, "mse_dgrad_a", (A dy, A x, A t), 2 * (x - t) * dy)
        PYCNN_OP(3, "mse_dgrad_b", (A dy, A x, A t), -2 * (x - t) * dy)
        PYCNN_OP(3, "smooth_l1_dgrad_a", (A dy, A x, A t, A beta),
                 dy * clipped((x - t) / beta, A(-1), A(1)))
        PYCNN_OP(3, "smooth_l1_dgrad_b", (A dy, A x, A t, A beta),
                 dy * clipped((t - x) / beta, A(-1), A(1)))
        PYCNN_OP(3, "huber_dgrad_a", (A dy, A x, A t, A delta), dy * clipped(x - t, -delta, delta))
        PYCNN_OP(3, "huber_dgrad_b", (A dy, A x, A t, A delta), dy * clipped(t - x, -delta, delta))
        PYCNN_OP(3, "kl_div_dgrad_a", (A dy, A, A t), -t * dy)
        PYCNN_OP(3, "binary_cross_entropy_dgrad_a", (A dy, A x, A t),
                 dy * (x - t) / largest(A(1e-12), (1 - x) * x))
        PYCNN_OP(3, "binary_cross_entropy_with_logits_dgrad_b", (A dy, A x, A), dy * -x)
    }
};

}  // namespace pycnn::cuda
