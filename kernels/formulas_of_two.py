"""Formulas of two operands and more: arithmetic, comparisons, logic, and the gradients of
reductions."""

import triton.language as tl

from . import functions
from .formulas import FLOATING, INTEGRAL, either, floating, integral
from .formulas_of_one import sign


@either
def add(a, b, alpha=None):
    return a + b if alpha is None else a + alpha * b


@either
def sub(a, b):
    return a - b


@either
def mul(a, b):
    return a * b


@floating
def div(a, b):
    return functions.divide(a, b)


@floating
def div_dgrad_b(dy, a, b):
    return -dy * ((a / b) / b)


@floating
def floor_divide(a, b):
    rest = functions.fmod(a, b)
    away = (rest != 0) & ((rest < 0) != (b < 0))
    quotient = functions.divide(a - rest, b)
    quotient = tl.where(away, quotient - 1.0, quotient)
    down = tl.floor(quotient)
    down = tl.where(quotient - down > 0.5, down + 1.0, down)
    # a quotient of 0 has the sign of a / b
    exact = functions.divide(a, b)
    return tl.where(b == 0, exact, tl.where(quotient == 0, exact * 0.0, down))


@floating
def remainder(a, b):
    rest = functions.fmod(a, b)
    away = (rest != 0) & ((rest < 0) != (b < 0))
    return tl.where(away, rest + b, rest)


@floating
def trunc_divide(a, b):
    return functions.trunc(functions.divide(a, b))


@integral
def floor_divide_of_integers(a, b):
    return functions.floor_quotient(a, b)


@integral
def remainder_of_integers(a, b):
    return tl.where(b == 0, 0, a - functions.floor_quotient(a, b) * b)


@integral
def trunc_divide_of_integers(a, b):
    return functions.trunc_quotient(a, b)


# --- powers ---------------------------------------------------------------------------------------


@floating
def pow_(a, b):
    return functions.pow(a, b)


@integral
def pow_of_integers(a, b):
    return functions.whole_pow(a, b)


@floating
def pow_dgrad_a(dy, a, b):
    return tl.where(b == 0, 0.0, dy * (b * functions.pow(a, b - 1.0)))


@floating
def pow_dgrad_b(dy, a, b):
    return tl.where((a == 0) & (b >= 0), 0.0, dy * (functions.pow(a, b) * tl.log(a)))


# --- the larger and the smaller -------------------------------------------------------------------


@either
def maximum(a, b):
    return functions.maximum(a, b)


@either
def minimum(a, b):
    return functions.minimum(a, b)


@floating
def maximum_dgrad_a(dy, a, b):
    return tl.where(a < b, 0.0, tl.where(a == b, dy * 0.5, dy))


@floating
def maximum_dgrad_b(dy, a, b):
    return maximum_dgrad_a(dy, b, a)


@floating
def minimum_dgrad_a(dy, a, b):
    return maximum_dgrad_a(dy, b, a)


@floating
def minimum_dgrad_b(dy, a, b):
    return maximum_dgrad_a(dy, a, b)


@either
def where(condition, a, b):
    return tl.where(condition != 0, a, b)


# --- comparisons and logic ------------------------------------------------------------------------


@either
def eq(a, b):
    return a == b


@either
def ne(a, b):
    return a != b


@either
def lt(a, b):
    return a < b


@either
def le(a, b):
    return a <= b


@either
def gt(a, b):
    return a > b


@either
def ge(a, b):
    return a >= b


@either
def logical_and(a, b):
    return (a != 0) & (b != 0)


@either
def logical_or(a, b):
    return (a != 0) | (b != 0)


@either
def logical_xor(a, b):
    return (a != 0) != (b != 0)


@integral
def bitwise_and(a, b):
    return a & b


@integral
def bitwise_or(a, b):
    return a | b


@integral
def bitwise_xor(a, b):
    return a ^ b


# --- gradients of reductions ----------------------------------------------------------------------


@floating
def prod_dgrad(dy, x, product, zeros):
    alone = (zeros == 1) & (x == 0)
    return dy * tl.where(zeros == 0, product / x, tl.where(alone, product, 0.0))


@floating
def var_dgrad(dy, x, mean, scale):
    return dy * (scale * (x - mean))


@floating
def std_dgrad(dy, x, mean, std, scale):
    return tl.where(std == 0, 0.0, dy / (2.0 * std)) * (scale * (x - mean))


@floating
def logsumexp_dgrad(dy, x, y):
    return dy * tl.exp(x - y)


@floating
def norm_dgrad(dy, x, y):
    return tl.where(y == 0, 0.0, dy * (x / y))


@floating
def norm1_dgrad(dy, x, y):
    return dy * sign(x)


@floating
def norm_power_dgrad(dy, x, y, p):
    slope = sign(x) * functions.pow(tl.abs(x) / y, p - 1.0)
    return tl.where((x == 0) | (y == 0), 0.0, dy * slope)


# --- batch normalisation's statistics -------------------------------------------------------------


@floating
def invstd(m2, count, eps):
    return functions.divide(1.0, functions.sqrt(functions.divide(m2, count) + eps))


@floating
def running_update(running, new, momentum, divisor):
    return (1.0 - momentum) * running + momentum * functions.divide(new, divisor)


for _table in (FLOATING, INTEGRAL):
    for _name in ("add", "mul", "eq", "ne", "lt", "le", "gt", "ge"):
        _table[f"{_name}_scalar"] = _table[_name]
