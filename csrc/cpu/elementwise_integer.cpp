// The elementwise ops of integers and bools, computed in 64 bits.
//
// Numerics   what is stored is the result modulo the dtype's range, so narrower dtypes wrap as they
//            would by themselves; a bool is 0 or 1, and true where the result is not 0. Division by
//            0 gives 0.
#include "cpu/elementwise_table.h"

namespace pycnn::PYCNN_ISA {
namespace {

using T = int64_t;
using V = int64_t;  // a formula of integers takes single ones

int64_t wrapped(uint64_t bits) { return static_cast<int64_t>(bits); }
uint64_t bits(int64_t value) { return static_cast<uint64_t>(value); }

int64_t plus(int64_t a, int64_t b) { return wrapped(bits(a) + bits(b)); }
int64_t minus(int64_t a, int64_t b) { return wrapped(bits(a) - bits(b)); }
int64_t times(int64_t a, int64_t b) { return wrapped(bits(a) * bits(b)); }

int64_t trunc_quotient(int64_t a, int64_t b) {
    if (b == 0) return 0;
    return b == -1 ? minus(0, a) : a / b;
}
int64_t floor_quotient(int64_t a, int64_t b) {
    const int64_t quotient = trunc_quotient(a, b);
    return (a < 0) != (b < 0) && times(quotient, b) != a ? quotient - 1 : quotient;
}
int64_t floor_remainder(int64_t a, int64_t b) {
    return b == 0 ? 0 : minus(a, times(floor_quotient(a, b), b));
}

// Of a negative exponent only the powers of 1 and -1 are integers; the others are 0.
int64_t power(int64_t a, int64_t b) {
    if (b < 0) return a == 1 || a == -1 ? (b & 1 ? a : 1) : 0;
    int64_t result = 1;
    for (; b > 0; b >>= 1) {
        if (b & 1) result = times(result, a);
        a = times(a, a);
    }
    return result;
}

OpTable integer_table() {
    OpTable table;
    table.cost = 0.5;
    PYCNN_OP(1, "neg", (V x), minus(0, x))
    PYCNN_OP(1, "abs", (V x), x < 0 ? minus(0, x) : x)
    PYCNN_OP(1, "square", (V x), times(x, x))
    PYCNN_OP(1, "sign", (V x), V{x > 0} - V{x < 0})
    for (const char* same : {"floor", "ceil", "trunc", "round"}) PYCNN_OP(1, same, (V x), x)
    PYCNN_OP(1, "isnan", (V x), (static_cast<void>(x), false))
    PYCNN_OP(1, "isinf", (V x), (static_cast<void>(x), false))
    PYCNN_OP(1, "isfinite", (V x), (static_cast<void>(x), true))
    PYCNN_OP(1, "logical_not", (V x), x == 0)
    PYCNN_OP(1, "bitwise_not", (V x), ~x)
    PYCNN_OP(1, "relu", (V x), x > 0 ? x : 0)
    PYCNN_OP(1, "relu6", (V x), x > 6 ? 6 : x > 0 ? x : 0)
    PYCNN_OP(1, "hardtanh", (V x, V low, V high), std::min(std::max(x, low), high))
    PYCNN_OP(1, "clamp", (V x, V low, V high), std::min(std::max(x, low), high))
    PYCNN_OP(1, "clamp_min", (V x, V low), std::max(x, low))
    PYCNN_OP(1, "clamp_max", (V x, V high), std::min(x, high))
    PYCNN_OP(2, "masked_fill", (V x, V mask, V value), mask != 0 ? value : x)
    PYCNN_OP(3, "where", (V condition, V a, V b), condition != 0 ? a : b)

    PYCNN_OP_AND_SCALAR("add", plus(a, b))
    PYCNN_OP(2, "add", (V a, V b, V alpha), plus(a, times(alpha, b)))
    PYCNN_OP(2, "sub", (V a, V b), minus(a, b))
    PYCNN_OP(1, "rsub_scalar", (V x, V number), minus(number, x))
    PYCNN_OP_AND_SCALAR("mul", times(a, b))
    PYCNN_OP(2, "floor_divide", (V a, V b), floor_quotient(a, b))
    PYCNN_OP(2, "trunc_divide", (V a, V b), trunc_quotient(a, b))
    PYCNN_OP(2, "remainder", (V a, V b), floor_remainder(a, b))
    PYCNN_OP(2, "pow", (V a, V b), power(a, b))
    PYCNN_OP(1, "pow_scalar", (V x, V exponent), power(x, exponent))
    PYCNN_OP(1, "rpow_scalar", (V x, V base), power(base, x))
    PYCNN_OP(2, "maximum", (V a, V b), std::max(a, b))
    PYCNN_OP(2, "minimum", (V a, V b), std::min(a, b))
    PYCNN_OP_AND_SCALAR("eq", a == b)
    PYCNN_OP_AND_SCALAR("ne", a != b)
    PYCNN_OP_AND_SCALAR("lt", a < b)
    PYCNN_OP_AND_SCALAR("le", a <= b)
    PYCNN_OP_AND_SCALAR("gt", a > b)
    PYCNN_OP_AND_SCALAR("ge", a >= b)
    PYCNN_OP(2, "logical_and", (V a, V b), (a != 0) & (b != 0))
    PYCNN_OP(2, "logical_or", (V a, V b), (a != 0) | (b != 0))
    PYCNN_OP(2, "logical_xor", (V a, V b), (a != 0) != (b != 0))
    PYCNN_OP(2, "bitwise_and", (V a, V b), a & b)
    PYCNN_OP(2, "bitwise_or", (V a, V b), a | b)
    PYCNN_OP(2, "bitwise_xor", (V a, V b), a ^ b)
    return table;
}

}  // namespace

const OpTable& integer_ops() {
    static const OpTable table = integer_table();
    return table;
}

}  // namespace pycnn::PYCNN_ISA
