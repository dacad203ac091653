"""Elementwise ops: the table of what each op name means.

Computes   out = op(*inputs; *parameters) after broadcasting
Arrays     inputs of one dtype (masks of `where` and `masked_fill` are bool), any strides, broadcast
           against each other; out has the broadcast shape and may be one of the inputs
Numerics   halves are widened to float32 and rounded once at the store; integers wrap
Traffic    every input read once, out written once

Names. `<op>` takes arrays; `<op>_scalar` takes one array and the number as parameter,
`r<op>_scalar` with the number on the left. `<op>_dgrad` takes dy and what the op retained,
`_dgrad_a` and `_dgrad_b` dy and both operands: the gradient of the op's inputs, by PyTorch's
conventions at ties and kinks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import array
from ...array import Array
from ...dispatch import register
from ...dtypes import accumulation_dtype
from ...geometry import ElementwiseGeometry
from . import erf as _erf

Op = Callable[..., Array]

OPS: dict[str, Op] = {}


def op(function: Op) -> Op:
    """Decorator: enter an op under the function's name, less a trailing underscore."""
    OPS[function.__name__.rstrip("_")] = function
    return function


@register("elementwise", "reference", "direct")
def elementwise(
    *inputs: Array, out: Array, geometry: ElementwiseGeometry, epilogue: None = None
) -> None:
    """out = OPS[geometry.op](xp, *inputs, *geometry.parameters) in the accumulation dtype."""
    xp = array.xp(*inputs, out)
    wide = [widened(a) for a in inputs]
    dtype = wide[0].dtype
    parameters = [np.asarray(p).astype(dtype)[()] for p in geometry.parameters]
    with np.errstate(all="ignore"):
        out[...] = OPS[geometry.op](xp, *wide, *parameters)


def widened(a: Array) -> Array:
    """`a` in its accumulation dtype, copied only if it is a half."""
    dtype = accumulation_dtype(a.dtype)
    return a if a.dtype == dtype else a.astype(dtype)


# --- one operand ----------------------------------------------------------------------------------

OPS |= {
    "neg": lambda xp, x: -x,
    "abs": lambda xp, x: xp.abs(x),
    "abs_dgrad": lambda xp, dy, x: dy * sign(xp, x),
    "exp": lambda xp, x: xp.exp(x),
    "exp_dgrad": lambda xp, dy, y: dy * y,
    "exp2": lambda xp, x: xp.exp2(x),
    "exp2_dgrad": lambda xp, dy, y: dy * y * y.dtype.type(math.log(2)),
    "expm1": lambda xp, x: xp.expm1(x),
    "expm1_dgrad": lambda xp, dy, y: dy * (y + 1),
    "log": lambda xp, x: xp.log(x),
    "log_dgrad": lambda xp, dy, x: dy / x,
    "log1p": lambda xp, x: xp.log1p(x),
    "log1p_dgrad": lambda xp, dy, x: dy / (x + 1),
    "log2": lambda xp, x: xp.log2(x),
    "log2_dgrad": lambda xp, dy, x: dy / (x * x.dtype.type(math.log(2))),
    "log10": lambda xp, x: xp.log10(x),
    "log10_dgrad": lambda xp, dy, x: dy / (x * x.dtype.type(math.log(10))),
    "sqrt": lambda xp, x: xp.sqrt(x),
    "sqrt_dgrad": lambda xp, dy, y: dy / (2 * y),
    "rsqrt": lambda xp, x: 1 / xp.sqrt(x),
    "rsqrt_dgrad": lambda xp, dy, y: dy * (y * y * y) * y.dtype.type(-0.5),
    "reciprocal": lambda xp, x: 1 / x,
    "reciprocal_dgrad": lambda xp, dy, y: -dy * (y * y),
    "square": lambda xp, x: x * x,
    "square_dgrad": lambda xp, dy, x: dy * (2 * x),
    "sin": lambda xp, x: xp.sin(x),
    "sin_dgrad": lambda xp, dy, x: dy * xp.cos(x),
    "cos": lambda xp, x: xp.cos(x),
    "cos_dgrad": lambda xp, dy, x: dy * -xp.sin(x),
    "tanh": lambda xp, x: xp.tanh(x),
    "tanh_dgrad": lambda xp, dy, y: dy * (1 - y * y),
    "sigmoid": lambda xp, x: 1 / (1 + xp.exp(-x)),
    "sigmoid_dgrad": lambda xp, dy, y: dy * ((1 - y) * y),
    "floor": lambda xp, x: xp.floor(x),
    "ceil": lambda xp, x: xp.ceil(x),
    "trunc": lambda xp, x: xp.trunc(x),
    "round": lambda xp, x: xp.rint(x),
    "isnan": lambda xp, x: xp.isnan(x),
    "isinf": lambda xp, x: xp.isinf(x),
    "isfinite": lambda xp, x: xp.isfinite(x),
    "logical_not": lambda xp, x: xp.logical_not(x),
    "bitwise_not": lambda xp, x: xp.invert(x),
}


@op
def sign(xp: Any, x: Array) -> Array:
    """1 above 0, -1 below, else 0: NaN has none."""
    return xp.where(x > 0, 1, xp.where(x < 0, -1, 0))


@op
def erf(xp: Any, x: Array) -> Array:
    """Evaluated in float64 and rounded once."""
    return _erf.erf(xp, xp.asarray(x, dtype=xp.float64)).astype(x.dtype)


@op
def erf_dgrad(xp: Any, dy: Array, x: Array) -> Array:
    return dy * x.dtype.type(2 / math.sqrt(math.pi)) * xp.exp(-x * x)


@op
def clamp(xp: Any, x: Array, low: Any, high: Any) -> Array:
    """`high` wins where low > high; NaN stays."""
    return xp.minimum(xp.maximum(x, low), high)


@op
def clamp_dgrad(xp: Any, dy: Array, x: Array, low: Any, high: Any) -> Array:
    """The boundaries belong to the inside."""
    return xp.where((x >= low) & (x <= high), dy, 0)


OPS |= {
    "clamp_min": lambda xp, x, low: xp.maximum(x, low),
    "clamp_min_dgrad": lambda xp, dy, x, low: xp.where(x >= low, dy, 0),
    "clamp_max": lambda xp, x, high: xp.minimum(x, high),
    "clamp_max_dgrad": lambda xp, dy, x, high: xp.where(x <= high, dy, 0),
    "masked_fill": lambda xp, x, mask, value: xp.where(mask, value, x),
}


# --- two operands ---------------------------------------------------------------------------------

OPS |= {
    "sub": lambda xp, a, b: a - b,
    "mul": lambda xp, a, b: a * b,
    "div": lambda xp, a, b: a / b,
    "div_dgrad_b": lambda xp, dy, a, b: -dy * ((a / b) / b),
    "floor_divide": lambda xp, a, b: xp.floor_divide(a, b),
    "remainder": lambda xp, a, b: xp.remainder(a, b),
    "maximum": lambda xp, a, b: xp.maximum(a, b),
    "minimum": lambda xp, a, b: xp.minimum(a, b),
    "where": lambda xp, condition, a, b: xp.where(condition, a, b),
    "eq": lambda xp, a, b: a == b,
    "ne": lambda xp, a, b: a != b,
    "lt": lambda xp, a, b: a < b,
    "le": lambda xp, a, b: a <= b,
    "gt": lambda xp, a, b: a > b,
    "ge": lambda xp, a, b: a >= b,
    "logical_and": lambda xp, a, b: xp.logical_and(a, b),
    "logical_or": lambda xp, a, b: xp.logical_or(a, b),
    "logical_xor": lambda xp, a, b: xp.logical_xor(a, b),
    "bitwise_and": lambda xp, a, b: a & b,
    "bitwise_or": lambda xp, a, b: a | b,
    "bitwise_xor": lambda xp, a, b: a ^ b,
}


@op
def add(xp: Any, a: Array, b: Array, alpha: Any = None) -> Array:
    """a + alpha * b"""
    return a + b if alpha is None else a + alpha * b


@op
def trunc_divide(xp: Any, a: Array, b: Array) -> Array:
    """The quotient rounded towards zero."""
    if a.dtype.kind == "f":
        return xp.trunc(a / b)
    quotient = xp.floor_divide(a, b)
    return quotient + ((quotient < 0) & (quotient * b != a))


@op
def pow_(xp: Any, a: Array, b: Array) -> Array:
    """a ** b; for integers a negative exponent leaves only the powers of 1 and -1."""
    if a.dtype.kind in "fb" or b.dtype.kind == "u":
        return xp.power(a, b)
    raised = xp.power(a, xp.where(b < 0, b & 1, b))
    return xp.where((b < 0) & (xp.abs(a) != 1), 0, raised)


@op
def pow_dgrad_a(xp: Any, dy: Array, a: Array, b: Array) -> Array:
    """b * a**(b-1), and 0 for b = 0 whatever a."""
    return xp.where(b == 0, 0, dy * (b * xp.power(a, b - 1)))


@op
def pow_dgrad_b(xp: Any, dy: Array, a: Array, b: Array) -> Array:
    """a**b * log(a), and 0 for a = 0 with b >= 0."""
    return xp.where((a == 0) & (b >= 0), 0, dy * (xp.power(a, b) * xp.log(a)))


@op
def maximum_dgrad_a(xp: Any, dy: Array, a: Array, b: Array) -> Array:
    """Half of dy at a tie; the gradient of minimum(a, b) is this with a and b negated."""
    return xp.where(a < b, 0, xp.where(a == b, dy / 2, dy))


OPS |= {
    "maximum_dgrad_b": lambda xp, dy, a, b: maximum_dgrad_a(xp, dy, b, a),
    "minimum_dgrad_a": lambda xp, dy, a, b: maximum_dgrad_a(xp, dy, b=a, a=b),
    "minimum_dgrad_b": lambda xp, dy, a, b: maximum_dgrad_a(xp, dy, b=b, a=a),
}


# --- a number as operand --------------------------------------------------------------------------

for _name in ("add", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge"):
    OPS[f"{_name}_scalar"] = OPS[_name]


@op
def rsub_scalar(xp: Any, x: Array, number: Any) -> Array:
    return number - x


@op
def rdiv_scalar(xp: Any, x: Array, number: Any) -> Array:
    return number / x


@op
def rdiv_scalar_dgrad(xp: Any, dy: Array, x: Array, number: Any) -> Array:
    return -dy * ((number / x) / x)


@op
def pow_scalar(xp: Any, x: Array, exponent: Any) -> Array:
    if exponent == 2:
        return x * x
    if exponent == 0.5:
        return xp.sqrt(x)
    return pow_(xp, x, exponent)


@op
def pow_scalar_dgrad(xp: Any, dy: Array, x: Array, exponent: Any) -> Array:
    return pow_dgrad_a(xp, dy, x, exponent)


@op
def rpow_scalar(xp: Any, x: Array, base: Any) -> Array:
    return pow_(xp, base, x)


@op
def rpow_scalar_dgrad(xp: Any, dy: Array, x: Array, base: Any) -> Array:
    return pow_dgrad_b(xp, dy, base, x)


# --- gradients of reductions: dy and what was reduced, broadcast back over the reduced axes -------


@op
def prod_dgrad(xp: Any, dy: Array, x: Array, product: Array, zeros: Array) -> Array:
    """dy times the product of the others: `product` is the non-zero elements', `zeros` counts
    the rest."""
    alone = (zeros == 1) & (x == 0)
    return dy * xp.where(zeros == 0, product / x, xp.where(alone, product, 0))


@op
def var_dgrad(xp: Any, dy: Array, x: Array, mean: Array, scale: Any) -> Array:
    """scale = 2 / (count - correction)"""
    return dy * (scale * (x - mean))


@op
def std_dgrad(xp: Any, dy: Array, x: Array, mean: Array, std: Array, scale: Any) -> Array:
    """As var's through d sqrt(v) = dv / (2 sqrt(v)), taken as 0 where std is 0."""
    return xp.where(std == 0, 0, dy / (2 * std)) * (scale * (x - mean))


OPS |= {
    "logsumexp_dgrad": lambda xp, dy, x, y: dy * xp.exp(x - y),
    "norm_dgrad": lambda xp, dy, x, y: xp.where(y == 0, 0, dy * (x / y)),
    "norm1_dgrad": lambda xp, dy, x, y: dy * sign(xp, x),
}


@op
def norm_power_dgrad(xp: Any, dy: Array, x: Array, y: Array, p: Any) -> Array:
    """0 where an element, or every one, is 0."""
    slope = sign(xp, x) * (xp.abs(x) / y) ** (p - 1)
    return xp.where((x == 0) | (y == 0), 0, dy * slope)
