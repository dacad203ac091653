"""Joining tensors along a dimension, and cutting one into parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import array, dtypes
from ..array import Array
from ..autograd import Function
from ..dispatch import run
from ..geometry import ConcatGeometry, concat_geometry
from ..tensor import Tensor, check_dim, tensor_method
from ._common import check_tensor
from ._pointwise import cast
from ._reshaping import expanded, reshape, transpose, unsqueeze
from ._views import BasicIndex, sizes_of


class Concat(Function):
    """Arrays joined along an axis; each gradient is its part of dy, a view."""

    geometry: ConcatGeometry

    def forward(self, *inputs: Array) -> Array:
        array.xp(*inputs)
        first, axis = inputs[0], self.geometry.axis
        shape = list(first.shape)
        shape[axis] = sum(self.geometry.sizes)
        operands = tuple([array.describe(x) for x in inputs])
        last = all([x.memory_format == array.channels_last for x in operands])
        keep = array.channels_last if last else array.contiguous_format
        out = array.empty(shape, first.dtype, keep, array.device_of(first))
        return run("concat", *inputs, out=out, geometry=self.geometry, operands=operands)

    def backward(self, dy: Array) -> tuple[Array | None, ...]:
        lead = (slice(None),) * self.geometry.axis
        gradients: list[Array | None] = []
        start = 0
        for size, wanted in zip(self.geometry.sizes, self.wants, strict=True):
            gradients.append(dy[(*lead, slice(start, start + size))] if wanted else None)
            start += size
        return tuple(gradients)


def _tensor_list(tensors: Any, op: str) -> list[Tensor]:
    if not isinstance(tensors, (tuple, list)):
        raise TypeError(
            f"{op}(): argument 'tensors' (position 1) must be tuple of Tensors, not "
            f"{type(tensors).__name__}"
        )
    if not all([isinstance(x, Tensor) for x in tensors]):
        i, x = next((i, x) for i, x in enumerate(tensors) if not isinstance(x, Tensor))
        raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}")
    return list(tensors)


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors joined along `dim`, in their common dtype; channels-last if all of them are.

    They agree in every other dimension, else RuntimeError; one-dimensional tensors without elements
    are skipped, as torch does. ValueError for an empty list."""
    items = _tensor_list(tensors, "cat")
    if not items:
        raise ValueError("cat(): expected a non-empty list of Tensors")
    arrays = [x._data for x in items]
    first = arrays[0]
    dtype, shape = first.dtype, first.shape
    axis = _common_axis(arrays, dim)
    if any([a.dtype is not dtype and a.dtype != dtype for a in arrays]):
        dtype = dtypes.result_type(*items)
        items = [cast(x, dtype) for x in items]
    if axis is None:  # one-dimensional tensors without elements among others
        items = [x for x in items if x._data.shape != (0,)] or items[:1]
        arrays = [x._data for x in items]
        shape = arrays[0].shape
        axis = check_dim(dim, len(shape))
    return Concat(geometry=concat_geometry(axis, tuple([a.shape[axis] for a in arrays])))(*items)


def _common_axis(arrays: Sequence[Array], dim: int) -> int | None:
    """The axis along which the arrays can be joined; None if empty ones must be left out first."""
    shapes = [a.shape for a in arrays]
    if len(shapes[0]) > 1:
        axis = check_dim(dim, len(shapes[0]))
        if len({(len(s), s[:axis], s[axis + 1 :]) for s in set(shapes)}) == 1:
            return axis
    shape = next((s for s in shapes if s != (0,)), shapes[0])
    if () in shapes:
        at = shapes.index(())
        raise RuntimeError(f"zero-dimensional tensor (at position {at}) cannot be concatenated")
    axis = check_dim(dim, len(shape))
    before, after = shape[:axis], shape[axis + 1 :]
    skipped = 0
    for i, other in enumerate(shapes):
        if other == (0,):
            skipped += 1
        elif len(other) != len(shape):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(shape)} and {len(other)}"
            )
        elif other[:axis] != before or other[axis + 1 :] != after:
            d = next(d for d in range(len(shape)) if d != axis and other[d] != shape[d])
            raise RuntimeError(
                f"Sizes of tensors must match except in dimension {axis}. Expected size "
                f"{shape[d]} but got size {other[d]} for tensor number {i - skipped} in the list."
            )
    return None if skipped else axis


concat = cat


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new dimension. RuntimeError for an empty list or unequal
    shapes."""
    items = _tensor_list(tensors, "stack")
    if not items:
        raise RuntimeError("stack expects a non-empty TensorList")
    shape = items[0]._data.shape
    for i, x in enumerate(items):
        if x._data.shape != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                f"{list(x._data.shape)} at entry {i}"
            )
    axis = check_dim(dim, len(shape) + 1)
    return cat([unsqueeze(x, axis) for x in items], axis)


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Coordinate grids of 1-D tensors: "ij" (the default) varies the first along rows, "xy" along
    columns."""
    items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(
            f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    for x in items:
        check_tensor(x, "tensors", "meshgrid")
        if x.ndim > 1:
            raise RuntimeError(
                f"meshgrid: Expected 0D or 1D tensor in the tensor list but got: {x.ndim}D"
            )
    count = len(items)
    shape = tuple(x.numel() for x in items)
    grids = []
    for i, x in enumerate(items):
        line = reshape(x, (1,) * i + (-1,) + (1,) * (count - 1 - i))
        grid = expanded(line, shape)
        grids.append(transpose(grid, 0, 1) if indexing == "xy" and count > 1 else grid)
    return tuple(grids)


# --- cutting --------------------------------------------------------------------------------------


def _cut(input: Tensor, axis: int, start: int, length: int) -> Tensor:
    return BasicIndex(key=((slice(None),) * axis + (slice(start, start + length),)))(input)


@tensor_method
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """The `length` elements from `start` along `dim`, as a view."""
    check_tensor(input, "input", "narrow")
    if not input._data.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    axis = check_dim(dim, input._data.ndim)
    size = input._data.shape[axis]
    start = int(start)
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -size <= start <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [-{size}, {size}], but got {start})"
        )
    start += size if start < 0 else 0
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return _cut(input, axis, start, length)


def _split_sizes(
    input: Tensor, split_size_or_sections: Any, dim: int
) -> tuple[int, tuple[int, ...]]:
    """(axis, the length of every part)."""
    check_tensor(input, "input", "split")
    if not input._data.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    axis = check_dim(dim, input._data.ndim)
    size = input._data.shape[axis]
    if isinstance(split_size_or_sections, (tuple, list)):
        sections = sizes_of((split_size_or_sections,), "split_size_or_sections", "split")
        if any(s < 0 for s in sections):
            raise RuntimeError(
                "split_with_sizes expects split_sizes have only non-negative entries, "
                f"but got split_sizes={list(sections)}"
            )
        if sum(sections) != size:
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {size} (input tensor's "
                f"size at dimension {axis}), but got split_sizes={list(sections)}"
            )
        return axis, sections
    (step,) = sizes_of((split_size_or_sections,), "split_size_or_sections", "split")
    if step < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={step}")
    if step == 0 and size:
        raise RuntimeError(
            f"split_size can only be 0 if dimension size is 0, but got dimension size of {size}"
        )
    if not size:
        return axis, (0,)
    return axis, tuple([min(step, size - start) for start in range(0, size, step)])


@tensor_method
def split(input: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of input along `dim`: parts of one size (the last may be smaller), or of the sizes
    listed."""
    axis, sections = _split_sizes(input, split_size_or_sections, dim)
    parts = []
    start = 0
    for length in sections:
        parts.append(_cut(input, axis, start, length))
        start += length
    return tuple(parts)


class Split(Function):
    """An array cut along an axis into new arrays; the gradient joins theirs."""

    geometry: ConcatGeometry

    def forward(self, x: Array) -> tuple[Array, ...]:
        lead, tail = x.shape[: self.geometry.axis], x.shape[self.geometry.axis + 1 :]
        out = tuple(
            [array.empty_like(x, shape=(*lead, size, *tail)) for size in self.geometry.sizes]
        )
        self.shape = x.shape
        return run("split", x, out=out, geometry=self.geometry)

    def backward(self, *dys: Array) -> Array:
        return run(
            "concat", *dys, out=array.empty_like(dys[0], shape=self.shape), geometry=self.geometry
        )


@tensor_method
def split_copy(input: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """As split, but new tensors in one pass: dense parts for kernels that want them."""
    axis, sections = _split_sizes(input, split_size, dim)
    return Split(geometry=concat_geometry(axis, sections))(input)


@tensor_method
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of input along `dim`, of equal size but for the last."""
    check_tensor(input, "input", "chunk")
    if not input._data.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks < 1:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    axis = check_dim(dim, input._data.ndim)
    size = input._data.shape[axis]
    return split(input, -(-size // chunks) if size else [0] * chunks, axis)


@tensor_method
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices of input along `dim`, as views without that dimension."""
    check_tensor(input, "input", "unbind")
    if not input._data.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    axis = check_dim(dim, input._data.ndim)
    lead = (slice(None),) * axis
    return tuple([BasicIndex(key=(*lead, i))(input) for i in range(input._data.shape[axis])])
