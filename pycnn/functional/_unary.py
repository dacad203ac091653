"""Elementwise functions of one operand."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..dtypes import FLOATING, bool_
from ..tensor import Tensor, tensor_method
from ._common import check_tensor
from ._pointwise import (
    as_floating,
    cast,
    predicate,
    unary,
)


@tensor_method
def neg(input: Tensor) -> Tensor:
    """-input. RuntimeError for bool tensors."""
    refuse_bool(input, "Negation")
    return unary("neg", input, keep="")


negative = neg


def refuse_bool(t: Any, what: str) -> None:
    if isinstance(t, Tensor) and t._data.dtype == bool_:
        raise RuntimeError(
            f"{what}, the `-` operator, on a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead."
        )


def numeric(input: Tensor, op: str) -> Tensor:
    """`input`; NotImplementedError for bool tensors."""
    check_tensor(input, "input", op)
    if input._data.dtype == bool_:
        raise NotImplementedError(f"\"{op}\" not implemented for dtype bool of argument 'input'")
    return input


@tensor_method
def abs(input: Tensor) -> Tensor:
    """|input|; the gradient at 0 is 0."""
    return unary("abs", numeric(input, "abs"))


absolute = abs


@tensor_method
def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1; the gradient is 0 everywhere."""
    return unary("sign", input, keep="")


@tensor_method
def exp(input: Tensor) -> Tensor:
    return unary("exp", as_floating(input, "exp"), keep="y")


@tensor_method
def exp2(input: Tensor) -> Tensor:
    """2 ** input"""
    return unary("exp2", as_floating(input, "exp2"), keep="y")


@tensor_method
def expm1(input: Tensor) -> Tensor:
    """exp(input) - 1, accurate near 0."""
    return unary("expm1", as_floating(input, "expm1"), keep="y")


@tensor_method
def log(input: Tensor) -> Tensor:
    """The natural logarithm: -inf at 0, NaN below."""
    return unary("log", as_floating(input, "log"))


@tensor_method
def log1p(input: Tensor) -> Tensor:
    """log(1 + input), accurate near 0."""
    return unary("log1p", as_floating(input, "log1p"))


@tensor_method
def log2(input: Tensor) -> Tensor:
    return unary("log2", as_floating(input, "log2"))


@tensor_method
def log10(input: Tensor) -> Tensor:
    return unary("log10", as_floating(input, "log10"))


@tensor_method
def sqrt(input: Tensor) -> Tensor:
    """The square root; its gradient at 0 is infinite."""
    return unary("sqrt", as_floating(input, "sqrt"), keep="y")


@tensor_method
def rsqrt(input: Tensor) -> Tensor:
    """1 / sqrt(input)"""
    return unary("rsqrt", as_floating(input, "rsqrt"), keep="y")


@tensor_method
def reciprocal(input: Tensor) -> Tensor:
    """1 / input"""
    return unary("reciprocal", as_floating(input, "reciprocal"), keep="y")


@tensor_method
def square(input: Tensor) -> Tensor:
    """input * input; int64 for bool tensors."""
    check_tensor(input, "input", "square")
    return unary("square", cast(input, dtypes.int64) if input._data.dtype == bool_ else input)


@tensor_method
def sin(input: Tensor) -> Tensor:
    return unary("sin", as_floating(input, "sin"))


@tensor_method
def cos(input: Tensor) -> Tensor:
    return unary("cos", as_floating(input, "cos"))


@tensor_method
def tanh(input: Tensor) -> Tensor:
    return unary("tanh", as_floating(input, "tanh"), keep="y")


@tensor_method
def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-input))"""
    return unary("sigmoid", as_floating(input, "sigmoid"), keep="y")


@tensor_method
def erf(input: Tensor) -> Tensor:
    """2/sqrt(pi) times the integral of exp(-t^2) from 0 to input."""
    return unary("erf", as_floating(input, "erf"))


def _step(op: str, input: Tensor) -> Tensor:
    return unary(op, numeric(input, op), keep="")


@tensor_method
def floor(input: Tensor) -> Tensor:
    """The largest integer not above; the gradient is 0."""
    return _step("floor", input)


@tensor_method
def ceil(input: Tensor) -> Tensor:
    """The smallest integer not below; the gradient is 0."""
    return _step("ceil", input)


@tensor_method
def trunc(input: Tensor) -> Tensor:
    """The integer part; the gradient is 0."""
    return _step("trunc", input)


@tensor_method
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest integer, ties to even, or the nearest multiple of 10**-decimals; the gradient is
    0."""
    if not decimals:
        return _step("round", input)
    if numeric(input, "round")._data.dtype not in FLOATING:
        raise RuntimeError("round(): decimals: an integer tensor takes only 0")
    scale = 10.0**decimals
    scaled = unary("mul_scalar", input, (scale,), keep="")
    return unary("div_scalar", _step("round", scaled), (scale,), keep="")


@tensor_method
def isnan(input: Tensor) -> Tensor:
    """Where input is NaN, as bools."""
    return predicate("isnan", input)


@tensor_method
def isinf(input: Tensor) -> Tensor:
    """Where input is infinite, as bools."""
    return predicate("isinf", input)


@tensor_method
def isfinite(input: Tensor) -> Tensor:
    """Where input is neither NaN nor infinite, as bools."""
    return predicate("isfinite", input)


@tensor_method
def logical_not(input: Tensor) -> Tensor:
    """Where input is 0, as bools."""
    return predicate("logical_not", input)


@tensor_method
def bitwise_not(input: Tensor) -> Tensor:
    """Every bit inverted; TypeError for floating point."""
    check_tensor(input, "input", "bitwise_not")
    if input._data.dtype in FLOATING:
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
        )
    return unary("bitwise_not", input, keep="")
