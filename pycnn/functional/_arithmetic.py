"""Elementwise arithmetic between two operands, tensors or numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..array import Array
from ..autograd import wrap
from ..dtypes import FLOATING, INTEGRAL, bool_
from ..tensor import Tensor, tensor_method
from ._common import check_tensor
from ._pointwise import (
    Binary,
    as_floating,
    binary,
    cast,
    check_divisor,
    compare,
    is_number,
    number_tensor,
    operand,
    pointwise,
    promoted,
    scalar_result,
    unary,
    zeros_like,
)
from ._unary import numeric


class Add(Binary):
    """a + alpha * b"""

    op = "add"

    def keep(self, a: Array, b: Array) -> None:
        self.retain()

    def dgrad_a(self, dy: Array) -> Array:
        return dy

    def dgrad_b(self, dy: Array) -> Array:
        return pointwise("mul_scalar", dy, parameters=self.parameters) if self.parameters else dy


class Sub(Add):
    """a - b"""

    op = "sub"

    def dgrad_b(self, dy: Array) -> Array:
        return pointwise("neg", dy)


class Mul(Binary):
    """a * b"""

    op = "mul"

    def keep(self, a: Array, b: Array) -> None:
        self.retain(a if self.wants[1] else None, b if self.wants[0] else None)

    def dgrad_a(self, dy: Array) -> Array:
        return pointwise("mul", dy, self.retained[1])

    def dgrad_b(self, dy: Array) -> Array:
        return pointwise("mul", dy, self.retained[0])


class Div(Binary):
    """a / b"""

    op = "div"

    def keep(self, a: Array, b: Array) -> None:
        self.retain(a if self.wants[1] else None, b)

    def dgrad_a(self, dy: Array) -> Array:
        return pointwise("div", dy, self.retained[1])


class RoundedDiv(Add):
    """floor(a / b) or trunc(a / b): flat wherever it has a slope."""

    def dgrad_a(self, dy: Array) -> Array:
        return zeros_like(dy)

    dgrad_b = dgrad_a


class Remainder(Binary):
    """a - b * floor(a / b)"""

    op = "remainder"

    def dgrad_a(self, dy: Array) -> Array:
        return dy

    def dgrad_b(self, dy: Array) -> Array:
        a, b = self.retained
        return pointwise("neg", pointwise("mul", dy, pointwise("floor_divide", a, b)))


class Pow(Binary):
    """a ** b"""

    op = "pow"


class Extreme(Binary):
    """maximum or minimum: ties share the gradient."""


def _add(op: str, input: Any, other: Any, alpha: Any) -> Tensor:
    """add or sub of any operands."""
    input, other = operand(input, "input", op), operand(other, "other", op)
    if op == "sub" and alpha == 1 and is_real(input) and other._data.dtype in FLOATING:
        return unary("rsub_scalar", other, (input,), keep="")
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        input = number_tensor(input, dtypes.scalar_dtype(input), _CPU)
    for t in (input, other) if op == "sub" else ():
        if t._data.dtype == bool_ if isinstance(t, Tensor) else not is_real(t):
            raise RuntimeError(
                "Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
                "trying to invert a mask, use the `~` or `logical_not()` operator instead."
            )
    if alpha != 1 and not is_number(alpha):
        raise TypeError(f"{op}(): argument 'alpha' must be Number, not {type(alpha).__name__}")
    if isinstance(input, Tensor) and not isinstance(other, Tensor):
        x = cast(input, scalar_result(input._data.dtype, other))
        check_alpha(alpha, x._data.dtype)
        if x._data.dtype == bool_:
            return binary(Add, x, number_tensor(other, bool_, x))
        return unary("add_scalar", x, ((-other if op == "sub" else other) * alpha,), keep="")
    a, b = promoted(input, other, op)
    if alpha == 1:
        return binary(Add if op == "add" else Sub, a, b)
    check_alpha(alpha, a._data.dtype)
    return Add(parameters=(-alpha if op == "sub" else alpha,))(a, b)


_CPU = wrap(np.empty(0))  # stands for "on the CPU" where no operand is a tensor


def check_alpha(alpha: Any, dtype: np.dtype) -> None:
    if dtype not in FLOATING and isinstance(alpha, (float, np.floating)):
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )


def is_real(value: Any) -> bool:
    """Whether it is a number other than True and False."""
    return is_number(value) and not isinstance(value, (bool, np.bool_))


@tensor_method
def add(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """input + alpha * other"""
    if (
        type(input) is Tensor is type(other)
        and alpha == 1
        and input._data.dtype is other._data.dtype
    ):
        return binary(Add, input, other)
    return _add("add", input, other, alpha)


@tensor_method
def sub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """input - alpha * other. RuntimeError for bool tensors."""
    return _add("sub", input, other, alpha)


subtract = sub


@tensor_method
def rsub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """other - alpha * input"""
    if alpha == 1 and input._data.dtype in FLOATING and is_real(other):
        return unary("rsub_scalar", input, (other,), keep="")
    return _add("sub", other, input, alpha)


@tensor_method
def mul(input: Tensor, other: Any) -> Tensor:
    """input * other"""
    if isinstance(other, Tensor) and isinstance(input, Tensor):
        if input._data.dtype != other._data.dtype or input.is_cuda != other.is_cuda:
            input, other = promoted(input, other, "mul")
        return binary(Mul, input, other)
    if is_number(input):
        input, other = other, input
    check_tensor(input, "input", "mul")
    other = operand(other, "other", "mul")
    if isinstance(other, Tensor):
        return binary(Mul, *promoted(input, other, "mul"))
    x = cast(input, scalar_result(input._data.dtype, other))
    return unary("mul_scalar", x, (other,), keep="")


multiply = mul


@tensor_method
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, rounded "floor" (down) or "trunc" (towards 0) if asked.

    True division of integers gives the default dtype; rounded, integers stay integers.
    RuntimeError for an unknown rounding_mode, or an integer division by zero."""
    if rounding_mode is not None:
        if rounding_mode not in ("floor", "trunc"):
            raise RuntimeError(
                "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
                f"'{rounding_mode}'"
            )
        op = "floor_divide" if rounding_mode == "floor" else "trunc_divide"
        a, b = promoted(input, other, "div")
        numeric(a, op)
        check_divisor(b, "div")
        return RoundedDiv(op=op)(a, b)
    if isinstance(input, Tensor) and is_number(other):
        x = input
        if x._data.dtype not in FLOATING:
            x = cast(x, dtypes.get_default_dtype())
        return unary("div_scalar", x, (other,), keep="")
    if is_number(input) and isinstance(other, Tensor) and other._data.dtype in FLOATING:
        return unary("rdiv_scalar", other, (input,))
    a, b = promoted(input, other, "div")
    return binary(Div, as_floating(a, "div"), as_floating(b, "div"))


divide = true_divide = div


@tensor_method
def floor_divide(input: Tensor, other: Any) -> Tensor:
    """floor(input / other), in the operands' common dtype; the gradient is 0."""
    return div(input, other, rounding_mode="floor")


@tensor_method
def remainder(input: Tensor, other: Any) -> Tensor:
    """input - other * floor(input / other): the sign is other's. RuntimeError for an integer
    zero."""
    a, b = promoted(input, other, "remainder")
    numeric(a, "remainder")
    check_divisor(b, "remainder")
    return Remainder()(a, b)


@tensor_method
def pow(input: Any, exponent: Any) -> Tensor:
    """input ** exponent. RuntimeError for an integer tensor to a negative number; the gradient of 0
    ** 0 is 0."""
    if isinstance(input, Tensor) and is_number(exponent):
        dtype = scalar_result(input._data.dtype, exponent)
        if dtype in INTEGRAL and exponent < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        if dtype in FLOATING:
            return unary("pow_scalar", cast(input, dtype), (exponent,))
        if dtype == bool_:
            return compare("logical_or", input, number_tensor(not exponent, bool_, input))
    elif is_number(input) and isinstance(exponent, Tensor):
        dtype = scalar_result(exponent._data.dtype, input)
        if dtype in FLOATING:
            return unary("rpow_scalar", cast(exponent, dtype), (input,))
    a, b = promoted(input, exponent, "pow")
    return Pow()(numeric(a, "pow"), b)


def _extreme(op: str, input: Tensor, other: Tensor) -> Tensor:
    check_tensor(input, "input", op)
    check_tensor(other, "other", op)
    return Extreme(op=op)(*promoted(input, other, op))


@tensor_method
def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The larger element; NaN if either is. A tie gives each operand half the gradient."""
    return _extreme("maximum", input, other)


@tensor_method
def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller element; NaN if either is. A tie gives each operand half the gradient."""
    return _extreme("minimum", input, other)
