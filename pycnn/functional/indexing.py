"""Indexing with torch's rules: ints, slices, None and Ellipsis give views; int tensors, lists and
masks give copies.

Where both kinds meet, the basic part is taken first, as a view, and the rest indexes that.
Gradients of repeated indices add up, in float32 for the halves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import array, dtypes
from ..array import Array
from ..autograd import Function, is_grad_enabled, wrap
from ..dispatch import run_array
from ..dtypes import bool_, int64
from ..tensor import Tensor, check_dim, tensor_method
from . import elementwise as E
from ._common import check_tensor, unbroadcast
from ._joining import unbind
from ._keys import FULL, Key, checked
from ._pointwise import cast_array, is_number, number_tensor
from ._reshaping import expanded
from ._views import BasicIndex
from .reduction import index_grid

__all__ = [
    "gather", "index_add", "index_select", "masked_select", "nonzero", "scatter", "scatter_add",
    "take_along_dim",
]  # fmt: skip


# --- x[key] and x[key] = value --------------------------------------------------------------------


def scatter_sum(shape: tuple[int, ...], key: Any, values: Array, unique: bool) -> Array:
    """Zeros with `values` added at `key`, repeated indices adding up in the accumulation dtype."""
    xp = array.xp(values)
    out = xp.zeros(shape, dtypes.accumulation_dtype(values.dtype))
    if unique:
        out[key] = values
    else:
        xp.add.at(out, key, values.astype(out.dtype, copy=False))
    return out if out.dtype == values.dtype else cast_array(out, values.dtype)


def _take(x: Array, key: Any) -> Array:
    return array.xp(x).ascontiguousarray(x[key])


class AdvancedIndex(Function):
    """x[key] of index arrays: a copy; the gradient adds dy up at the indices."""

    key: tuple[Any, ...]
    unique: bool

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return run_array("index", _take, x, self.key)

    def backward(self, dy: Array) -> Array:
        return run_array("index_put", scatter_sum, self.shape, self.key, dy, self.unique)


class IndexPut(Function):
    """x with `values` at key; the gradient of what was overwritten is 0."""

    key: tuple[Any, ...]

    def forward(self, x: Array, values: Array) -> Array:
        self.values_shape = values.shape
        out = array.copy(x)
        run_array("index_put", _put, out, self.key, values)
        return out

    def backward(self, dy: Array) -> tuple[Array | None, Array | None]:
        dx = dvalues = None
        if self.wants[0]:
            dx = array.copy(dy)
            dx[self.key] = 0
        if self.wants[1]:
            dvalues = run_array("index", _take, dy, self.key)
            lead = len(self.values_shape) - dvalues.ndim
            dvalues = dvalues.reshape((1,) * lead + dvalues.shape) if lead > 0 else dvalues
            dvalues = unbroadcast(dvalues, self.values_shape)
        return dx, dvalues


def _put(x: Array, key: Any, values: Array) -> None:
    try:
        x[key] = values
    except ValueError:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to "
            f"indexing result of shape {list(x[key].shape)}"
        ) from None


@tensor_method(name="__getitem__")
def getitem(input: Tensor, key: Any) -> Tensor:
    """input[key]. IndexError out of range, ValueError for a slice step below 1."""
    x = input._data
    if type(key) is int and x.ndim:
        return BasicIndex(key=(checked(key, x.shape[0], 0),))(input)
    parsed = Key(x, key)
    if not parsed.has_advanced:
        return BasicIndex(key=parsed.basic)(input)
    part = input if parsed.trivial else BasicIndex(key=parsed.basic)(input)
    return AdvancedIndex(key=parsed.advanced, unique=parsed.masked)(part)


@tensor_method(name="__setitem__")
def setitem(input: Tensor, key: Any, value: Any) -> None:
    """input[key] = value: a number, or a tensor that broadcasts to the part. The gradient follows
    the value."""
    if not (isinstance(value, Tensor) or is_number(value) or array.is_array(value)):
        raise TypeError(f"can't assign a {type(value).__name__} to a Tensor of dtype {input.dtype}")
    parsed = Key(input._data, key)
    if array.is_array(value):
        value = wrap(value)
    part = input if parsed.trivial else BasicIndex(key=parsed.basic)(input)
    if not parsed.has_advanced:
        if is_number(value):
            part.fill_(value)
        else:
            part.copy_(_without_leading_ones(value, part._data.ndim))
        return
    if is_number(value):
        value = number_tensor(value, part._data.dtype, part)
    elif value._data.dtype != part._data.dtype:
        if value._data.ndim:
            raise RuntimeError(
                "Index put requires the source and destination dtypes match, got "
                f"{part._data.dtype} for the destination and {value._data.dtype} for the source."
            )
        value = value.to(part._data.dtype)
    if value.device != part.device:
        value = value.to(part.device)
    if is_grad_enabled() and (part.requires_grad or value.requires_grad):
        part.inplace(lambda x, v: IndexPut(key=parsed.advanced)(x, v), value)
        return
    part.check_inplace()
    run_array("index_put", _put, part._data, parsed.advanced, value._data)
    part.edited(None)


def _without_leading_ones(value: Tensor, ndim: int) -> Tensor:
    """torch lets an assigned value have more dimensions than its place, if the first ones are 1."""
    shape = value._data.shape
    while len(shape) > ndim and shape[0] == 1:
        shape = shape[1:]
    return value if shape == value._data.shape else value.reshape(shape)


@tensor_method(name="__iter__")
def iterate(input: Tensor) -> Iterator[Tensor]:
    """The slices along the first dimension, as views."""
    if not input._data.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(unbind(input))


@tensor_method(name="__contains__")
def contains(input: Tensor, element: Any) -> bool:
    """Whether any element equals `element`."""
    if not (isinstance(element, Tensor) or is_number(element)):
        raise RuntimeError(
            "Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
            f"{type(element)}."
        )
    return bool(E.eq(input, element)._data.any())


# --- by index along one dimension -----------------------------------------------------------------


def _check_index(op: str, index: Any, dtype_word: str = "int64") -> Array:
    check_tensor(index, "index", op)
    if index._data.dtype not in (int64, dtypes.int32):
        raise RuntimeError(
            f"{op}(): Expected dtype {dtype_word} for index, got {index._data.dtype}"
        )
    return index._data


def _check_range(index: Array, size: int, dim: int, error: type[Exception]) -> None:
    """`error` if an index on the CPU lies outside [0, size); on a GPU looking would stall the
    stream."""
    if index.size and isinstance(index, np.ndarray):
        low, high = int(index.min()), int(index.max())
        if low < 0 or high >= size:
            bad = low if low < 0 else high
            raise error(f"index {bad} is out of bounds for dimension {dim} with size {size}")


def _check_along(op: str, input: Tensor, dim: int, index: Any, source: Any = None) -> int:
    """The axis of gather and scatter; RuntimeError where index does not fit input or source."""
    check_tensor(input, "input", op)
    axis = check_dim(dim, input._data.ndim)
    a = _check_index(op, index)
    shape = input._data.shape
    if not a.size:
        return axis
    if max(a.ndim, 1) != max(len(shape), 1):
        raise RuntimeError(
            f"{op}(): Index tensor must have the same number of dimensions as input tensor"
        )
    for i, size in enumerate(a.shape):
        if len(shape) and i != axis and size > shape[i]:
            raise RuntimeError(
                f"{op}(): Size does not match at dimension {i} expected index {list(a.shape)} to "
                f"be no larger than self {list(shape)} apart from dimension {axis}"
            )
        if isinstance(source, Tensor) and source._data.ndim and size > source._data.shape[i]:
            raise RuntimeError(
                f"{op}(): Expected index {list(a.shape)} to be no larger than src "
                f"{list(source._data.shape)} at dimension {i}"
            )
    _check_range(a, shape[axis] if shape else 1, axis, RuntimeError)
    return axis


class Gather(Function):
    """y[..., i, ...] = x[..., index[..., i, ...], ...]; the gradient adds up at the indices."""

    index: Array
    axis: int

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        if not self.index.size:
            return array.empty(self.index.shape, x.dtype, device=array.device_of(x))
        return run_array("gather", _take, x, index_grid(self.index, self.axis))

    def backward(self, dy: Array) -> Array:
        key = index_grid(self.index, self.axis)
        return run_array("scatter_add", scatter_sum, self.shape, key, dy, False)


@tensor_method
def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The elements of input at `index` along `dim`: index's shape, no larger than input's in other
    dimensions."""
    axis = _check_along("gather", input, dim, index)
    if not input._data.ndim or not index._data.ndim:
        flat = Gather(index=index._data.reshape(-1), axis=0)(input.reshape(-1))
        return flat.reshape(index._data.shape)
    return Gather(index=index._data, axis=axis)(input)


@tensor_method
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """As gather, input and indices broadcast against each other; without dim both are flattened.
    With one, negative indices count from the end."""
    check_tensor(input, "input", "take_along_dim")
    check_tensor(indices, "indices", "take_along_dim")
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    axis = check_dim(dim, input._data.ndim)
    if input._data.ndim != indices._data.ndim:
        raise RuntimeError(
            "take_along_dim(): input and indices should have the same number of dimensions, but "
            f"got {input._data.ndim} dimensions for input, and {indices._data.ndim} dimensions for "
            "indices"
        )

    def widened(a: Array, b: Array) -> tuple[int, ...]:
        shape = list(array.broadcast_shapes(_less(a.shape, axis), _less(b.shape, axis)))
        shape.insert(axis, a.shape[axis])
        return tuple(shape)

    x = expanded(input, widened(input._data, indices._data))
    size = input._data.shape[axis]
    if indices._data.dtype in (dtypes.int32, int64):
        below = E.logical_and(E.lt(indices, 0), E.ge(indices, -size))
        indices = E.where(below, E.add(indices, size), indices)
    return gather(x, axis, expanded(indices, widened(indices._data, input._data)))


def _less(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


class IndexSelect(Function):
    """The slices of x at `index` along an axis."""

    index: Array
    axis: int

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return run_array("index", array.xp(x).take, x, self.index, self.axis)

    def backward(self, dy: Array) -> Array:
        key = (FULL,) * self.axis + (self.index,)
        return run_array("index_add", scatter_sum, self.shape, key, dy, False)


@tensor_method
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of input at the 1-D `index` along `dim`, as a copy. IndexError for a wrong
    index."""
    check_tensor(input, "input", "index_select")
    axis = check_dim(dim, input._data.ndim)
    a = _check_index("index_select", index, "int32 or int64")
    if a.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    _check_range(a, input._data.shape[axis] if input._data.ndim else 1, axis, IndexError)
    if not input._data.ndim:
        return IndexSelect(index=a.reshape(-1), axis=0)(input.reshape(1)).reshape(())
    return IndexSelect(index=a.reshape(-1), axis=axis)(input)


class Scatter(Function):
    """x with src stored, or added, at `index` along an axis."""

    index: Array
    axis: int
    add: bool

    def _key(self) -> tuple[Array, ...]:
        return index_grid(self.index, self.axis)

    def forward(self, x: Array, src: Array) -> Array:
        self.src_shape = src.shape
        values = src[tuple(slice(0, size) for size in self.index.shape)] if src.ndim else src
        if not self.add:
            out = array.copy(x)
            out[self._key()] = values
            return out
        wide = array.copy(x).astype(dtypes.accumulation_dtype(x.dtype), copy=False)
        run_array(
            "scatter_add",
            array.xp(x).add.at,
            wide,
            self._key(),
            values.astype(wide.dtype, copy=False),
        )
        return wide if wide.dtype == x.dtype else cast_array(wide, x.dtype)

    def backward(self, dy: Array) -> tuple[Array | None, Array | None]:
        dx = dsrc = None
        if self.wants[0]:
            dx = dy
            if not self.add:
                dx = array.copy(dy)
                dx[self._key()] = 0
        if self.wants[1]:
            taken = run_array("gather", _take, dy, self._key())
            dsrc = array.empty(self.src_shape, dy.dtype, device=array.device_of(dy))
            dsrc[...] = 0
            dsrc[tuple(slice(0, size) for size in self.index.shape)] = taken
        return dx, dsrc


def _scatter(op: str, input: Tensor, dim: int, index: Tensor, src: Any, add: bool) -> Tensor:
    axis = _check_along(op, input, dim, index, src)
    if is_number(src):
        src = number_tensor(src, input._data.dtype, input)
    check_tensor(src, "src", op)
    if src._data.dtype != input._data.dtype:
        raise RuntimeError(f"{op}(): Expected self.dtype to be equal to src.dtype")
    if not index._data.size:
        return input.clone()
    if not input._data.ndim:
        return _scatter(op, input.reshape(1), 0, index.reshape(-1), src.reshape(-1), add).reshape(
            ()
        )
    return Scatter(index=index._data, axis=axis, add=add)(input, src)


@tensor_method
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None
) -> Tensor:
    """A copy of input with src (a tensor, or a number) stored at `index` along `dim`.

    Where an index repeats, any of its values may stay, and the gradient is that of unique
    indices."""
    return _scatter("scatter", input, dim, index, value if src is None else src, False)


@tensor_method
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy of input with src added at `index` along `dim`; repeated indices add up."""
    check_tensor(src, "src", "scatter_add")
    return _scatter("scatter_add", input, dim, index, src, True)


class IndexAdd(Function):
    """x with alpha * source added to its slices at `index`."""

    index: Array
    axis: int
    alpha: float

    def forward(self, x: Array, source: Array) -> Array:
        wide = array.copy(x).astype(dtypes.accumulation_dtype(x.dtype), copy=False)
        values = self._scaled(source).astype(wide.dtype, copy=False)
        key = (FULL,) * self.axis + (self.index,)
        run_array("index_add", array.xp(x).add.at, wide, key, values)
        return wide if wide.dtype == x.dtype else cast_array(wide, x.dtype)

    def _scaled(self, a: Array) -> Array:
        from ._pointwise import pointwise

        return a if self.alpha == 1 else pointwise("mul_scalar", a, parameters=(self.alpha,))

    def backward(self, dy: Array) -> tuple[Array | None, Array | None]:
        if not self.wants[1]:
            return dy, None
        taken = run_array("index", array.xp(dy).take, dy, self.index, self.axis)
        return dy if self.wants[0] else None, self._scaled(taken)


@tensor_method
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """A copy of input with alpha * source[..., i, ...] added to input[..., index[i], ...]; repeats
    add up."""
    check_tensor(input, "input", "index_add")
    check_tensor(source, "source", "index_add")
    axis = check_dim(dim, input._data.ndim)
    a = _check_index("index_add_", index, "int32/int64")
    if a.ndim > 1:
        raise IndexError("index_add_(): Index is supposed to be a vector")
    if source._data.dtype != input._data.dtype:
        raise RuntimeError(
            f"index_add_(): self ({input.dtype}) and source ({source.dtype}) must have the same "
            "scalar type"
        )
    if not input._data.ndim:
        grown = index_add(input.reshape(1), 0, index.reshape(-1), source.reshape(-1), alpha=alpha)
        return grown.reshape(())
    expected = list(input._data.shape)
    expected[axis] = a.size
    if list(source._data.shape) != expected:
        raise RuntimeError(
            f"index_add_(): source: got shape {list(source._data.shape)}, expected {expected}: "
            f"input's, with the index's length at dimension {axis}"
        )
    _check_range(a, input._data.shape[axis], axis, RuntimeError)
    return IndexAdd(index=a.reshape(-1), axis=axis, alpha=alpha)(input, source)


for _function in (scatter, scatter_add, index_add):
    setattr(
        Tensor,
        f"{_function.__name__}_",
        lambda self, dim, index, *rest, f=_function, **named: self.inplace(
            lambda x, *others: f(x, dim, index, *others, **named), *rest
        ),
    )


# --- by condition ---------------------------------------------------------------------------------


def _nonzero(a: Array) -> tuple[Array, ...]:
    return array.xp(a).nonzero(a != 0)


@tensor_method
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not 0: (n, ndim) int64, or one 1-D tensor per
    dimension."""
    check_tensor(input, "input", "nonzero")
    a = input._data
    found = run_array("nonzero", _nonzero, a.reshape(-1) if not a.ndim else a)
    if as_tuple:
        return tuple([wrap(i) for i in found])
    xp = array.xp(a)
    if not a.ndim:
        return wrap(xp.empty((found[0].size, 0), int64))
    return wrap(xp.stack(found, axis=1))


@tensor_method
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements of input where the bool mask holds, in one dimension; both broadcast against
    each other."""
    check_tensor(input, "input", "masked_select")
    check_tensor(mask, "mask", "masked_select")
    if mask._data.dtype != bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = array.broadcast_shapes(input._data.shape, mask._data.shape)
    x, m = expanded(input, shape), expanded(mask, shape)
    return getitem(x, m) if shape else getitem(x.reshape(1), m.reshape(1))
