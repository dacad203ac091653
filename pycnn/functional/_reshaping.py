"""Views and copies of the same elements in another shape or order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import array
from ..array import Array
from ..autograd import Function
from ..dispatch import run_array
from ..tensor import Tensor, check_dim, tensor_method
from ._common import check_tensor, sum_over
from ._views import Expand, Permute, Reshape, inferred_shape, sizes_of


def _reshaped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return Reshape(shape=shape)(x)


@tensor_method
def reshape(input: Tensor, *shape: Any, **named: Any) -> Tensor:
    """input in another shape, one size of which may be -1; a view where strides allow, else a copy.

    RuntimeError if the number of elements differs."""
    check_tensor(input, "input", "reshape")
    return _reshaped(
        input, inferred_shape(sizes_of(shape, "shape", "reshape", named), input._data.size)
    )


@tensor_method
def view(input: Tensor, *shape: Any, **named: Any) -> Tensor:
    """As reshape, but never a copy: RuntimeError where no strides exist for the shape."""
    if len(shape) == 1 and isinstance(shape[0], Tensor):
        raise TypeError("view(): argument 'size' must be tuple of ints, not Tensor")
    out = _reshaped(input, inferred_shape(sizes_of(shape, "size", "view", named), input._data.size))
    if out._view is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return out


@tensor_method
def view_as(input: Tensor, other: Tensor) -> Tensor:
    """view in other's shape."""
    return view(input, other.shape)


@tensor_method
def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """reshape to other's shape."""
    return reshape(input, other.shape)


@tensor_method
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from start_dim to end_dim, both included, joined into one."""
    check_tensor(input, "input", "flatten")
    shape = input._data.shape
    start, end = (
        check_dim(start_dim, len(shape), "start_dim"),
        check_dim(end_dim, len(shape), "end_dim"),
    )
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
    """input without its dimensions of size 1, or without those of `dim` (an int or a tuple) that
    have size 1."""
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
def permute(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """Dimension i of the output is dimension dims[i] of the input. RuntimeError unless each is
    named once."""
    check_tensor(input, "input", "permute")
    ndim = input._data.ndim
    axes = sizes_of(dims, "dims", "permute", named)
    if len(axes) != ndim:
        raise RuntimeError(
            "permute(): number of dimensions in the tensor input does not match the length of the "
            "desired ordering "
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
tensor_method(name="swapaxes")(transpose)
tensor_method(name="swapdims")(transpose)


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
        raise RuntimeError(
            "tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor."
        )
    return transpose(input, -2, -1)


def _reversed(input: Tensor) -> Tensor:
    return Permute(dims=tuple(range(input.ndim))[::-1])(input)


tensor_method(name="T")(property(_reversed))
tensor_method(name="mT")(property(_matrix_transpose))


@tensor_method
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dimensions moved to new places, the others in their order around them."""
    check_tensor(input, "input", "movedim")
    ndim = input._data.ndim
    pairs = []
    for name, value in (("source", source), ("destination", destination)):
        dims = [
            check_dim(d, ndim, name)
            for d in (value if isinstance(value, (tuple, list)) else (value,))
        ]
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({dims})")
        pairs.append(dims)
    if len(pairs[0]) != len(pairs[1]):
        raise RuntimeError(
            "movedim: Invalid source or destination dims: source should contain the same number of "
            f"dims as destination, got {source} and {destination}"
        )
    places = dict(zip(pairs[1], pairs[0], strict=True))
    rest = iter(i for i in range(ndim) if i not in pairs[0])
    return Permute(dims=tuple([places[i] if i in places else next(rest) for i in range(ndim)]))(
        input
    )


# --- repetition -----------------------------------------------------------------------------------


@tensor_method
def expand(input: Tensor, *size: Any, **named: Any) -> Tensor:
    """input with sizes of 1 repeated and new dimensions in front, without a copy; -1 keeps a
    size."""
    return expanded(input, sizes_of(size, "size", "expand", named))


def expanded(input: Tensor, size: tuple[int, ...]) -> Tensor:
    shape = input._data.shape
    lead = len(size) - len(shape)
    if lead < 0:
        raise RuntimeError(
            f"expand({list(shape)}, size={list(size)}): the number of sizes provided ({len(size)}) "
            f"must be greater or equal to the number of dimensions in the tensor ({len(shape)})"
        )
    full = list(size)
    for i, wanted in enumerate(size):
        if i < lead:
            if wanted < 0:
                raise RuntimeError(
                    f"The expanded size of the tensor ({wanted}) isn't allowed in a leading, "
                    f"non-existing dimension {i}"
                )
        elif wanted == -1:
            full[i] = shape[i - lead]
        elif wanted != shape[i - lead] and (shape[i - lead] != 1 or wanted < 0):
            raise RuntimeError(
                f"The expanded size of the tensor ({wanted}) must match the existing size "
                f"({shape[i - lead]}) at non-singleton dimension {i}.  Target sizes: {list(size)}. "
                f" Tensor sizes: {list(shape)}"
            )
    return Expand(shape=tuple(full))(input)


@tensor_method
def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """input expanded to other's shape."""
    return expanded(input, other.shape)


@tensor_method
def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """input expanded to `size`."""
    check_tensor(input, "input", "broadcast_to")
    return expanded(input, sizes_of((size,), "size", "broadcast_to"))


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Every tensor expanded to the common shape."""
    items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    shape = array.broadcast_shapes(*[x.shape for x in items]) if items else ()
    return tuple(expanded(x, shape) for x in items)


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


@tensor_method
def repeat(input: Tensor, *repeats: Any, **named: Any) -> Tensor:
    """A copy of input repeats[i] times along dimension i, counted from new dimensions in front."""
    counts = sizes_of(repeats, "repeats", "repeat", named)
    if len(counts) < input._data.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    if any(n < 0 for n in counts):
        raise RuntimeError(
            f"repeat(): repeats: got {counts}: a tensor cannot have a negative dimension"
        )
    return Repeat(repeats=counts)(input)


@tensor_method
def tile(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """As repeat, but missing leading counts are 1."""
    check_tensor(input, "input", "tile")
    counts = sizes_of(dims, "dims", "tile", named)
    return repeat(input, (1,) * (input._data.ndim - len(counts)) + counts)


class Rearrange(Function):
    """flip or roll: a copy whose adjoint is another of its kind."""

    def forward(self, x: Array) -> Array:
        return run_array("rearrange", self.there, x)  # type: ignore[attr-defined]

    def backward(self, dy: Array) -> Array:
        return run_array("rearrange", self.back, dy)  # type: ignore[attr-defined]


@tensor_method
def flip(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """A copy with the order of elements reversed along `dims`."""
    check_tensor(input, "input", "flip")
    axes = [check_dim(d, input._data.ndim) for d in sizes_of(dims, "dims", "flip", named)]
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
    """A copy with elements moved `shifts` places along `dims`, those that fall off coming back at
    the front.

    Without dims the flattened tensor rolls. RuntimeError unless there are as many shifts as
    dims."""
    check_tensor(input, "input", "roll")
    moves = sizes_of(
        (shifts,) if isinstance(shifts, (tuple, list)) else (shifts,), "shifts", "roll"
    )
    if dims is None or dims == ():
        if len(moves) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(moves)}, dims:0")
        return reshape(roll(flatten(input), moves, (0,)), input.shape)
    axes = tuple(
        [
            check_dim(d, input._data.ndim)
            for d in (dims if isinstance(dims, (tuple, list)) else (dims,))
        ]
    )
    if len(moves) != len(axes):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(axes)}"
        )
    away = tuple(-m for m in moves)
    return Rearrange(
        there=lambda a: array.xp(a).roll(a, moves, axes),
        back=lambda a: array.xp(a).roll(a, away, axes),
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
