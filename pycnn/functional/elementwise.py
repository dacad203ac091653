"""Elementwise arithmetic, comparisons and logic with torch's names, promotion, broadcasting and gradients.

Operands are tensors or Python numbers, promoted as torch does (`dtypes.result_type`). Halves are computed in float32
and rounded once. Every function is one call of the primitive `elementwise` per direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import array, dtypes
from ..array import Array
from ..autograd import Function, is_grad_enabled, no_grad, wrap
from ..dispatch import run_array
from ..dtypes import FLOATING, INTEGRAL, bool_
from ..tensor import Tensor, tensor_method
from ._common import check_tensor, unbroadcast
from ._pointwise import (
    Binary,
    as_floating,
    binary_,
    cast,
    cast_array,
    check_divisor,
    compare,
    is_number,
    number_tensor,
    operand,
    pointwise,
    predicate,
    promoted,
    scalar_result,
    unary,
    unary_,
    zeros_like,
)

__all__ = [
    "abs", "absolute", "add", "allclose", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "ceil", "clamp",
    "clamp_max", "clamp_min", "clip", "cos", "div", "divide", "eq", "equal", "erf", "exp", "exp2", "expm1", "floor",
    "floor_divide", "ge", "gt", "isclose", "isfinite", "isinf", "isnan", "le", "log", "log10", "log1p", "log2",
    "logical_and", "logical_not", "logical_or", "logical_xor", "lt", "masked_fill", "maximum", "minimum", "mul",
    "multiply", "ne", "neg", "negative", "pow", "reciprocal", "remainder", "round", "rsqrt", "rsub", "sigmoid",
    "sign", "sin", "sqrt", "square", "sub", "subtract", "tanh", "true_divide", "trunc", "where",
]  # fmt: skip


# --- one operand ----------------------------------------------------------------------------------


@tensor_method
def neg(input: Tensor) -> Tensor:
    """-input. RuntimeError for bool tensors."""
    _refuse_bool(input, "Negation")
    return unary("neg", input, keep="")


negative = neg


def _refuse_bool(t: Any, what: str) -> None:
    if isinstance(t, Tensor) and t._data.dtype == bool_:
        raise RuntimeError(
            f"{what}, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use "
            "the `~` or `logical_not()` operator instead."
        )


def _numeric(input: Tensor, op: str) -> Tensor:
    """`input`; NotImplementedError for bool tensors."""
    check_tensor(input, "input", op)
    if input._data.dtype == bool_:
        raise NotImplementedError(f'"{op}" not implemented for dtype bool of argument \'input\'')
    return input


@tensor_method
def abs(input: Tensor) -> Tensor:
    """|input|; the gradient at 0 is 0."""
    return unary("abs", _numeric(input, "abs"))


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
    return unary(op, _numeric(input, op), keep="")


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
    """The nearest integer, ties to even, or the nearest multiple of 10**-decimals; the gradient is 0."""
    if not decimals:
        return _step("round", input)
    if _numeric(input, "round")._data.dtype not in FLOATING:
        raise RuntimeError("round(): decimals: an integer tensor takes only 0")
    scale = 10.0 ** decimals
    return div(_step("round", mul(input, scale)), scale)


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
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return unary("bitwise_not", input, keep="")


# --- arithmetic -----------------------------------------------------------------------------------


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
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        input = number_tensor(input, dtypes.scalar_dtype(input), _CPU)
    for t in (input, other) if op == "sub" else ():
        if t._data.dtype == bool_ if isinstance(t, Tensor) else not _is_real(t):
            raise RuntimeError(
                "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a "
                "mask, use the `~` or `logical_not()` operator instead."
            )
    if alpha != 1 and not is_number(alpha):
        raise TypeError(f"{op}(): argument 'alpha' must be Number, not {type(alpha).__name__}")
    if isinstance(input, Tensor) and not isinstance(other, Tensor):
        x = cast(input, scalar_result(input._data.dtype, other))
        _check_alpha(alpha, x._data.dtype)
        if x._data.dtype == bool_:
            return Add()(x, number_tensor(other, bool_, x))
        return unary("add_scalar", x, ((-other if op == "sub" else other) * alpha,), keep="")
    a, b = promoted(input, other, op)
    if alpha == 1:
        return Add()(a, b) if op == "add" else Sub()(a, b)
    _check_alpha(alpha, a._data.dtype)
    return Add(parameters=(-alpha if op == "sub" else alpha,))(a, b)


_CPU = wrap(np.empty(0))  # stands for "on the CPU" where no operand is a tensor


def _check_alpha(alpha: Any, dtype: np.dtype) -> None:
    if dtype not in FLOATING and isinstance(alpha, (float, np.floating)):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")


def _is_real(value: Any) -> bool:
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
        return Add()(input, other)
    return _add("add", input, other, alpha)


@tensor_method
def sub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """input - alpha * other. RuntimeError for bool tensors."""
    return _add("sub", input, other, alpha)


subtract = sub


@tensor_method
def rsub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """other - alpha * input"""
    if alpha == 1 and input._data.dtype in FLOATING and _is_real(other):
        return unary("rsub_scalar", input, (other,), keep="")
    return _add("sub", other, input, alpha)


@tensor_method
def mul(input: Tensor, other: Any) -> Tensor:
    """input * other"""
    if isinstance(other, Tensor) and isinstance(input, Tensor):
        if input._data.dtype != other._data.dtype or input.is_cuda != other.is_cuda:
            input, other = promoted(input, other, "mul")
        return Mul()(input, other)
    if is_number(input):
        input, other = other, input
    check_tensor(input, "input", "mul")
    other = operand(other, "other", "mul")
    if isinstance(other, Tensor):
        return Mul()(*promoted(input, other, "mul"))
    x = cast(input, scalar_result(input._data.dtype, other))
    return unary("mul_scalar", x, (other,), keep="")


multiply = mul


@tensor_method
def div(input: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, rounded "floor" (down) or "trunc" (towards 0) if asked.

    True division of integers gives the default dtype; rounded, integers stay integers.
    RuntimeError for an unknown rounding_mode, or an integer division by zero."""
    if rounding_mode is not None:
        if rounding_mode not in ("floor", "trunc"):
            raise RuntimeError(
                f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
            )
        op = "floor_divide" if rounding_mode == "floor" else "trunc_divide"
        a, b = promoted(input, other, "div")
        _numeric(a, op)
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
    return Div()(as_floating(a, "div"), as_floating(b, "div"))


divide = true_divide = div


@tensor_method
def floor_divide(input: Tensor, other: Any) -> Tensor:
    """floor(input / other), in the operands' common dtype; the gradient is 0."""
    return div(input, other, rounding_mode="floor")


@tensor_method
def remainder(input: Tensor, other: Any) -> Tensor:
    """input - other * floor(input / other): the sign is other's. RuntimeError for an integer zero."""
    a, b = promoted(input, other, "remainder")
    _numeric(a, "remainder")
    check_divisor(b, "remainder")
    return Remainder()(a, b)


@tensor_method
def pow(input: Any, exponent: Any) -> Tensor:
    """input ** exponent. RuntimeError for an integer tensor to a negative number; the gradient of 0 ** 0 is 0."""
    if isinstance(input, Tensor) and is_number(exponent):
        dtype = scalar_result(input._data.dtype, exponent)
        if dtype in INTEGRAL and exponent < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        if dtype in FLOATING:
            return unary("pow_scalar", cast(input, dtype), (exponent,))
        if dtype == bool_:
            return logical_or(input, number_tensor(not exponent, bool_, input))
    elif is_number(input) and isinstance(exponent, Tensor):
        dtype = scalar_result(exponent._data.dtype, input)
        if dtype in FLOATING:
            return unary("rpow_scalar", cast(exponent, dtype), (input,))
    a, b = promoted(input, exponent, "pow")
    return Pow()(_numeric(a, "pow"), b)


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


# --- clamping -------------------------------------------------------------------------------------


class ClampTensor(Function):
    """min(max(x, low), high) between tensors; a bound that is None does not hold."""

    def forward(self, x: Array, low: Array | None, high: Array | None) -> Array:
        self.shapes = tuple(None if a is None else a.shape for a in (x, low, high))
        self.retain(x, low, high)
        y = x if low is None else pointwise("maximum", x, low)
        return y if high is None else pointwise("minimum", y, high)

    def backward(self, dy: Array) -> tuple[Array | None, ...]:
        x, low, high = self.retained
        gradients: list[Array | None] = [None, None, None]
        zero = zeros_like(dy[(0,) * 0 + (slice(0, 1),) * dy.ndim])
        masks = (
            lambda: _both("logical_and", _mask("ge", x, low), _mask("le", x, high)),
            lambda: _both("logical_and", _mask("lt", x, low), _mask("lt", low, high)),
            lambda: _both("logical_or", _mask("gt", x, high), _mask("lt", high, low)),
        )
        for i, mask in enumerate(masks):
            if self.wants[i]:
                gradients[i] = unbroadcast(pointwise("where", mask(), dy, zero, dtype=dy.dtype), self.shapes[i])
        return tuple(gradients)


def _mask(op: str, a: Array | None, b: Array | None) -> Array | None:
    return None if a is None or b is None else pointwise(op, a, b, dtype=bool_)


def _both(op: str, a: Array | None, b: Array | None) -> Array:
    if a is None or b is None:
        return b if a is None else a
    return pointwise(op, a, b)


@tensor_method
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """input kept between min and max, numbers or tensors; max wins where min > max, and NaN stays NaN.

    The gradient at a bound is input's. RuntimeError if both bounds are None."""
    check_tensor(input, "input", "clamp")
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None".removeprefix("torch."))
    bounds = [operand(b, n, "clamp") for b, n in ((min, "min"), (max, "max")) if b is not None]
    dtype = dtypes.result_type(input, *bounds)
    x = cast(input, dtype)
    if any(isinstance(b, Tensor) for b in bounds):
        low, high = [None if b is None else promoted(x, b, "clamp", dtype)[1] for b in (min, max)]
        return ClampTensor()(x, low, high)
    if max is None:
        return unary("clamp_min", x, (min,))
    if min is None:
        return unary("clamp_max", x, (max,))
    return unary("clamp", x, (min, max))


clip = clamp


@tensor_method
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """clamp from below only."""
    return clamp(input, min=min)


@tensor_method
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """clamp from above only."""
    return clamp(input, max=max)


# --- selection ------------------------------------------------------------------------------------


class Where(Function):
    """a where the condition holds, else b; the gradient goes where the value came from."""

    def forward(self, condition: Array, a: Array, b: Array) -> Array:
        self.shapes = (a.shape, b.shape)
        self.retain(condition)
        return pointwise("where", condition, a, b, dtype=a.dtype)

    def backward(self, dy: Array) -> tuple[Array | None, ...]:
        (condition,) = self.retained
        zero = array.empty((), dy.dtype, device=array.device_of(dy))
        zero[...] = 0
        da = db = None
        if self.wants[1]:
            da = unbroadcast(pointwise("where", condition, dy, zero, dtype=dy.dtype), self.shapes[0])
        if self.wants[2]:
            db = unbroadcast(pointwise("where", condition, zero, dy, dtype=dy.dtype), self.shapes[1])
        return None, da, db


@tensor_method
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """input where condition holds, else other; with the condition alone, the indices of its non-zero elements.

    RuntimeError unless the condition is bool (or uint8)."""
    check_tensor(condition, "condition", "where")
    if input is None and other is None:
        from .indexing import nonzero

        return nonzero(condition, as_tuple=True)
    if condition._data.dtype not in (bool_, dtypes.uint8):
        raise RuntimeError(
            f"where expected condition to be a boolean tensor, but got a tensor with dtype {condition._data.dtype}"
        )
    input, other = operand(input, "input", "where"), operand(other, "other", "where")
    dtype = dtypes.result_type(input, other)
    a, b = [t if isinstance(t, Tensor) else number_tensor(t, dtype, condition) for t in (input, other)]
    a, b = promoted(a, b, "where", dtype)
    return Where()(cast(condition, bool_), a, b)


# torch spells the method with the tensor in front of the condition
Tensor.where = lambda self, condition, other: where(condition, self, other)  # type: ignore[method-assign]


class MaskedFill(Function):
    """x with `value` where the mask holds."""

    value: float

    def forward(self, x: Array, mask: Array) -> Array:
        self.shape = x.shape
        self.retain(mask)
        return pointwise("masked_fill", x, mask, parameters=(self.value,))

    def backward(self, dy: Array) -> tuple[Array, None]:
        (mask,) = self.retained
        return unbroadcast(pointwise("masked_fill", dy, mask, parameters=(0.0,)), self.shape), None


@tensor_method
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """input with `value` (a number or zero-dimensional tensor) where the bool mask holds, in input's dtype."""
    check_tensor(input, "input", "masked_fill")
    check_tensor(mask, "mask", "masked_fill")
    if mask._data.dtype != bool_:
        raise RuntimeError(f"masked_fill only supports boolean masks, but got mask with dtype {mask._data.dtype}")
    value = operand(value, "value", "masked_fill")
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                "masked_fill only supports a 0-dimensional value tensor, "
                f"but got tensor with {value.ndim} dimension(s)."
            )
        if value.requires_grad:
            return Where()(mask, *reversed(promoted(input, value, "masked_fill", input._data.dtype)))
        value = value.item()
    if input._data.dtype not in FLOATING:
        value = int(value)
    return MaskedFill(value=value)(input, mask)


# --- comparisons and logic ------------------------------------------------------------------------


@tensor_method
def eq(input: Tensor, other: Any) -> Tensor:
    """Where input == other, as bools."""
    return compare("eq", input, other)


@tensor_method
def ne(input: Tensor, other: Any) -> Tensor:
    """Where input != other, as bools."""
    return compare("ne", input, other)


@tensor_method
def lt(input: Tensor, other: Any) -> Tensor:
    """Where input < other, as bools."""
    return compare("lt", input, other)


@tensor_method
def le(input: Tensor, other: Any) -> Tensor:
    """Where input <= other, as bools."""
    return compare("le", input, other)


@tensor_method
def gt(input: Tensor, other: Any) -> Tensor:
    """Where input > other, as bools."""
    return compare("gt", input, other)


@tensor_method
def ge(input: Tensor, other: Any) -> Tensor:
    """Where input >= other, as bools."""
    return compare("ge", input, other)


@tensor_method
def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """Where both are non-zero, as bools."""
    return compare("logical_and", input, other)


@tensor_method
def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """Where either is non-zero, as bools."""
    return compare("logical_or", input, other)


@tensor_method
def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Where exactly one is non-zero, as bools."""
    return compare("logical_xor", input, other)


def _bitwise(op: str, input: Any, other: Any) -> Tensor:
    a, b = promoted(input, other, op)
    if a._data.dtype in FLOATING:
        raise NotImplementedError(f'"{op}" not implemented for dtype {a._data.dtype}')
    return wrap(pointwise(op, a._data, b._data))


@tensor_method
def bitwise_and(input: Tensor, other: Any) -> Tensor:
    """input & other, bit by bit; NotImplementedError for floating point."""
    return _bitwise("bitwise_and", input, other)


@tensor_method
def bitwise_or(input: Tensor, other: Any) -> Tensor:
    """input | other, bit by bit; NotImplementedError for floating point."""
    return _bitwise("bitwise_or", input, other)


@tensor_method
def bitwise_xor(input: Tensor, other: Any) -> Tensor:
    """input ^ other, bit by bit; NotImplementedError for floating point."""
    return _bitwise("bitwise_xor", input, other)


@tensor_method
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have one shape and equal elements; NaN equals nothing."""
    check_tensor(input, "input", "equal")
    check_tensor(other, "other", "equal")
    if input.shape != other.shape:
        return False
    same = compare("eq", input, other)._data
    return run_array("all", lambda a: bool(a.all()), same)


@tensor_method
def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Where |input - other| <= atol + rtol * |other|, as bools. RuntimeError unless the dtypes agree."""
    check_tensor(input, "input", "isclose")
    check_tensor(other, "other", "isclose")
    if input.dtype != other.dtype:
        raise RuntimeError(f"{input.dtype} did not match {other.dtype}")
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"isclose(): rtol and atol must not be negative, but got {rtol} and {atol}")
    with no_grad():
        close = eq(input, other)
        if equal_nan:
            close = logical_or(close, logical_and(isnan(input), isnan(other)))
        a, b = [cast(t, dtypes.float64) for t in (input, other)]
        allowed = add(mul(abs(b), rtol), atol)
        within = logical_and(isfinite(b), le(abs(sub(a, b)), allowed))
        return logical_or(close, logical_and(within, isfinite(a)))


@tensor_method
def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether `isclose` holds everywhere."""
    return run_array("all", lambda a: bool(a.all()), isclose(input, other, rtol, atol, equal_nan)._data)


# --- in place -------------------------------------------------------------------------------------


def _floating_(op: str, keep: str) -> Callable[[Tensor], Tensor]:
    def inplace(input: Tensor) -> Tensor:
        if input._data.dtype not in FLOATING:
            raise RuntimeError(
                f"result type {dtypes.get_default_dtype()} can't be cast to the desired output type {input._data.dtype}"
            )
        return unary_(op, input, keep=keep)

    inplace.__name__ = f"{op}_"
    inplace.__doc__ = f"`{op}` in place. RuntimeError for integers."
    return inplace


for _op, _keep in (
    ("exp", "y"), ("log", "x"), ("sqrt", "y"), ("rsqrt", "y"), ("reciprocal", "y"), ("sin", "x"), ("cos", "x"),
    ("tanh", "y"), ("sigmoid", "y"), ("erf", "x"),
):  # fmt: skip
    tensor_method(_floating_(_op, _keep))


@tensor_method
def neg_(input: Tensor) -> Tensor:
    _refuse_bool(input, "Negation")
    return unary_("neg", input, keep="")


@tensor_method
def abs_(input: Tensor) -> Tensor:
    return unary_("abs", _numeric(input, "abs_"))


@tensor_method
def square_(input: Tensor) -> Tensor:
    return pow_(input, 2)


for _op in ("floor", "ceil", "trunc", "round"):
    tensor_method(lambda input, op=_op: unary_(op, _numeric(input, op), keep=""), name=f"{_op}_")


def _scalar_(
    op: str, input: Tensor, number: Any, function: Callable[..., Tensor], other: Any, keep: str = ""
) -> Tensor:
    """input <- op(input; number) directly where the dtype stays, else through `function(input, other)`."""
    dtype = input._data.dtype
    if dtype != bool_ and scalar_result(dtype, number) == dtype:
        return unary_(op, input, (number,), keep)
    return input.inplace(function, other)


@tensor_method
def add_(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    if is_number(other):
        _check_alpha(alpha, input._data.dtype)
        return _scalar_("add_scalar", input, other * alpha, add, other)
    if alpha == 1:
        return binary_(input, other, add, "add")
    _check_alpha(alpha, input._data.dtype)
    return binary_(input, other, lambda a, b: add(a, b, alpha=alpha), "add", (alpha,))


@tensor_method
def sub_(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    if _is_real(other):
        _check_alpha(alpha, input._data.dtype)
        return _scalar_("add_scalar", input, -other * alpha, sub, other)
    if alpha == 1 and input._data.dtype != bool_:
        return binary_(input, other, sub, "sub")
    return input.inplace(lambda a, b: sub(a, b, alpha=alpha), other)


@tensor_method
def mul_(input: Tensor, other: Any) -> Tensor:
    if is_number(other):
        return _scalar_("mul_scalar", input, other, mul, other)
    return binary_(input, other, mul, "mul")


@tensor_method
def div_(input: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    if rounding_mode is not None or input._data.dtype not in FLOATING:
        return input.inplace(lambda a, b: div(a, b, rounding_mode=rounding_mode), other)
    if is_number(other):
        return _scalar_("div_scalar", input, other, div, other)
    return binary_(input, other, div, "div")


@tensor_method
def pow_(input: Tensor, exponent: Any) -> Tensor:
    if is_number(exponent) and input._data.dtype in FLOATING:
        return unary_("pow_scalar", input, (exponent,))
    return input.inplace(pow, exponent)


@tensor_method
def remainder_(input: Tensor, other: Any) -> Tensor:
    return input.inplace(remainder, other)


@tensor_method
def floor_divide_(input: Tensor, other: Any) -> Tensor:
    return input.inplace(floor_divide, other)


@tensor_method
def clamp_(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    dtype = input._data.dtype
    if is_number(min) and is_number(max) and dtypes.result_type(input, min, max) == dtype:
        return unary_("clamp", input, (min, max))
    return input.inplace(clamp, min, max)


@tensor_method
def clamp_min_(input: Tensor, min: Any) -> Tensor:
    return clamp_(input, min=min)


@tensor_method
def clamp_max_(input: Tensor, max: Any) -> Tensor:
    return clamp_(input, max=max)


@tensor_method
def masked_fill_(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    return input.inplace(masked_fill, mask, value)


class Assign(Function):
    """Another tensor's values, broadcast into x's place: the gradient goes to them alone."""

    def forward(self, x: Array, source: Array) -> Array:
        self.shape, self.dtype = source.shape, source.dtype
        out = array.empty_like(x)
        run_array("copy", _store, out, source)
        return out

    def backward(self, dy: Array) -> tuple[Array | None, Array | None]:
        dx = zeros_like(dy) if self.wants[0] else None
        if not self.wants[1]:
            return dx, None
        ds = unbroadcast(dy, self.shape)
        return dx, ds if ds.dtype == self.dtype else cast_array(ds, self.dtype)


def _store(out: Array, source: Array) -> None:
    with np.errstate(all="ignore"):
        out[...] = source != 0 if out.dtype == bool_ else source


@tensor_method
def copy_(input: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """input <- src, broadcast and cast to input's dtype and device."""
    check_tensor(src, "src", "copy_")
    if array.broadcast_shapes(input.shape, src.shape) != input.shape:
        raise RuntimeError(
            f"output with shape {list(input.shape)} doesn't match the broadcast shape "
            f"{list(array.broadcast_shapes(input.shape, src.shape))}"
        )
    if array.device_of(src._data) != array.device_of(input._data):
        src = src.to(input.device)
    if is_grad_enabled() and (input._requires_grad or src._requires_grad):
        return input.inplace(lambda x, s: Assign()(x, s), src)
    input.check_inplace()
    run_array("copy", _store, input._data, src._data)
    input.edited(None)
    return input


@tensor_method
def fill_(input: Tensor, value: Any) -> Tensor:
    """Every element <- value, a number or zero-dimensional tensor."""
    value = operand(value, "value", "fill_")
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                "fill_ only supports 0-dimension value tensor but got tensor with "
                f"{value.ndim} dimensions."
            )
        return copy_(input, value)
    dtype = input._data.dtype
    if dtype in INTEGRAL and isinstance(value, (float, np.floating)) and not math.isfinite(value):
        raise RuntimeError(f"value cannot be converted to type {dtype} without overflow")
    return copy_(input, number_tensor(value, dtype, input))


@tensor_method
def zero_(input: Tensor) -> Tensor:
    """Every element <- 0."""
    return fill_(input, 0)


# --- operators ------------------------------------------------------------------------------------


def _operator(function: Callable[..., Tensor], swapped: bool = False) -> Callable[..., Any]:
    """The Tensor operator of `function`; NotImplemented for what is neither tensor, number nor array."""

    def method(self: Tensor, other: Any) -> Any:
        if not (isinstance(other, Tensor) or is_number(other) or array.is_array(other)):
            return NotImplemented
        other = operand(other, "other", function.__name__)
        return function(other, self) if swapped else function(self, other)

    return method


for _symbol, _function in (
    ("add", add), ("mul", mul), ("sub", sub), ("truediv", div), ("floordiv", floor_divide), ("mod", remainder),
    ("pow", pow), ("and", bitwise_and), ("or", bitwise_or), ("xor", bitwise_xor),
):  # fmt: skip
    setattr(Tensor, f"__{_symbol}__", _operator(_function))
    setattr(Tensor, f"__r{_symbol}__", _operator(_function, swapped=True))
for _function in (eq, ne, lt, le, gt, ge):
    setattr(Tensor, f"__{_function.__name__}__", _operator(_function))
for _symbol, _name in (
    ("add", "add_"), ("sub", "sub_"), ("mul", "mul_"), ("truediv", "div_"), ("floordiv", "floor_divide_"),
    ("mod", "remainder_"), ("pow", "pow_"),
):  # fmt: skip
    setattr(Tensor, f"__i{_symbol}__", _operator(getattr(Tensor, _name)))
for _symbol, _function in (("neg", neg), ("abs", abs), ("invert", bitwise_not)):
    setattr(Tensor, f"__{_symbol}__", lambda self, function=_function: function(self))
setattr(Tensor, "__rsub__", lambda self, other: _operator(rsub)(self, other))
for _method, _function in (
    ("negative", neg), ("absolute", abs), ("subtract", sub), ("multiply", mul), ("divide", div),
    ("true_divide", div), ("clip", clamp),
):  # fmt: skip
    setattr(Tensor, _method, _function)
