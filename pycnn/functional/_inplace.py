"""In-place forms of the elementwise functions, and the operators of Tensor.

An edit that nothing records runs directly in the tensor's memory; a recorded one keeps what its
gradient needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import array, dtypes
from ..array import Array
from ..autograd import Function, is_grad_enabled
from ..dispatch import run_array
from ..dtypes import FLOATING, INTEGRAL, bool_
from ..tensor import Tensor, tensor_method
from ._arithmetic import (
    add,
    check_alpha,
    div,
    floor_divide,
    is_real,
    mul,
    pow,
    remainder,
    sub,
)
from ._common import check_tensor, unbroadcast
from ._comparison import bitwise_and, bitwise_or, bitwise_xor, eq, ge, gt, le, lt, ne
from ._pointwise import (
    binary_,
    cast_array,
    is_number,
    number_tensor,
    operand,
    scalar_result,
    unary_,
    zeros_like,
)
from ._selection import clamp, masked_fill
from ._unary import abs, bitwise_not, neg, numeric, refuse_bool


def _floating_(op: str, keep: str) -> Callable[[Tensor], Tensor]:
    def inplace(input: Tensor) -> Tensor:
        if input._data.dtype not in FLOATING:
            raise RuntimeError(
                f"result type {dtypes.get_default_dtype()} can't be cast to the desired output "
                f"type {input._data.dtype}"
            )
        return unary_(op, input, keep=keep)

    inplace.__name__ = f"{op}_"
    inplace.__doc__ = f"`{op}` in place. RuntimeError for integers."
    return inplace


for _op, _keep in (
    ("exp", "y"), ("log", "x"), ("sqrt", "y"), ("rsqrt", "y"), ("reciprocal", "y"), ("sin", "x"),
    ("cos", "x"), ("tanh", "y"), ("sigmoid", "y"), ("erf", "x"),
):  # fmt: skip
    tensor_method(_floating_(_op, _keep))


@tensor_method
def neg_(input: Tensor) -> Tensor:
    refuse_bool(input, "Negation")
    return unary_("neg", input, keep="")


@tensor_method
def abs_(input: Tensor) -> Tensor:
    return unary_("abs", numeric(input, "abs_"))


@tensor_method
def square_(input: Tensor) -> Tensor:
    return pow_(input, 2)


for _op in ("floor", "ceil", "trunc", "round"):
    tensor_method(lambda input, op=_op: unary_(op, numeric(input, op), keep=""), name=f"{_op}_")


def _scalar_(
    op: str, input: Tensor, number: Any, function: Callable[..., Tensor], other: Any, keep: str = ""
) -> Tensor:
    """input <- op(input; number) directly where the dtype stays, else through `function(input,
    other)`."""
    dtype = input._data.dtype
    if dtype != bool_ and scalar_result(dtype, number) == dtype:
        return unary_(op, input, (number,), keep)
    return input.inplace(function, other)


@tensor_method
def add_(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    if is_number(other):
        check_alpha(alpha, input._data.dtype)
        return _scalar_("add_scalar", input, other * alpha, add, other)
    if alpha == 1:
        return binary_(input, other, add, "add")
    check_alpha(alpha, input._data.dtype)
    return binary_(input, other, lambda a, b: add(a, b, alpha=alpha), "add", (alpha,))


@tensor_method
def sub_(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    if is_real(other):
        check_alpha(alpha, input._data.dtype)
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
    if is_grad_enabled() and (input.requires_grad or src.requires_grad):
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
    """The Tensor operator of `function`; NotImplemented for what is neither tensor, number nor
    array."""

    def method(self: Tensor, other: Any) -> Any:
        if not (isinstance(other, Tensor) or is_number(other) or array.is_array(other)):
            return NotImplemented
        other = operand(other, "other", function.__name__)
        return function(other, self) if swapped else function(self, other)

    return method


_OPERATORS = (
    ("add", add), ("mul", mul), ("sub", sub), ("truediv", div), ("floordiv", floor_divide),
    ("mod", remainder), ("pow", pow), ("and", bitwise_and), ("or", bitwise_or),
    ("xor", bitwise_xor),
)  # fmt: skip
_INPLACE_OPERATORS = (
    ("iadd", "add_"), ("isub", "sub_"), ("imul", "mul_"), ("itruediv", "div_"),
    ("ifloordiv", "floor_divide_"), ("imod", "remainder_"), ("ipow", "pow_"),
)  # fmt: skip
_ALIASES = (
    ("negative", neg), ("absolute", abs), ("subtract", sub), ("multiply", mul), ("divide", div),
    ("true_divide", div), ("clip", clamp),
)  # fmt: skip

for _name, _function in _OPERATORS:
    tensor_method(_operator(_function), name=f"__{_name}__")
    tensor_method(_operator(_function, swapped=True), name=f"__r{_name}__")
for _function in (eq, ne, lt, le, gt, ge):
    tensor_method(_operator(_function), name=f"__{_function.__name__}__")
for _name, _method in _INPLACE_OPERATORS:
    tensor_method(_operator(getattr(Tensor, _method)), name=f"__{_name}__")
for _name, _function in (("neg", neg), ("abs", abs), ("invert", bitwise_not)):
    tensor_method(_function, name=f"__{_name}__")
for _name, _function in _ALIASES:
    tensor_method(_function, name=_name)
