"""Reductions with torch's names, dtypes, empty results and gradients: one call of the primitive
`reduce` each.

`dim` is an int, a tuple of ints or None for every axis; negative counts from the back. IndexError
for an axis out of range, RuntimeError for one named twice.
"""

from __future__ import annotations

import builtins
import math
from typing import Any, NamedTuple

import numpy as np

from .. import array, dtypes
from ..array import Array
from ..autograd import Function
from ..dispatch import run, run_array
from ..dtypes import FLOATING, bool_, int64
from ..geometry import reduce_geometry
from ..tensor import Tensor, check_dim, tensor_method
from . import elementwise as E
from ._common import check_tensor
from ._pointwise import as_floating, cast, pointwise, scalar_array

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "count_nonzero", "logsumexp", "max", "mean",
    "min", "norm", "prod", "std", "std_mean", "sum", "var", "var_mean",
]  # fmt: skip

Axes = tuple[int, ...]


def reduce_axes(dim: Any, ndim: int) -> Axes:
    """`dim` as sorted axes; None and () are all of them."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    axes = [check_dim(d, ndim) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))]
    if len(set(axes)) != len(axes):
        twice = next(a for a in axes if axes.count(a) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return tuple(sorted(axes)) if ndim else ()


def reduced(
    op: str,
    x: Array,
    axes: Axes,
    keepdim: bool = False,
    dtype: np.dtype | None = None,
    correction: float = 0.0,
) -> Array:
    """`op` of x over the axes, in x's dtype unless given."""
    left = tuple([size for i, size in enumerate(x.shape) if i not in axes])
    out = array.empty(left, x.dtype if dtype is None else dtype, device=array.device_of(x))
    run("reduce", x, out=out, geometry=reduce_geometry(op, axes, correction))
    return out.reshape(kept_shape(x.shape, axes)) if keepdim else out


def kept_shape(shape: tuple[int, ...], axes: Axes) -> tuple[int, ...]:
    return tuple([1 if i in axes else size for i, size in enumerate(shape)])


class Reduction(Function):
    """y = op of x over `axes`; subclasses give the gradient of dy with the axes put back as 1."""

    op: str
    axes: Axes
    keepdim: bool = False
    dtype: np.dtype | None = None
    correction = 0.0

    def forward(self, x: Array) -> Array:
        self.shape, self.layout = x.shape, array.memory_format(x)
        y = reduced(self.op, x, self.axes, self.keepdim, self.dtype, self.correction)
        self.keep(x, y)
        return y

    def keep(self, x: Array, y: Array) -> None:
        self.retain(x, y)

    def kept(self, a: Array) -> Array:
        """An output or its gradient, broadcastable against x."""
        return a.reshape(kept_shape(self.shape, self.axes))

    def count(self) -> int:
        return math.prod(self.shape[axis] for axis in self.axes)

    def backward(self, dy: Array) -> Array:
        x, y = self.retained
        return pointwise(f"{self.op}_dgrad", self.kept(dy), x, self.kept(y))


class Sum(Reduction):
    """The gradient is dy, repeated."""

    op = "sum"

    def keep(self, x: Array, y: Array) -> None:
        self.retain()

    def backward(self, dy: Array) -> Array:
        dx = array.empty(self.shape, dy.dtype, self.layout, array.device_of(dy))
        return run_array("expand", _store, dx, self.kept(dy))


class Mean(Sum):
    """The gradient is dy / count, repeated."""

    op = "mean"

    def backward(self, dy: Array) -> Array:
        return super().backward(
            pointwise("div_scalar", dy, parameters=(builtins.max(self.count(), 1),))
        )


def _store(out: Array, values: Array) -> Array:
    out[...] = values
    return out


class Prod(Reduction):
    """The gradient at x is dy times the product of the others, also where some are zero."""

    op = "prod"

    def backward(self, dy: Array) -> Array:
        x, _ = self.retained
        zero = pointwise("eq_scalar", x, parameters=(0.0,), dtype=bool_)
        others = pointwise("masked_fill", x, zero, parameters=(1.0,))
        product = reduced("prod", others, self.axes, True)
        zeros = reduced("count_nonzero", zero, self.axes, True, dtype=dy.dtype)
        return pointwise("prod_dgrad", self.kept(dy), x, product, zeros)


class Extreme(Reduction):
    """amax or amin: the elements equal to it share the gradient evenly."""

    nan_shares = False  # whether NaN elements count as equal to a NaN result

    def backward(self, dy: Array) -> Array:
        x, y = self.retained
        y = self.kept(y)
        same = pointwise("eq", x, y, dtype=bool_)
        if self.nan_shares:
            both = [pointwise("isnan", a, dtype=bool_) for a in (x, y)]
            same = pointwise("logical_or", same, pointwise("logical_and", *both))
        count = reduced("count_nonzero", same, self.axes, True, dtype=dy.dtype)
        share = pointwise("div", self.kept(dy), count)
        evenly = pointwise("where", same, scalar_array(1, dy), scalar_array(0, dy), dtype=dy.dtype)
        return pointwise("mul", evenly, share)


class Variance(Reduction):
    """var or std; the gradient looks the mean up again."""

    def backward(self, dy: Array) -> Array:
        x, y = self.retained
        divisor = self.count() - self.correction
        scale = 2.0 / divisor if divisor > 0 else math.inf if divisor == 0 else 0.0
        mean = reduced("mean", x, self.axes, True)
        saved = (x, mean, self.kept(y)) if self.op == "std" else (x, mean)
        return pointwise(f"{self.op}_dgrad", self.kept(dy), *saved, parameters=(scale,))


class SelectAlong(Function):
    """(values, indices) of the largest or smallest element along one axis; the gradient goes to the
    one picked."""

    op: str
    axis: int
    keepdim: bool

    def forward(self, x: Array) -> tuple[Array, Array]:
        self.shape, self.layout = x.shape, array.memory_format(x)
        axes = (self.axis,) if x.ndim else ()
        indices = reduced(self.op, x, axes, True, dtype=int64)
        values = run_array("gather", take_along, x, indices, self.axis)
        self.retain(indices)
        if self.keepdim or not x.ndim:
            return values, indices
        return values.squeeze(self.axis), indices.squeeze(self.axis)

    def backward(self, dvalues: Array, dindices: Array | None) -> Array:
        (indices,) = self.retained
        dx = array.empty(self.shape, dvalues.dtype, self.layout, array.device_of(dvalues))
        dx[...] = 0
        return run_array(
            "scatter", put_along, dx, indices, dvalues.reshape(indices.shape), self.axis
        )


def take_along(x: Array, indices: Array, axis: int) -> Array:
    """x at `indices` along the axis; x's copy where it has no axes."""
    return array.xp(x).take_along_axis(x, indices, axis) if x.ndim else array.copy(x)


def index_grid(index: Array, axis: int) -> tuple[Array, ...]:
    """Full index arrays: `index` along the axis, its own positions along the others."""
    xp = array.xp(index)
    grids = [
        xp.arange(size).reshape((1,) * i + (-1,) + (1,) * (index.ndim - 1 - i))
        for i, size in enumerate(index.shape)
    ]
    grids[axis] = index
    return tuple(grids)


def put_along(out: Array, indices: Array, values: Array, axis: int) -> Array:
    """out with `values` at `indices` along the axis, in place."""
    if out.ndim:
        out[index_grid(indices, axis)] = values
    else:
        out[...] = values
    return out


# --- sums and products ----------------------------------------------------------------------------


def _operand(input: Tensor, op: str, dtype: Any) -> tuple[Tensor, np.dtype]:
    """The tensor to sum, and the dtype of the result: int64 for integers and bools."""
    check_tensor(input, "input", op)
    if dtype is not None:
        wanted = dtypes.as_dtype(dtype)
        return cast(input, wanted), wanted
    known = input._data.dtype
    return input, known if known in FLOATING else int64


def _dim_only(dim: Any, axis: Any) -> Any:
    return dim if axis is None else axis


@tensor_method
def sum(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None
) -> Tensor:
    """The sum over `dim`; 0 over nothing. Integers and bools sum in int64."""
    x, wanted = _operand(input, "sum", dtype)
    axes = reduce_axes(_dim_only(dim, axis), x._data.ndim)
    return Sum(axes=axes, keepdim=keepdim, dtype=wanted)(x)


@tensor_method
def mean(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None
) -> Tensor:
    """The mean over `dim`; NaN over nothing. RuntimeError for integers unless a floating `dtype` is
    given."""
    x, wanted = _operand(input, "mean", dtype)
    if x._data.dtype not in FLOATING:
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be a floating point dtype. "
            f"Got: {x._data.dtype}"
        )
    axes = reduce_axes(_dim_only(dim, axis), x._data.ndim)
    return Mean(axes=axes, keepdim=keepdim, dtype=wanted)(x)


@tensor_method
def prod(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The product along `dim` or of all elements; 1 over nothing. Integers and bools multiply in
    int64."""
    if isinstance(dim, (tuple, list)):
        raise TypeError(f"prod(): argument 'dim' must be int, not {type(dim).__name__}")
    x, wanted = _operand(input, "prod", dtype)
    return Prod(op="prod", axes=reduce_axes(dim, x._data.ndim), keepdim=keepdim, dtype=wanted)(x)


@tensor_method
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """log of the sum of exp(input) over `dim`, without overflow; -inf over nothing."""
    x = as_floating(input, "logsumexp")
    return Reduction(op="logsumexp", axes=reduce_axes(dim, x._data.ndim), keepdim=keepdim)(x)


@tensor_method
def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements over `dim` are not 0, as int64."""
    check_tensor(input, "input", "count_nonzero")
    return _plain("count_nonzero", input, reduce_axes(dim, input._data.ndim), False, int64)


def _plain(op: str, input: Tensor, axes: Axes, keepdim: bool, dtype: np.dtype) -> Tensor:
    """A reduction that is never recorded."""
    return Tensor._wrap(reduced(op, input._data, axes, keepdim, dtype))


def _logical(op: str, input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    check_tensor(input, "input", op)
    dtype = dtypes.uint8 if input._data.dtype == dtypes.uint8 else bool_
    # unlike the other reductions, () names no axis here
    axes = () if isinstance(dim, (tuple, list)) and not dim else reduce_axes(dim, input._data.ndim)
    return _plain(op, input, axes, keepdim, dtype)


@tensor_method
def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether any element over `dim` is not 0, as bool (uint8 for uint8)."""
    return _logical("any", input, dim, keepdim)


@tensor_method
def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether every element over `dim` is not 0, as bool (uint8 for uint8)."""
    return _logical("all", input, dim, keepdim)


# --- extremes -------------------------------------------------------------------------------------


class max_result(NamedTuple):  # named as torch.return_types prints it
    values: Tensor
    indices: Tensor


class min_result(NamedTuple):
    values: Tensor
    indices: Tensor


def _check_sizes(
    op: str, input: Tensor, axes: Axes, dim: Any, without_dim: type[Exception]
) -> None:
    """IndexError if an axis to reduce is empty, `without_dim` if the whole tensor is and no axis
    was named."""
    shape = input._data.shape
    if dim is None or dim == ():
        if not input._data.size:
            raise without_dim(
                f"{op}(): Expected reduction dim to be specified for input.numel() == 0. "
                "Specify the reduction dim with the 'dim' argument."
            )
        return
    for axis in axes:
        if not shape[axis]:
            raise IndexError(f"{op}(): Expected reduction dim {axis} to have non-zero size.")


def _extreme(op: str, input: Tensor, dim: Any, keepdim: bool, nan_shares: bool = False) -> Tensor:
    axes = reduce_axes(dim, input._data.ndim)
    _check_sizes(op.removeprefix("a") if nan_shares else op, input, axes, dim, RuntimeError)
    return Extreme(op=op, axes=axes, keepdim=keepdim, nan_shares=nan_shares)(input)


@tensor_method
def amax(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The largest element over `dim`; NaN if there is one. Equal elements share the gradient.

    RuntimeError or IndexError over nothing."""
    check_tensor(input, "input", "amax")
    return _extreme("amax", input, dim, keepdim)


@tensor_method
def amin(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The smallest element over `dim`; NaN if there is one. Equal elements share the gradient.

    RuntimeError or IndexError over nothing."""
    check_tensor(input, "input", "amin")
    return _extreme("amin", input, dim, keepdim)


def _arg(op: str, input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    check_tensor(input, "input", op)
    if input._data.dtype == bool_:
        raise RuntimeError(f"{op}(): does not support bool input")
    if isinstance(dim, (tuple, list)):
        raise TypeError(f"{op}(): argument 'dim' must be int, not {type(dim).__name__}")
    axes = reduce_axes(dim, input._data.ndim)
    _check_sizes(op, input, axes, dim, IndexError)
    return _plain(op, input, axes, keepdim, int64)


@tensor_method
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index along `dim`, or in the flattened tensor, of the first largest element; NaN is the
    largest."""
    return _arg("argmax", input, dim, keepdim)


@tensor_method
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index along `dim`, or in the flattened tensor, of the first smallest element; NaN is the
    smallest."""
    return _arg("argmin", input, dim, keepdim)


def _max_or_min(op: str, input: Tensor, dim: Any, keepdim: bool, other: Any) -> Any:
    check_tensor(input, "input", op)
    if other is not None or isinstance(dim, Tensor):
        return (E.maximum if op == "max" else E.minimum)(input, dim if other is None else other)
    if dim is None:
        return _extreme(f"a{op}", input, None, keepdim, nan_shares=True)
    axis = check_dim(dim, input._data.ndim)
    _check_sizes(op, input, (axis,) if input._data.ndim else (), axis, RuntimeError)
    values, indices = SelectAlong(op=f"arg{op}", axis=axis, keepdim=keepdim)(input)
    return (max_result if op == "max" else min_result)(values, indices)


@tensor_method
def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """max(input): the largest element. max(input, dim): (values, indices) along dim, the first of
    equal ones. max(input, other): the elementwise maximum. NaN wins everywhere."""
    return _max_or_min("max", input, dim, keepdim, other)


@tensor_method
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """min(input): the smallest element. min(input, dim): (values, indices) along dim, the first of
    equal ones. min(input, other): the elementwise minimum. NaN wins everywhere."""
    return _max_or_min("min", input, dim, keepdim, other)


# --- spread and size ------------------------------------------------------------------------------


def _variance(
    op: str, input: Tensor, dim: Any, unbiased: bool, keepdim: bool, correction: float | None
) -> Tensor:
    check_tensor(input, "input", op)
    if input._data.dtype not in FLOATING:
        raise RuntimeError("std and var only support floating point dtypes")
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = float(unbiased)
    axes = reduce_axes(dim, input._data.ndim)
    return Variance(op=op, axes=axes, keepdim=keepdim, correction=float(correction))(input)


@tensor_method
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The sum of squared deviations from the mean over count - correction (1 if unbiased, else
    0)."""
    return _variance("var", input, dim, unbiased, keepdim, correction)


@tensor_method
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The square root of `var`; the gradient where it is 0 is 0."""
    return _variance("std", input, dim, unbiased, keepdim, correction)


def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """(var, mean) over `dim`."""
    spread = _variance("var", input, dim, unbiased, keepdim, correction)
    return spread, mean(input, None if isinstance(dim, bool) else dim, keepdim)


def std_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """(std, mean) over `dim`."""
    spread = _variance("std", input, dim, unbiased, keepdim, correction)
    return spread, mean(input, None if isinstance(dim, bool) else dim, keepdim)


class PowerNorm(Reduction):
    """(sum |x|^p)^(1/p), p being `correction`."""

    op = "norm_power"

    def backward(self, dy: Array) -> Array:
        x, y = self.retained
        return pointwise(
            "norm_power_dgrad", self.kept(dy), x, self.kept(y), parameters=(self.correction,)
        )


class Constant(Function):
    """y, which was counted from x outside the graph: it has none of x's gradient."""

    def forward(self, x: Array, y: Array) -> Array:
        return y

    def backward(self, dy: Array) -> tuple[None, None]:
        return None, None


@tensor_method
def norm(
    input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    """The vector p-norm over `dim`: (sum |x|^p)^(1/p), with p = inf, -inf and 0 as limits; "fro" is
    2.

    RuntimeError for integers. The gradient at 0 is 0."""
    check_tensor(input, "input", "norm")
    x = input if dtype is None else cast(input, dtypes.as_dtype(dtype))
    if x._data.dtype not in FLOATING:
        raise RuntimeError(
            f"linalg.vector_norm: Expected a floating point tensor as input. Got {x._data.dtype}"
        )
    axes = reduce_axes(dim, x._data.ndim)
    if p in (None, "fro", 1, 2):
        return Reduction(op="norm1" if p == 1 else "norm", axes=axes, keepdim=keepdim)(x)
    if not isinstance(p, (int, float)):
        raise RuntimeError(f"norm(): p: got {p!r}, expected a number or 'fro'")
    if p == 0:
        return Constant()(x, cast(sum(E.ne(x, 0), axes, keepdim), x._data.dtype))
    if math.isinf(p):
        return (amax if p > 0 else amin)(E.abs(x), axes, keepdim)
    return PowerNorm(correction=float(p), axes=axes, keepdim=keepdim)(x)
