"""Shapes, layouts and dtypes with torch's names: views where torch makes views, `cat` and `split_copy` by kernels.

A view shares memory and version counter with its base; editing either in place reaches the gradient of both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .. import array, dtypes
from ..array import Array
from ..autograd import Function
from ..dispatch import run, run_array
from ..geometry import ConcatGeometry
from ..tensor import Tensor, check_dim, tensor_method
from ._common import check_tensor, sum_over
from ._pointwise import cast
from ._views import BasicIndex, Expand, Permute, Reshape, inferred_shape, sizes_of

__all__ = [
    "broadcast_tensors", "broadcast_to", "cat", "chunk", "clone", "concat", "flatten", "flip", "meshgrid", "movedim",
    "narrow", "permute", "ravel", "reshape", "roll", "split", "split_copy", "squeeze", "stack", "swapaxes",
    "swapdims", "t", "tile", "transpose", "tril", "triu", "unbind", "unflatten", "unsqueeze",
]  # fmt: skip


# --- the same elements, another shape -------------------------------------------------------------


def _reshaped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return Reshape(shape=shape)(x)


@tensor_method
def reshape(input: Tensor, *shape: Any) -> Tensor:
    """input in another shape, one size of which may be -1; a view where strides allow, else a copy.

    RuntimeError if the number of elements differs."""
    check_tensor(input, "input", "reshape")
    return _reshaped(input, inferred_shape(sizes_of(shape, "shape", "reshape"), input._data.size))


def view(input: Tensor, *shape: Any) -> Tensor:
    """As reshape, but never a copy: RuntimeError where no strides exist for the shape."""
    if len(shape) == 1 and isinstance(shape[0], Tensor):
        raise TypeError("view(): argument 'size' must be tuple of ints, not Tensor")
    out = _reshaped(input, inferred_shape(sizes_of(shape, "size", "view"), input._data.size))
    if out._view is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across "
            "two contiguous subspaces). Use .reshape(...) instead."
        )
    return out


Tensor.view = view  # type: ignore[method-assign,assignment]
Tensor.view_as = lambda self, other: view(self, other.shape)  # type: ignore[method-assign]
Tensor.reshape_as = lambda self, other: reshape(self, other.shape)  # type: ignore[method-assign]


@tensor_method
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from start_dim to end_dim, both included, joined into one."""
    check_tensor(input, "input", "flatten")
    shape = input._data.shape
    start, end = check_dim(start_dim, len(shape), "start_dim"), check_dim(end_dim, len(shape), "end_dim")
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not shape:
        return _reshaped(input, (1,))
    if start == end:
        return input
    return _reshaped(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


@tensor_method
def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension."""
    return flatten(input)


@tensor_method
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Dimension `dim` split into `sizes`, one of which may be -1."""
    check_tensor(input, "input", "unflatten")
    shape = input._data.shape
    axis = check_dim(dim, len(shape))
    sizes = sizes_of((sizes,), "sizes", "unflatten")
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    known = math.prod(s for s in sizes if s != -1)
    if sizes.count(-1) == 1 and known and shape[axis] % known == 0:
        sizes = tuple(shape[axis] // known if s == -1 else s for s in sizes)
    if math.prod(sizes) != shape[axis] or any(s < 0 for s in sizes):
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {axis} "
            f"({shape[axis]}) in the input tensor"
        )
    return _reshaped(input, (*shape[:axis], *sizes, *shape[axis + 1 :]))


@tensor_method
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """input without its dimensions of size 1, or without those of `dim` (an int or a tuple) that have size 1."""
    check_tensor(input, "input", "squeeze")
    shape = input._data.shape
    if dim is None:
        return _reshaped(input, tuple([s for s in shape if s != 1]))
    named = [check_dim(d, len(shape)) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))]
    if len(set(named)) != len(named):
        raise RuntimeError(f"dim {named} holds a dimension twice")
    return _reshaped(input, tuple([s for i, s in enumerate(shape) if s != 1 or i not in named]))


@tensor_method
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """input with a new dimension of size 1 in front of `dim`."""
    check_tensor(input, "input", "unsqueeze")
    shape = input._data.shape
    axis = check_dim(dim, len(shape) + 1)
    return _reshaped(input, (*shape[:axis], 1, *shape[axis:]))


# --- the same elements, another order -------------------------------------------------------------


@tensor_method
def permute(input: Tensor, *dims: Any) -> Tensor:
    """Dimension i of the output is dimension dims[i] of the input. RuntimeError unless each is named once."""
    check_tensor(input, "input", "permute")
    ndim = input._data.ndim
    axes = sizes_of(dims, "dims", "permute")
    if len(axes) != ndim:
        raise RuntimeError(
            "permute(): number of dimensions in the tensor input does not match the length of the desired ordering "
            f"of dimensions i.e. input.dim() = {ndim} is not equal to len(dims) = {len(axes)}"
        )
    axes = tuple([check_dim(d, ndim) for d in axes])
    if len(set(axes)) != ndim:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return Permute(dims=axes)(input)


@tensor_method
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """input with two dimensions exchanged."""
    check_tensor(input, "input", "transpose")
    ndim = input._data.ndim
    a, b = check_dim(dim0, ndim), check_dim(dim1, ndim)
    dims = list(range(ndim))
    if dims:
        dims[a], dims[b] = dims[b], dims[a]
    return Permute(dims=tuple(dims))(input)


swapaxes = swapdims = transpose
Tensor.swapaxes = Tensor.swapdims = transpose  # type: ignore[method-assign]


@tensor_method
def t(input: Tensor) -> Tensor:
    """A matrix transposed; fewer dimensions as they are. RuntimeError for more than two."""
    check_tensor(input, "input", "t")
    ndim = input._data.ndim
    if ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {ndim}D")
    return Permute(dims=tuple(range(ndim))[::-1])(input)


def _matrix_transpose(input: Tensor) -> Tensor:
    if input.ndim == 1:
        raise RuntimeError("tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor.")
    return transpose(input, -2, -1)


Tensor.T = property(lambda self: Permute(dims=tuple(range(self.ndim))[::-1])(self))  # type: ignore[method-assign,assignment]
Tensor.mT = property(_matrix_transpose)  # type: ignore[method-assign,assignment]


@tensor_method
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dimensions moved to new places, the others in their order around them."""
    check_tensor(input, "input", "movedim")
    ndim = input._data.ndim
    pairs = []
    for name, value in (("source", source), ("destination", destination)):
        dims = [check_dim(d, ndim, name) for d in (value if isinstance(value, (tuple, list)) else (value,))]
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({dims})")
        pairs.append(dims)
    if len(pairs[0]) != len(pairs[1]):
        raise RuntimeError(
            "movedim: Invalid source or destination dims: source should contain the same number of dims as "
            f"destination, got {source} and {destination}"
        )
    places = dict(zip(pairs[1], pairs[0], strict=True))
    rest = iter(i for i in range(ndim) if i not in pairs[0])
    return Permute(dims=tuple([places[i] if i in places else next(rest) for i in range(ndim)]))(input)


# --- repetition -----------------------------------------------------------------------------------


def expand(input: Tensor, *size: Any) -> Tensor:
    """input with sizes of 1 repeated and new dimensions in front, without a copy; -1 keeps a size."""
    return _expanded(input, sizes_of(size, "size", "expand"))


def _expanded(input: Tensor, size: tuple[int, ...]) -> Tensor:
    shape = input._data.shape
    lead = len(size) - len(shape)
    if lead < 0:
        raise RuntimeError(
            f"expand({list(shape)}, size={list(size)}): the number of sizes provided ({len(size)}) must be greater "
            f"or equal to the number of dimensions in the tensor ({len(shape)})"
        )
    full = list(size)
    for i, wanted in enumerate(size):
        if i < lead:
            if wanted < 0:
                raise RuntimeError(
                    f"The expanded size of the tensor ({wanted}) isn't allowed in a leading, non-existing dimension {i}"
                )
        elif wanted == -1:
            full[i] = shape[i - lead]
        elif wanted != shape[i - lead] and (shape[i - lead] != 1 or wanted < 0):
            raise RuntimeError(
                f"The expanded size of the tensor ({wanted}) must match the existing size ({shape[i - lead]}) at "
                f"non-singleton dimension {i}.  Target sizes: {list(size)}.  Tensor sizes: {list(shape)}"
            )
    return Expand(shape=tuple(full))(input)


Tensor.expand = expand  # type: ignore[method-assign]
Tensor.expand_as = lambda self, other: _expanded(self, other.shape)  # type: ignore[method-assign]


@tensor_method
def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """input expanded to `size`."""
    check_tensor(input, "input", "broadcast_to")
    return _expanded(input, sizes_of((size,), "size", "broadcast_to"))


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Every tensor expanded to the common shape."""
    items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    shape = array.broadcast_shapes(*[x.shape for x in items]) if items else ()
    return tuple(_expanded(x, shape) for x in items)


class Repeat(Function):
    """x repeated repeats[i] times along dimension i; the gradient sums the repetitions."""

    repeats: tuple[int, ...]

    def forward(self, x: Array) -> Array:
        lead = len(self.repeats) - x.ndim
        self.shape = x.shape
        self.padded = (1,) * lead + x.shape
        return run_array("repeat", array.xp(x).tile, x, self.repeats)

    def backward(self, dy: Array) -> Array:
        pairs = [n for pair in zip(self.repeats, self.padded, strict=True) for n in pair]
        return sum_over(dy.reshape(pairs), tuple(range(0, len(pairs), 2)), self.shape)


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """A copy of input repeats[i] times along dimension i, counted from new dimensions in front."""
    counts = sizes_of(repeats, "repeats", "repeat")
    if len(counts) < input._data.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
        )
    if any(n < 0 for n in counts):
        raise RuntimeError(f"repeat(): repeats: got {counts}: a tensor cannot have a negative dimension")
    return Repeat(repeats=counts)(input)


Tensor.repeat = repeat  # type: ignore[method-assign]


@tensor_method
def tile(input: Tensor, *dims: Any) -> Tensor:
    """As repeat, but missing leading counts are 1."""
    check_tensor(input, "input", "tile")
    counts = sizes_of(dims, "dims", "tile")
    return repeat(input, (1,) * (input._data.ndim - len(counts)) + counts)


class Rearrange(Function):
    """flip or roll: a copy whose adjoint is another of its kind."""

    def forward(self, x: Array) -> Array:
        return run_array("rearrange", self.there, x)  # type: ignore[attr-defined]

    def backward(self, dy: Array) -> Array:
        return run_array("rearrange", self.back, dy)  # type: ignore[attr-defined]


@tensor_method
def flip(input: Tensor, *dims: Any) -> Tensor:
    """A copy with the order of elements reversed along `dims`."""
    check_tensor(input, "input", "flip")
    axes = [check_dim(d, input._data.ndim) for d in sizes_of(dims, "dims", "flip")]
    for axis in axes:
        if axes.count(axis) > 1:
            raise RuntimeError(f"dim {axis} appears multiple times in the list of dims")
    if not input._data.ndim:
        axes = []

    def reverse(a: Array) -> Array:
        return array.copy(array.xp(a).flip(a, tuple(axes)))

    return Rearrange(there=reverse, back=reverse)(input)


@tensor_method
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """A copy with elements moved `shifts` places along `dims`, those that fall off coming back at the front.

    Without dims the flattened tensor rolls. RuntimeError unless there are as many shifts as dims."""
    check_tensor(input, "input", "roll")
    moves = sizes_of((shifts,) if isinstance(shifts, (tuple, list)) else (shifts,), "shifts", "roll")
    if dims is None or dims == ():
        if len(moves) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(moves)}, dims:0")
        return reshape(roll(flatten(input), moves, (0,)), input.shape)
    axes = tuple([check_dim(d, input._data.ndim) for d in (dims if isinstance(dims, (tuple, list)) else (dims,))])
    if len(moves) != len(axes):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(axes)}")
    away = tuple(-m for m in moves)
    return Rearrange(
        there=lambda a: array.xp(a).roll(a, moves, axes), back=lambda a: array.xp(a).roll(a, away, axes)
    )(input)


class Triangle(Function):
    """tril or triu of the last two dimensions."""

    op: str
    diagonal: int

    def forward(self, x: Array) -> Array:
        return run_array(self.op, getattr(array.xp(x), self.op), x, self.diagonal)

    backward = forward


def _triangle(op: str, input: Tensor, diagonal: int) -> Tensor:
    check_tensor(input, "input", op)
    if input._data.ndim < 2:
        raise RuntimeError(f"{op}: input tensor must have at least 2 dimensions")
    return Triangle(op=op, diagonal=diagonal)(input)


@tensor_method
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The elements on and below a diagonal of each matrix, zeros elsewhere."""
    return _triangle("tril", input, diagonal)


@tensor_method
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The elements on and above a diagonal of each matrix, zeros elsewhere."""
    return _triangle("triu", input, diagonal)


# --- joining --------------------------------------------------------------------------------------


class Concat(Function):
    """Arrays joined along an axis; each gradient is its part of dy, a view."""

    geometry: ConcatGeometry

    def forward(self, *inputs: Array) -> Array:
        axis = self.geometry.axis
        shape = list(inputs[0].shape)
        shape[axis] = sum(self.geometry.sizes)
        keep = array.contiguous_format
        if all(array.memory_format(x) == array.channels_last for x in inputs):
            keep = array.channels_last
        out = array.empty(shape, inputs[0].dtype, keep, array.device_of(inputs[0]))
        array.xp(*inputs)
        return run("concat", *inputs, out=out, geometry=self.geometry)

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
            f"{op}(): argument 'tensors' (position 1) must be tuple of Tensors, not {type(tensors).__name__}"
        )
    for i, x in enumerate(tensors):
        if not isinstance(x, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}")
    return list(tensors)


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors joined along `dim`, in their common dtype; channels-last if all of them are.

    They agree in every other dimension, else RuntimeError; one-dimensional tensors without elements are skipped, as
    torch does. ValueError for an empty list."""
    items = _tensor_list(tensors, "cat")
    if not items:
        raise ValueError("cat(): expected a non-empty list of Tensors")
    for i, x in enumerate(items):
        if not x._data.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    dtype = items[0]._data.dtype
    if any(x._data.dtype != dtype for x in items):
        dtype = dtypes.result_type(*items)
    parts = [x for x in items if x._data.shape != (0,)] or items[:1]
    shape = parts[0]._data.shape
    axis = check_dim(dim, len(shape))
    for i, x in enumerate(parts):
        other = x._data.shape
        if len(other) != len(shape):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(shape)} and {len(other)}"
            )
        for d, (size, expected) in enumerate(zip(other, shape, strict=True)):
            if d != axis and size != expected:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {axis}. Expected size {expected} but got "
                    f"size {size} for tensor number {i} in the list."
                )
    geometry = ConcatGeometry(axis, tuple([x._data.shape[axis] for x in parts]))
    return Concat(geometry=geometry)(*[cast(x, dtype) for x in parts])


concat = cat


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new dimension. RuntimeError for an empty list or unequal shapes."""
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
    """Coordinate grids of 1-D tensors: "ij" (the default) varies the first along rows, "xy" along columns."""
    items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    for x in items:
        check_tensor(x, "tensors", "meshgrid")
        if x.ndim > 1:
            raise RuntimeError(f"meshgrid: Expected 0D or 1D tensor in the tensor list but got: {x.ndim}D")
    count = len(items)
    shape = tuple(x.numel() for x in items)
    grids = []
    for i, x in enumerate(items):
        line = reshape(x, (1,) * i + (-1,) + (1,) * (count - 1 - i))
        grid = _expanded(line, shape)
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
        raise IndexError(f"start out of range (expected to be in range of [-{size}, {size}], but got {start})")
    start += size if start < 0 else 0
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return _cut(input, axis, start, length)


def _split_sizes(input: Tensor, split_size_or_sections: Any, dim: int) -> tuple[int, tuple[int, ...]]:
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
                f"split_with_sizes expects split_sizes to sum exactly to {size} (input tensor's size at dimension "
                f"{axis}), but got split_sizes={list(sections)}"
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
    """Views of input along `dim`: parts of one size (the last may be smaller), or of the sizes listed."""
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
        out = tuple([array.empty_like(x, shape=(*lead, size, *tail)) for size in self.geometry.sizes])
        self.shape = x.shape
        return run("split", x, out=out, geometry=self.geometry)

    def backward(self, *dys: Array) -> Array:
        return run("concat", *dys, out=array.empty_like(dys[0], shape=self.shape), geometry=self.geometry)


@tensor_method
def split_copy(input: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """As split, but new tensors in one pass: dense parts for kernels that want them."""
    axis, sections = _split_sizes(input, split_size, dim)
    return Split(geometry=ConcatGeometry(axis, sections))(input)


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


# --- layout, dtype, device ------------------------------------------------------------------------


class Relayout(Function):
    """A copy in another memory format; the gradient passes as it is."""

    memory_format: str

    def forward(self, x: Array) -> Array:
        if self.memory_format == array.preserve_format:
            return run_array("copy", array.copy, x)
        y = run_array("copy", array.with_format, x, self.memory_format)
        return array.copy(x) if y is x else y

    def backward(self, dy: Array) -> Array:
        return dy


class Transfer(Function):
    """A copy on another device; the gradient travels back."""

    device: str

    def forward(self, x: Array) -> Array:
        self.source = array.device_of(x)
        return run_array("transfer", array.to_device, x, self.device)

    def backward(self, dy: Array) -> Array:
        return run_array("transfer", array.to_device, dy, self.source)


def _check_format(input: Tensor, memory_format: Any) -> None:
    if memory_format not in array.MEMORY_FORMATS:
        raise RuntimeError(f"memory_format: got {memory_format!r}, expected one of {array.MEMORY_FORMATS}")
    if memory_format == array.channels_last and input._data.ndim != 4:
        raise RuntimeError("required rank 4 tensor to use channels_last format")


@tensor_method
def clone(input: Tensor, *, memory_format: str = array.preserve_format) -> Tensor:
    """A copy, dense, in input's axis order unless another memory format is asked for."""
    check_tensor(input, "input", "clone")
    _check_format(input, memory_format)
    return Relayout(memory_format=memory_format)(input)


@tensor_method
def contiguous(input: Tensor, memory_format: str = array.contiguous_format) -> Tensor:
    """input itself if it is dense in the memory format, else a copy that is."""
    _check_format(input, memory_format)
    if input.is_contiguous(memory_format):
        return input
    if memory_format == array.preserve_format:
        raise RuntimeError("preserve memory format is unsupported by the contiguous operator")
    return Relayout(memory_format=memory_format)(input)


def _to_arguments(args: tuple[Any, ...], dtype: Any, device: Any) -> tuple[Any, Any]:
    """(dtype, device) of to()'s positional arguments: a dtype, a device, both, or another tensor."""
    for arg in args:
        if isinstance(arg, Tensor):
            dtype, device = arg._data.dtype, arg.device
        elif isinstance(arg, bool):
            continue  # non_blocking and copy, by position
        elif isinstance(arg, str) and (arg == "cpu" or arg.partition(":")[0] == "cuda"):
            device = arg
        else:
            try:
                dtype = dtypes.as_dtype(arg)
            except TypeError:
                device = array.as_device(arg)
    return dtype, device


@tensor_method
def to(
    input: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: str = array.preserve_format,
) -> Tensor:
    """input in another dtype, on another device, in another memory format: to(dtype), to(device), to(device, dtype)
    or to(other tensor). input itself where nothing changes and copy is False."""
    dtype, device = _to_arguments(args, dtype, device)
    _check_format(input, memory_format)
    x = input
    if device is not None:
        name = array.as_device(device)
        if name != x.device:
            x = Transfer(device=name)(x)
    if dtype is not None:
        x = cast(x, dtypes.as_dtype(dtype))
    if memory_format not in (array.preserve_format, array.memory_format(x._data)):
        x = Relayout(memory_format=memory_format)(x)
    return clone(x) if copy and x is input else x


@tensor_method(name="type")
def type_(input: Tensor, dtype: Any = None) -> Any:
    """The dtype's name, or input cast to `dtype`."""
    return str(input._data.dtype) if dtype is None else cast(input, dtypes.as_dtype(dtype))


@tensor_method
def type_as(input: Tensor, other: Tensor) -> Tensor:
    """input in other's dtype, on its device."""
    return to(input, other)


def _caster(dtype: Any) -> Callable[..., Tensor]:
    return lambda self, memory_format=array.preserve_format: to(self, dtype, memory_format=memory_format)


for _name, _dtype in (
    ("float", dtypes.float32), ("double", dtypes.float64), ("half", dtypes.float16), ("bfloat16", "bfloat16"),
    ("int", dtypes.int32), ("long", dtypes.int64), ("short", dtypes.int16), ("char", dtypes.int8),
    ("byte", dtypes.uint8), ("bool", dtypes.bool_),
):  # fmt: skip
    setattr(Tensor, _name, _caster(_dtype))


@tensor_method
def cpu(input: Tensor) -> Tensor:
    """input on the CPU."""
    return to(input, "cpu")


@tensor_method
def cuda(input: Tensor, device: Any = None) -> Tensor:
    """input on a GPU; RuntimeError where there is none."""
    if device is None:
        device = "cuda"
    return to(input, f"cuda:{device}" if isinstance(device, int) else device)
