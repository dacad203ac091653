// Formulas of integers and truth values, computed in 64 bits.
//
// Numerics   what is stored is the result modulo the dtype's range, so narrower dtypes wrap as they
//            would by themselves; a truth value is 0 or 1, and true where the result is not 0.
//            Division by 0 gives 0
#pragma once

#include "cuda/elementwise_arithmetic.cuh"

namespace pycnn::cuda {

// int64_t that wraps: the sum of two signed integers must not overflow.
PYCNN_FORMULA int64_t plus(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
PYCNN_FORMULA int64_t minus(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}
PYCNN_FORMULA int64_t times(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

PYCNN_FORMULA int64_t whole_quotient(int64_t a, int64_t b) {
    if (b == 0) return 0;
    return b == -1 ? minus(0, a) : a / b;
}
PYCNN_FORMULA int64_t whole_floor_quotient(int64_t a, int64_t b) {
    const int64_t quotient = whole_quotient(a, b);
    return (a < 0) != (b < 0) && times(quotient, b) != a ? quotient - 1 : quotient;
}
PYCNN_FORMULA int64_t whole_remainder(int64_t a, int64_t b) {
    return b == 0 ? 0 : minus(a, times(whole_floor_quotient(a, b), b));
}

// Of a negative exponent only the powers of 1 and -1 are integers; the others are 0.
PYCNN_FORMULA int64_t whole_power(int64_t a, int64_t b) {
    if (b < 0) return a == 1 || a == -1 ? (b & 1 ? a : 1) : 0;
    int64_t result = 1;
    for (; b > 0; b >>= 1) {
        if (b & 1) result = times(result, a);
        a = times(a, a);
    }
    return result;
}

struct WholeOfOne {
    static constexpr int kArrays = 1, kWidest = 8;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP(1, "neg", (A x), minus(0, x))
        PYCNN_OP(1, "abs", (A x), x < 0 ? minus(0, x) : x)
        PYCNN_OP(1, "square", (A x), times(x, x))
        PYCNN_OP(1, "sign", (A x), sign_of(x))
        PYCNN_OP(1, "floor", (A x), x)
        PYCNN_OP(1, "ceil", (A x), x)
        PYCNN_OP(1, "trunc", (A x), x)
        PYCNN_OP(1, "round", (A x), x)
        PYCNN_OP(1, "isnan", (A), false)
        PYCNN_OP(1, "isinf", (A), false)
        PYCNN_OP(1, "isfinite", (A), true)
        PYCNN_OP(1, "logical_not", (A x), x == 0)
        PYCNN_OP(1, "bitwise_not", (A x), ~x)
        PYCNN_OP(1, "relu", (A x), x > 0 ? x : 0)
        PYCNN_OP(1, "relu6", (A x), clipped(x, A(0), A(6)))
        PYCNN_OP(1, "hardtanh", (A x, A low, A high), least(largest(x, low), high))
        PYCNN_OP(1, "clamp", (A x, A low, A high), least(largest(x, low), high))
        PYCNN_OP(1, "clamp_min", (A x, A low), largest(x, low))
        PYCNN_OP(1, "clamp_max", (A x, A high), least(x, high))
        PYCNN_OP_OF_SCALAR("add", plus(a, b))
        PYCNN_OP_OF_SCALAR("rsub", minus(b, a))
        PYCNN_OP_OF_SCALAR("mul", times(a, b))
        PYCNN_OP_OF_SCALAR("eq", a == b)
        PYCNN_OP_OF_SCALAR("ne", a != b)
        PYCNN_OP_OF_SCALAR("lt", a < b)
        PYCNN_OP_OF_SCALAR("le", a <= b)
        PYCNN_OP_OF_SCALAR("gt", a > b)
        PYCNN_OP_OF_SCALAR("ge", a >= b)
    }
};

struct WholeOfMore {
    static constexpr int kArrays = 3, kWidest = 8;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP(2, "masked_fill", (A x, A mask, A value), mask != 0 ? value : x)
        PYCNN_OP(3, "where", (A condition, A a, A b), condition != 0 ? a : b)
        PYCNN_OP_OF_TWO("add", plus(a, b))
        PYCNN_OP(2, "add", (A a, A b, A alpha), plus(a, times(alpha, b)))
        PYCNN_OP_OF_TWO("sub", minus(a, b))
        PYCNN_OP_OF_TWO("mul", times(a, b))
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
        PYCNN_OP_OF_TWO("bitwise_and", a & b)
        PYCNN_OP_OF_TWO("bitwise_or", a | b)
        PYCNN_OP_OF_TWO("bitwise_xor", a ^ b)
    }
};

// A division of 64 bits is a hundred instructions.
struct WholeQuotients {
    static constexpr int kArrays = 2, kWidest = 1;
    template <class A, class Visit>
    PYCNN_FORMULA static void formulas(Visit&& visit) {
        PYCNN_OP_OF_TWO("floor_divide", whole_floor_quotient(a, b))
        PYCNN_OP_OF_TWO("trunc_divide", whole_quotient(a, b))
        PYCNN_OP_OF_TWO("remainder", whole_remainder(a, b))
        PYCNN_OP_OF_TWO("pow", whole_power(a, b))
        PYCNN_OP(1, "pow_scalar", (A x, A exponent), whole_power(x, exponent))
        PYCNN_OP(1, "rpow_scalar", (A x, A base), whole_power(base, x))
    }
};

}  // namespace pycnn::cuda
