"""Elementwise choice: clamp, where, masked_fill."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..array import Array
from ..autograd import Function
from ..dtypes import FLOATING, bool_
from ..tensor import Tensor, tensor_method
from ._common import check_tensor, unbroadcast
from ._pointwise import (
    cast,
    number_tensor,
    operand,
    pointwise,
    promoted,
    scalar_array,
    unary,
)


class ClampTensor(Function):
    """min(max(x, low), high) between tensors; a bound that is None does not hold."""

    def forward(self, x: Array, low: Array | None, high: Array | None) -> Array:
        self.shapes = [() if a is None else a.shape for a in (x, low, high)]
        self.retain(x, low, high)
        y = x if low is None else pointwise("maximum", x, low)
        return y if high is None else pointwise("minimum", y, high)

    def backward(self, dy: Array) -> tuple[Array | None, ...]:
        x, low, high = self.retained
        gradients: list[Array | None] = [None, None, None]
        zero = scalar_array(0, dy)
        masks = (
            lambda: _both("logical_and", _mask("ge", x, low), _mask("le", x, high)),
            lambda: _both("logical_and", _mask("lt", x, low), _mask("lt", low, high)),
            lambda: _both("logical_or", _mask("gt", x, high), _mask("lt", high, low)),
        )
        for i, mask in enumerate(masks):
            if self.wants[i]:
                gradients[i] = unbroadcast(
                    pointwise("where", mask(), dy, zero, dtype=dy.dtype), self.shapes[i]
                )
        return tuple(gradients)


def _mask(op: str, a: Array | None, b: Array | None) -> Array | None:
    return None if a is None or b is None else pointwise(op, a, b, dtype=bool_)


def _both(op: str, a: Array | None, b: Array | None) -> Array:
    if a is None or b is None:
        return b if a is None else a
    return pointwise(op, a, b)


@tensor_method
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """input kept between min and max, numbers or tensors; max wins where min > max, and NaN stays
    NaN.

    The gradient at a bound is input's. RuntimeError if both bounds are None."""
    check_tensor(input, "input", "clamp")
    if min is None and max is None:
        raise RuntimeError("clamp(): At least one of 'min' or 'max' must not be None")
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


# --- where and masked_fill ------------------------------------------------------------------------


class Where(Function):
    """a where the condition holds, else b; the gradient goes where the value came from."""

    def forward(self, condition: Array, a: Array, b: Array) -> Array:
        self.shapes = (a.shape, b.shape)
        self.retain(condition)
        return pointwise("where", condition, a, b, dtype=a.dtype)

    def backward(self, dy: Array) -> tuple[Array | None, ...]:
        (condition,) = self.retained
        zero = scalar_array(0, dy)
        da = db = None
        if self.wants[1]:
            da = unbroadcast(
                pointwise("where", condition, dy, zero, dtype=dy.dtype), self.shapes[0]
            )
        if self.wants[2]:
            db = unbroadcast(
                pointwise("where", condition, zero, dy, dtype=dy.dtype), self.shapes[1]
            )
        return None, da, db


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """input where condition holds, else other; with the condition alone, the indices of its
    non-zero elements.

    RuntimeError unless the condition is bool (or uint8)."""
    check_tensor(condition, "condition", "where")
    if input is None and other is None:
        from .indexing import nonzero

        return nonzero(condition, as_tuple=True)
    if condition._data.dtype not in (bool_, dtypes.uint8):
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{condition._data.dtype}"
        )
    input, other = operand(input, "input", "where"), operand(other, "other", "where")
    dtype = dtypes.result_type(input, other)
    a, b = [
        t if isinstance(t, Tensor) else number_tensor(t, dtype, condition) for t in (input, other)
    ]
    a, b = promoted(a, b, "where", dtype)
    return Where()(cast(condition, bool_), a, b)


# torch spells the method with the tensor in front of the condition
tensor_method(name="where")(lambda self, condition, other: where(condition, self, other))


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
    """input with `value` (a number or zero-dimensional tensor) where the bool mask holds, in
    input's dtype."""
    check_tensor(input, "input", "masked_fill")
    check_tensor(mask, "mask", "masked_fill")
    if mask._data.dtype != bool_:
        raise RuntimeError(
            f"masked_fill only supports boolean masks, but got mask with dtype {mask._data.dtype}"
        )
    value = operand(value, "value", "masked_fill")
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                "masked_fill only supports a 0-dimensional value tensor, "
                f"but got tensor with {value.ndim} dimension(s)."
            )
        if value.requires_grad:
            return Where()(
                mask, *reversed(promoted(input, value, "masked_fill", input._data.dtype))
            )
        value = value.item()
    if input._data.dtype not in FLOATING:
        value = int(value)
    return MaskedFill(value=value)(input, mask)
