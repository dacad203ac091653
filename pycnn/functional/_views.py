"""The views every family uses: reshape, permute, expand, basic indexing. No element is copied
unless it must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import array
from ..array import Array
from ..views import ViewFunction


class Reshape(ViewFunction):
    """The same elements in another shape; a copy only where no strides exist for it."""

    shape: tuple[int, ...]

    def view(self, x: Array) -> Array:
        return x.reshape(self.shape)

    def backward(self, dy: Array) -> Array:
        return dy.reshape(self.in_shape)


class Permute(ViewFunction):
    """Axis i of the output is axis dims[i] of the input."""

    dims: tuple[int, ...]

    def view(self, x: Array) -> Array:
        return x.transpose(self.dims)

    def backward(self, dy: Array) -> Array:
        inverse = sorted(range(len(self.dims)), key=self.dims.__getitem__)
        return dy.transpose(inverse)


class Expand(ViewFunction):
    """Sizes of 1 repeated by a stride of 0, new axes in front."""

    shape: tuple[int, ...]

    def view(self, x: Array) -> Array:
        return array.expand(x, self.shape)

    def backward(self, dy: Array) -> Array:
        from ._common import unbroadcast

        return unbroadcast(dy, self.in_shape)


class BasicIndex(ViewFunction):
    """x[key] for ints, slices, None and Ellipsis."""

    key: tuple[Any, ...]

    def view(self, x: Array) -> Array:
        # without the Ellipsis ints alone would give a scalar, not an array
        return x[self.key] if Ellipsis in self.key else x[(*self.key, ...)]

    def backward(self, dy: Array) -> Array:
        dx = array.empty(self.in_shape, dy.dtype, array.memory_format(dy), array.device_of(dy))
        dx[...] = 0
        dx[self.key] = dy
        return dx


class Diagonal(ViewFunction):
    """The diagonal of two axes, moved last."""

    axes: tuple[int, int]

    def view(self, x: Array) -> Array:
        return x.diagonal(0, *self.axes)

    def backward(self, dy: Array) -> Array:
        dx = array.empty(self.in_shape, dy.dtype, device=array.device_of(dy))
        dx[...] = 0
        index = array.xp(dy).arange(dy.shape[-1])
        rest = [i for i in range(dx.ndim) if i not in self.axes]
        dx.transpose(*rest, *self.axes)[..., index, index] = dy
        return dx


def sizes_of(
    args: Sequence[Any], name: str, op: str, named: dict[str, Any] | None = None
) -> tuple[int, ...]:
    """The ints of a call that takes them one by one, as one sequence, or by keyword; TypeError for
    anything else."""
    if named:
        if args or named.keys() != {name}:
            raise TypeError(f"{op}() got an unexpected combination of arguments: {sorted(named)}")
        args = (named[name],)
    items = args[0] if len(args) == 1 and isinstance(args[0], (tuple, list)) else args
    out = []
    for item in items:
        if type(item) is int:
            out.append(item)
        elif isinstance(item, (bool, float, str)) or not hasattr(item, "__index__"):
            raise TypeError(
                f"{op}(): argument '{name}' must be tuple of ints, but found element of type "
                f"{type(item).__name__}"
            )
        else:
            out.append(int(item.__index__()))
    return tuple(out)


def inferred_shape(shape: tuple[int, ...], numel: int) -> tuple[int, ...]:
    """`shape` with its -1 filled in for `numel` elements; RuntimeError where they do not fit."""
    known = 1
    unknown = None
    for i, size in enumerate(shape):
        if size == -1:
            if unknown is not None:
                raise RuntimeError("only one dimension can be inferred")
            unknown = i
        elif size < 0:
            raise RuntimeError(
                f"invalid shape dimension {size} at index {i} of shape {list(shape)}"
            )
        else:
            known *= size
    if unknown is None:
        if known != numel:
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
        return shape
    if known == 0:
        if numel == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the "
                "unspecified dimension size -1 can be any value and is ambiguous"
            )
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    if numel % known:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    return (*shape[:unknown], numel // known, *shape[unknown + 1 :])
