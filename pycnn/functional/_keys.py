"""A key of `tensor[key]`, taken apart as torch does: the part that gives a view, and the part that
picks elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import array, dtypes
from ..array import Array
from ..dtypes import INTEGRAL, bool_
from ..tensor import Tensor

FULL = slice(None)


def _is_int(item: Any) -> bool:
    if isinstance(item, Tensor):
        return (
            not item._data.ndim
            and item._data.dtype in INTEGRAL
            and item._data.dtype != dtypes.uint8
        )
    return (
        not isinstance(item, (bool, np.bool_, float, str))
        and hasattr(item, "__index__")
        and (not array.is_array(item) or (not item.ndim and item.dtype.kind in "iu"))
    )


def _bound(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, (bool, float, str)) or not hasattr(value, "__index__"):
        raise TypeError(
            f"slice indices must be integers or None or have an __index__ method, got {value!r}"
        )
    return int(value.__index__())


def _slice(item: slice) -> slice:
    step = 1 if item.step is None else _bound(item.step)
    if step is None or step < 1:
        raise ValueError("step must be greater than zero")
    return slice(_bound(item.start), _bound(item.stop), step)


def _index_array(item: Any, device: str) -> Array:
    """An int or bool array of an advanced index; IndexError for any other dtype."""
    if isinstance(item, Tensor):
        a = item._data
    elif array.is_array(item):
        a = item
    elif isinstance(item, (list, tuple, range)):
        values = [i._data if isinstance(i, Tensor) else i for i in item]
        try:
            a = np.asarray(values)
        except ValueError as error:
            raise TypeError(
                f"index: expected a rectangular nested list of integers: {error}"
            ) from None
        a = a.astype(np.int64) if not a.size else a
    else:
        raise (TypeError if isinstance(item, str) else IndexError)(
            "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are "
            f"valid indices (got {type(item).__name__})"
        )
    if a.dtype.kind not in "iub":
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return array.to_device(a, device)


def _consumed(item: Any) -> int:
    """How many dimensions of the tensor an item of a key speaks for."""
    if item is None or isinstance(item, (bool, np.bool_)):
        return 0
    if isinstance(item, Tensor) or array.is_array(item):
        return item.ndim if item.dtype in (bool_, dtypes.uint8) else 1
    if isinstance(item, list):
        a = np.asarray([i._data if isinstance(i, Tensor) else i for i in item])
        return a.ndim if a.dtype == bool else 1
    return 1


class Key:
    """A key taken apart: `basic`, applied first, and `advanced`, per dimension of what that leaves
    an index or None."""

    def __init__(self, x: Array, key: Any) -> None:
        items = list(key) if isinstance(key, tuple) else [key]
        device = array.device_of(x)
        if sum(item is Ellipsis for item in items) > 1:
            raise IndexError("an index can only have a single ellipsis ('...')")
        used = sum(_consumed(item) for item in items if item is not Ellipsis)
        if used > x.ndim:
            raise IndexError(f"too many indices for tensor of dimension {x.ndim}")
        if not any(item is Ellipsis for item in items):
            items.append(Ellipsis)
        basic: list[Any] = []
        advanced: list[Array | None] = []
        dim = 0
        self.trivial = True  # whether `basic` leaves x as it is
        self.masked = True  # whether no element can be named twice
        for item in items:
            if item is Ellipsis:
                rest = x.ndim - used
                basic += [FULL] * rest
                advanced += [None] * rest
                dim += rest
            elif item is None:
                self.trivial = False
                basic.append(None)
                advanced.append(None)
            elif isinstance(item, slice):
                item = _slice(item)
                self.trivial = self.trivial and item == slice(None, None, 1)
                basic.append(item)
                advanced.append(None)
                dim += 1
            elif isinstance(item, (bool, np.bool_)):
                self.trivial = False
                basic.append(None)
                advanced.append(array.to_device(np.zeros(int(item), np.int64), device))
            elif _is_int(item):
                self.trivial = False
                basic.append(checked(int(item), x.shape[dim], dim))
                dim += 1
            else:
                index = _index_array(item, device)
                taken = _consumed(item)
                if index.dtype == bool or (index.dtype == dtypes.uint8 and taken != 1):
                    taken = index.ndim
                _check_mask(index, x.shape, dim)
                basic += [FULL] * (index.ndim if _is_mask(index) else 1)
                if _is_mask(index):
                    advanced += (
                        list(array.xp(index).nonzero(index)) if index.ndim else [_flag(index)]
                    )
                    if not index.ndim:
                        self.trivial = False
                        basic.append(None)
                    dim += index.ndim
                else:
                    self.masked = False
                    advanced.append(index)
                    dim += 1
        self.basic = tuple(basic)
        self.advanced = tuple([FULL if a is None else a for a in advanced])
        self.has_advanced = any(a is not None for a in advanced)


def _is_mask(index: Array) -> bool:
    return index.dtype in (bool_, dtypes.uint8)


def _flag(mask: Array) -> Array:
    """The index along a new dimension that a zero-dimensional mask stands for."""
    return array.xp(mask).zeros(int(bool(mask)), np.int64)


def _check_mask(index: Array, shape: tuple[int, ...], dim: int) -> None:
    if _is_mask(index):
        for i, size in enumerate(index.shape):
            if dim + i < len(shape) and shape[dim + i] != size:
                raise IndexError(
                    f"The shape of the mask {list(index.shape)} at index {i} does not match the "
                    f"shape of the indexed tensor {list(shape)} at index {dim + i}"
                )


def checked(index: int, size: int, dim: int) -> int:
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of bounds for dimension {dim} with size {size}")
    return index + size if index < 0 else index
