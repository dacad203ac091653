"""Formulas of one operand: powers, exponentials, logarithms, rounding, clipping, predicates, and
their gradients."""

import triton
import triton.language as tl

from . import functions
from .activation import sigmoid as stable_sigmoid
from .formulas import INTEGRAL, either, floating, integral

_LN2 = tl.constexpr(0.6931471805599453)
_LN10 = tl.constexpr(2.302585092994046)
_ERF_SLOPE = tl.constexpr(1.1283791670955126)  # 2 / sqrt(pi)


@either
def neg(x):
    return x * -1


@either
def abs_(x):
    return tl.abs(x)


@either
def sign(x):
    return tl.where(x > 0, 1, tl.where(x < 0, -1, 0)).to(x.dtype)


@either
def abs_dgrad(dy, x):
    return dy * sign(x)


@either
def square(x):
    return x * x


@either
def square_dgrad(dy, x):
    return dy * (2 * x)


# --- exponentials ---------------------------------------------------------------------------------


@floating
def exp(x):
    return tl.exp(x)


@floating
def exp_dgrad(dy, y):
    return dy * y


@floating
def exp2(x):
    return tl.exp2(x)


@floating
def exp2_dgrad(dy, y):
    return dy * y * _LN2


@floating
def expm1(x):
    return functions.expm1(x)


@floating
def expm1_dgrad(dy, y):
    return dy * (y + 1.0)


@floating
def tanh(x):
    return functions.tanh(x)


@floating
def tanh_dgrad(dy, y):
    return dy * (1.0 - y * y)


@floating
def sigmoid(x):
    return stable_sigmoid(x)


@floating
def sigmoid_dgrad(dy, y):
    return dy * ((1.0 - y) * y)


@floating
def erf(x):
    return tl.erf(x)


@floating
def erf_dgrad(dy, x):
    return dy * _ERF_SLOPE * tl.exp(-x * x)


# --- logarithms -----------------------------------------------------------------------------------


@floating
def log(x):
    return tl.log(x)


@floating
def log_dgrad(dy, x):
    return dy / x


@floating
def log1p(x):
    return functions.log1p(x)


@floating
def log1p_dgrad(dy, x):
    return dy / (x + 1.0)


@floating
def log2(x):
    return tl.log2(x)


@floating
def log2_dgrad(dy, x):
    return dy / (x * _LN2)


@floating
def log10(x):
    return tl.log(x) * (1.0 / _LN10)


@floating
def log10_dgrad(dy, x):
    return dy / (x * _LN10)


# --- roots, reciprocals, circles ------------------------------------------------------------------


@floating
def sqrt(x):
    return functions.sqrt(x)


@floating
def sqrt_dgrad(dy, y):
    return dy / (2.0 * y)


@floating
def rsqrt(x):
    return functions.divide(1.0, functions.sqrt(x))


@floating
def rsqrt_dgrad(dy, y):
    return dy * (y * y * y) * -0.5


@floating
def reciprocal(x):
    return functions.divide(1.0, x)


@floating
def reciprocal_dgrad(dy, y):
    return -dy * (y * y)


@floating
def sin(x):
    return tl.sin(x)


@floating
def sin_dgrad(dy, x):
    return dy * tl.cos(x)


@floating
def cos(x):
    return tl.cos(x)


@floating
def cos_dgrad(dy, x):
    return dy * -tl.sin(x)


# --- rounding, predicates -------------------------------------------------------------------------


@floating
def floor(x):
    return tl.floor(x)


@floating
def ceil(x):
    return tl.ceil(x)


@floating
def trunc(x):
    return functions.trunc(x)


@floating
def round_(x):
    return functions.rint(x)


@floating
def isnan(x):
    return x != x


@floating
def isinf(x):
    return tl.abs(x) == float("inf")


@floating
def isfinite(x):
    return tl.abs(x) < float("inf")


@either
def logical_not(x):
    return x == 0


@integral
def bitwise_not(x):
    return ~x


@triton.jit
def _itself(x):
    return x


@triton.jit
def _never(x):
    return x != x


@triton.jit
def _always(x):
    return x == x


INTEGRAL.update(floor=_itself, ceil=_itself, trunc=_itself, round=_itself)
INTEGRAL.update(isnan=_never, isinf=_never, isfinite=_always)


# --- clipping -------------------------------------------------------------------------------------


@either
def clamp_min(x, low):
    return functions.maximum(x, low)


@either
def clamp_max(x, high):
    return functions.minimum(x, high)


@either
def clamp(x, low, high):
    return functions.minimum(functions.maximum(x, low), high)


@either
def clamp_dgrad(dy, x, low, high):
    return tl.where((x >= low) & (x <= high), dy, 0)


@either
def clamp_min_dgrad(dy, x, low):
    return tl.where(x >= low, dy, 0)


@either
def clamp_max_dgrad(dy, x, high):
    return tl.where(x <= high, dy, 0)


@either
def masked_fill(x, mask, value):
    return tl.where(mask != 0, value, x)


# --- a number as operand --------------------------------------------------------------------------


@either
def rsub_scalar(x, number):
    return number - x


@floating
def div_scalar(x, number):
    return functions.divide(x, number)


@floating
def rdiv_scalar(x, number):
    return functions.divide(number, x)


@floating
def rdiv_scalar_dgrad(dy, x, number):
    return -dy * ((number / x) / x)


@floating
def pow_scalar(x, exponent):
    y = functions.pow(x, exponent)
    return tl.where(exponent == 2, x * x, tl.where(exponent == 0.5, functions.sqrt(x), y))


@floating
def pow_scalar_dgrad(dy, x, exponent):
    return tl.where(exponent == 0, 0.0, dy * (exponent * functions.pow(x, exponent - 1.0)))


@floating
def rpow_scalar(x, base):
    return functions.pow(base, x)


@floating
def rpow_scalar_dgrad(dy, x, base):
    slope = functions.pow(base, x) * tl.log(base)
    return tl.where((base == 0) & (x >= 0), 0.0, dy * slope)


@integral
def pow_scalar_of_integers(x, exponent):
    return functions.whole_pow(x, exponent)


@integral
def rpow_scalar_of_integers(x, base):
    return functions.whole_pow(base, x)
