"""Sorting, top-k and running sums along one dimension: array operations, with gradients that follow
the elements.

NaN counts as the largest number, as in torch. Equal elements keep their order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import array, dtypes
from ..array import Array
from ..autograd import Function
from ..dispatch import run_array
from ..dtypes import FLOATING, bool_
from ..tensor import Tensor, check_dim, tensor_method
from ._common import check_tensor
from ._pointwise import cast, cast_array
from .reduction import put_along, take_along

__all__ = ["argsort", "cumprod", "cumsum", "sort", "topk"]


class sort_result(NamedTuple):
    values: Tensor
    indices: Tensor


class topk_result(NamedTuple):
    values: Tensor
    indices: Tensor


def _order(x: Array, axis: int, descending: bool) -> Array:
    """Stable positions of x's elements in order; those of NaN last, or first when descending."""
    xp = array.xp(x)
    x = x.astype(dtypes.accumulation_dtype(x.dtype), copy=False)
    if not descending:
        return xp.argsort(x, axis=axis, kind="stable")
    # a stable sort of the reversed array, read backwards, descends and keeps equal elements in
    # order
    backwards = xp.argsort(xp.flip(x, axis), axis=axis, kind="stable")
    return x.shape[axis] - 1 - xp.flip(backwards, axis)


class Sorted(Function):
    """(values, indices) of the first `count` elements in order; the gradient goes back where each
    came from."""

    axis: int
    descending: bool
    count: int

    def forward(self, x: Array) -> tuple[Array, Array]:
        self.shape = x.shape
        if not x.ndim:
            indices = array.xp(x).zeros((), dtypes.int64)
        else:
            order = run_array("sort", _order, x, self.axis, self.descending)
            first = (slice(None),) * self.axis + (slice(0, self.count),)
            indices = array.copy(order[first])
        self.retain(indices)
        return run_array("gather", take_along, x, indices, self.axis), indices

    def backward(self, dvalues: Array, dindices: Array | None) -> Array:
        (indices,) = self.retained
        dx = array.empty(self.shape, dvalues.dtype, device=array.device_of(dvalues))
        dx[...] = 0
        return run_array("scatter", put_along, dx, indices, dvalues, self.axis)


def _sorted(
    op: str, input: Tensor, dim: int, descending: bool, count: int | None
) -> tuple[Tensor, Tensor]:
    check_tensor(input, "input", op)
    axis = check_dim(dim, input._data.ndim)
    size = input._data.shape[axis] if input._data.ndim else 1
    if count is None:
        count = size
    elif not 0 <= count <= size:
        raise RuntimeError(
            f"{op}(): selected index k out of range: got {count}, expected 0 to {size}"
        )
    return Sorted(axis=axis, descending=bool(descending), count=count)(input)


@tensor_method
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """(values, indices) in order along `dim`; always stable."""
    return sort_result(*_sorted("sort", input, dim, descending, None))


@tensor_method
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The indices that sort input along `dim`; always stable."""
    return _sorted("argsort", input, dim, descending, None)[1]


@tensor_method
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the k largest or smallest elements along `dim`, in order.

    RuntimeError for a k outside [0, size], or a bool tensor."""
    check_tensor(input, "input", "topk")
    if input._data.dtype == bool_:
        raise RuntimeError("topk does not support bool dtypes")
    if isinstance(k, (bool, float)) or not hasattr(k, "__index__"):
        raise TypeError(f"topk(): argument 'k' must be int, not {type(k).__name__}")
    return topk_result(*_sorted("topk", input, dim, largest, int(k)))


def _scan(x: Array, axis: int, op: str, dtype: Any) -> Array:
    """Running sums or products, in float64 for floating point and rounded once."""
    xp = array.xp(x)
    floating = x.dtype in FLOATING
    wide = x.astype(dtypes.float64 if floating else dtype)
    out = getattr(xp, op)(wide, axis=axis) if x.ndim else wide
    return cast_array(out, dtype) if out.dtype != dtype else out


class Cumsum(Function):
    """Running sums; the gradient is the running sum of dy from the other end."""

    axis: int
    dtype: Any

    def forward(self, x: Array) -> Array:
        return run_array("cumsum", _scan, x, self.axis, "cumsum", self.dtype)

    def backward(self, dy: Array) -> Array:
        if not dy.ndim:
            return dy
        xp = array.xp(dy)
        reverse = run_array("cumsum", _scan, xp.flip(dy, self.axis), self.axis, "cumsum", dy.dtype)
        return array.copy(xp.flip(reverse, self.axis))


class Cumprod(Function):
    """Running products."""

    axis: int
    dtype: Any

    def forward(self, x: Array) -> Array:
        y = run_array("cumprod", _scan, x, self.axis, "cumprod", self.dtype)
        self.retain(x)
        return y

    def backward(self, dy: Array) -> Array:
        (x,) = self.retained
        return run_array("cumprod", _cumprod_gradient, x, dy, self.axis) if x.ndim else dy


def _cumprod_gradient(x: Array, dy: Array, axis: int) -> Array:
    """dx_k = sum over i >= k of dy_i times the product of x_0 .. x_i without x_k; no division, so
    zeros are safe."""
    xp = array.xp(x)
    wide, dy64 = [xp.moveaxis(a.astype(dtypes.float64), axis, -1) for a in (x, dy)]
    out = xp.empty_like(wide)
    for k in range(wide.shape[-1]):
        others = wide.copy()
        others[..., k] = 1
        out[..., k] = (xp.cumprod(others, axis=-1) * dy64)[..., k:].sum(-1)
    return cast_array(xp.moveaxis(out, -1, axis), dy.dtype)


def _scanned(op: str, function: type[Function], input: Tensor, dim: int, dtype: Any) -> Tensor:
    check_tensor(input, "input", op)
    axis = check_dim(dim, input._data.ndim)
    known = input._data.dtype
    wanted = (
        dtypes.as_dtype(dtype)
        if dtype is not None
        else known
        if known in FLOATING
        else dtypes.int64
    )
    return function(axis=axis, dtype=wanted)(cast(input, wanted))


@tensor_method
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sums along `dim`; int64 for integers and bools."""
    return _scanned("cumsum", Cumsum, input, dim, dtype)


@tensor_method
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running products along `dim`; int64 for integers and bools."""
    return _scanned("cumprod", Cumprod, input, dim, dtype)
