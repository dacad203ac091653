"""What the reductions are made of: what an element is mapped to, how two are combined, what is made
of the result.

A map takes x, the center of its output where the op has one (the mean, the largest element) and
the op's number; it returns the accumulator's dtype. A combination is named and has a neutral
element, which stands for what lies outside the array.
"""

import triton
import triton.language as tl

from . import functions

# --- maps -----------------------------------------------------------------------------------------


@triton.jit
def itself(x, center, number, ACC: tl.constexpr):
    return x.to(ACC)


@triton.jit
def nonzero(x, center, number, ACC: tl.constexpr):
    return (x != 0).to(ACC)


@triton.jit
def size(x, center, number, ACC: tl.constexpr):
    return tl.abs(x).to(ACC)


@triton.jit
def square(x, center, number, ACC: tl.constexpr):
    wide = x.to(ACC)
    return wide * wide


@triton.jit
def power(x, center, number, ACC: tl.constexpr):
    return functions.pow(tl.abs(x).to(ACC), number)


@triton.jit
def squared_deviation(x, center, number, ACC: tl.constexpr):
    deviation = x.to(ACC) - center
    return deviation * deviation


@triton.jit
def exponential(x, center, number, ACC: tl.constexpr):
    return tl.exp(x - center).to(ACC)


# --- combinations ---------------------------------------------------------------------------------


@triton.jit
def neutral(COMBINE: tl.constexpr, ACC: tl.constexpr):
    """The element that changes no other."""
    if COMBINE == "sum":
        value = tl.full((1, 1), 0, ACC)
    elif COMBINE == "product":
        value = tl.full((1, 1), 1, ACC)
    else:
        value = lowest(ACC)
        if COMBINE == "min":
            value = -(value + 1) if ACC.is_int() else -value
    return value


@triton.jit
def lowest(ACC: tl.constexpr):
    """No number of this dtype is lower."""
    if ACC.is_int():
        value = tl.full((1, 1), 1, ACC) << (ACC.primitive_bitwidth - 1)
    else:
        value = tl.full((1, 1), float("-inf"), ACC)
    return value


@triton.jit
def combined(a, b, COMBINE: tl.constexpr):
    if COMBINE == "sum":
        value = a + b
    elif COMBINE == "product":
        value = a * b
    elif COMBINE == "max":
        value = functions.maximum(b, a)
    else:
        value = functions.minimum(b, a)
    return value


@triton.jit
def folded(
    acc, ROWS: tl.constexpr, COLS: tl.constexpr, LOG_COLS: tl.constexpr, COMBINE: tl.constexpr
):
    """acc (ROWS, COLS) combined along its columns: (ROWS,)."""
    if COMBINE == "sum":
        value = tl.sum(acc, 1)
    elif COMBINE == "product":
        for i in tl.static_range(LOG_COLS):
            left, right = tl.split(tl.reshape(acc, (ROWS, COLS >> (i + 1), 2)))
            acc = left * right
        value = tl.reshape(acc, (ROWS,))
    else:
        # tl.max and tl.min drop NaN
        nan = acc != acc
        known = tl.where(nan, neutral(COMBINE, acc.dtype), acc)
        value = tl.max(known, 1) if COMBINE == "max" else tl.min(known, 1)
        if acc.dtype.is_floating():
            value = tl.where(tl.max(nan.to(tl.int32), 1) != 0, float("nan"), value)
    return value


# --- finishes -------------------------------------------------------------------------------------


@triton.jit
def kept(total, center, number):
    return total


@triton.jit
def quotient(total, center, number):
    return total.to(tl.float64) / number


@triton.jit
def root(total, center, number):
    return tl.sqrt(total)


@triton.jit
def root_of_quotient(total, center, number):
    return tl.sqrt(total / number)


@triton.jit
def root_of_power(total, center, number):
    return functions.pow(total, 1.0 / number)


@triton.jit
def logarithm(total, center, number):
    return center + tl.log(total)


@triton.jit
def finite(total, center, number):
    """0 in place of an infinity or NaN."""
    return tl.where(tl.abs(total) < float("inf"), total, 0.0)
