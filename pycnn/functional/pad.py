"""pad: a border of a constant, a reflection, the edge or the other side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from .. import array
from ..array import Array
from ..dispatch import run, run_array
from ..dtypes import bool_
from ..geometry import LIMIT, elementwise_geometry, reduce_geometry
from ..tensor import Function, Tensor
from ._common import check_tensor

__all__ = ["pad"]

_MODES = ("constant", "reflect", "replicate", "circular")


def pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """Widen the last axes of (*) by `pad` = (left, right) or (left, right, top, bottom) ...;
    negative numbers crop.

    mode    constant: every dtype and any number of axes, filled with `value` (0);
            reflect (the edge not repeated, pads below the size), replicate, circular (pads up to
            the size): the last one, two or three axes of an input with one or two axes more; bool
            only in circular
    RuntimeError, NotImplementedError and TypeError as torch raises them; channels-last stays
    channels-last."""
    check_tensor(input, "input", "pad")
    pairs = _pairs(pad, input.ndim)
    if mode not in _MODES:
        raise NotImplementedError(f"mode: got {mode!r}, expected one of {', '.join(_MODES)}")
    if value is not None and (isinstance(value, str) or not hasattr(value, "__float__")):
        raise TypeError(f"pad(): argument 'value' must be float, got {value!r}")
    first = input.ndim - len(pairs)
    for axis, (before, after) in enumerate(pairs, first):
        if mode != "reflect" and mode != "replicate":
            _check_crop(input.shape[axis], before, after)
    if mode == "constant":
        return ConstantPad(pairs=pairs, value=0 if value is None else value)(input)
    if value:
        raise RuntimeError(f"Padding mode {mode!r} doesn't take in value argument, got {value!r}")
    if not 1 <= len(pairs) <= 3 or input.ndim not in (len(pairs) + 1, len(pairs) + 2):
        raise NotImplementedError(
            f"pad: got {2 * len(pairs)} numbers for a {input.ndim}D input in mode {mode!r}, "
            "expected 2 for 2D or 3D, 4 for 3D or 4D, 6 for 4D or 5D inputs"
        )
    if mode != "circular":
        _check_dense(input, mode, len(pairs))
    sources = tuple(
        _sources(mode, input.shape[axis], before, after)
        for axis, (before, after) in enumerate(pairs, first)
    )
    return IndexPad(sources=sources)(input)


def _pairs(pad: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """(before, after) of the padded axes, first axis first."""
    if not isinstance(pad, (tuple, list)):
        raise TypeError(f"pad(): argument 'pad' must be tuple of ints, got {pad!r}")
    for number in pad:
        if isinstance(number, (bool, float, str)) or not hasattr(number, "__index__"):
            raise TypeError(f"pad(): argument 'pad' must be tuple of ints, got {pad!r}")
    if len(pad) % 2:
        raise RuntimeError(f"pad: Padding length must be divisible by 2, got {pad!r}")
    if len(pad) > 2 * ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension "
            f"but got padding length {len(pad)} and input of dimension {ndim}"
        )
    numbers = [int(number.__index__()) for number in pad]
    if any(abs(number) > LIMIT for number in numbers):
        raise RuntimeError(f"pad: got {pad!r}, expected integers up to {LIMIT}")
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    return tuple(reversed(pairs))


def _check_crop(size: int, before: int, after: int) -> None:
    if size + min(before, 0) + min(after, 0) < 0:
        raise RuntimeError(
            f"pad: got ({before}, {after}), which crops more than the axis of size {size} holds"
        )


def _check_dense(input: Tensor, mode: str, axes: int) -> None:
    if input.dtype == bool_:
        raise NotImplementedError(f"pad(): input: got dtype bool, mode {mode!r} expects numbers")
    batched = input.ndim == axes + 2
    if 0 in input.shape[batched:]:
        raise RuntimeError(
            f"pad(): input: got shape {list(input.shape)}, mode {mode!r} expects no empty axis but "
            "the batch's"
        )


# --- constant -------------------------------------------------------------------------------------


class ConstantPad(Function):
    """y = value around x; negative pads crop."""

    pairs: tuple[tuple[int, int], ...]
    value: float

    def windows(self, shape: Sequence[int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """What of x is kept, and where in y it lies."""
        first = len(shape) - len(self.pairs)
        kept, place = [slice(None)] * first, [slice(None)] * first
        for size, (before, after) in zip(shape[first:], self.pairs, strict=True):
            kept.append(slice(max(-before, 0), size - max(-after, 0)))
            place.append(
                slice(max(before, 0), max(before, 0) + size + min(before, 0) + min(after, 0))
            )
        return tuple(kept), tuple(place)

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        first = x.ndim - len(self.pairs)
        tail = (
            n + before + after
            for n, (before, after) in zip(x.shape[first:], self.pairs, strict=True)
        )
        y = array.empty_for((x,), (*x.shape[:first], *tail), x.dtype)
        return run_array("pad", self.fill, x, y)

    def fill(self, x: Array, y: Array) -> Array:
        kept, place = self.windows(x.shape)
        y[...] = self.value
        y[place] = x[kept]
        return y

    def backward(self, dy: Array) -> Array:
        kept, place = self.windows(self.x_shape)
        dx = array.empty_for((dy,), self.x_shape, dy.dtype)
        dx[...] = 0
        dx[kept] = dy[place]
        return dx


# --- reflect, replicate, circular -----------------------------------------------------------------


def _sources(mode: str, size: int, before: int, after: int) -> tuple[int, ...]:
    """Which input element each output element along one axis repeats."""
    if mode == "circular":
        start, kept = max(-before, 0), size + min(before, 0) + min(after, 0)
        if max(before, after) > kept:
            raise RuntimeError(
                f"Padding value causes wrapping around more than once: got ({before}, {after}) "
                f"for an axis of {size}"
            )
        outputs = kept + max(before, 0) + max(after, 0)
        return tuple(start + (i - max(before, 0)) % max(kept, 1) for i in range(outputs))
    outputs = size + before + after
    if outputs < 1:
        raise RuntimeError(
            f"pad: got ({before}, {after}), which leaves nothing of an axis of size {size} in "
            f"mode {mode!r}"
        )
    positions = range(-before, outputs - before)
    if mode == "replicate":
        return tuple(min(max(i, 0), size - 1) for i in positions)
    if max(before, after) >= size:
        raise RuntimeError(
            "Padding size should be less than the corresponding input dimension, "
            f"but got: padding ({before}, {after}) at an axis of size {size}"
        )
    return tuple(size - 1 - abs(size - 1 - abs(i)) for i in positions)


def _stretches(sources: tuple[int, ...]) -> list[tuple[slice, slice | None, int]]:
    """`sources` cut into stretches, longest first: (outputs, inputs, step), step 1, -1, or 0 for a
    repeated input.

    The inputs of a stretch of step -1 are given in rising order."""
    starts, step = [0], None
    for i, (here, there) in enumerate(pairwise(sources)):
        if step is None and there - here in (-1, 0, 1):
            step = there - here
        elif there - here != step:
            starts.append(i + 1)
            step = None
    found = []
    for start, stop in pairwise([*starts, len(sources)]):
        step = sources[start + 1] - sources[start] if stop - start > 1 else 1
        low, high = sorted((sources[start], sources[stop - 1]))
        found.append((slice(start, stop), slice(low, high + 1), step))
    return sorted(found, key=lambda stretch: stretch[0].start - stretch[0].stop)


class IndexPad(Function):
    """y[..., i, j] = x[..., sources[0][i], sources[1][j]]: every element of y repeats one of x."""

    sources: tuple[tuple[int, ...], ...]

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        lead = x.shape[: x.ndim - len(self.sources)]
        y = array.empty_for((x,), (*lead, *map(len, self.sources)), x.dtype)
        return run_array("pad", self.gather, x, y)

    def gather(self, x: Array, y: Array) -> Array:
        xp, last = array.xp(x), len(self.sources) - 1
        index = [
            xp.asarray(s, dtype="int64").reshape((-1,) + (1,) * (last - i))
            for i, s in enumerate(self.sources)
        ]
        y[...] = x[(..., *index)]
        return y

    def backward(self, dy: Array) -> Array:
        first = len(self.x_shape) - len(self.sources)
        for axis, sources in enumerate(self.sources, first):
            if sources != tuple(range(self.x_shape[axis])):
                dy = _add_back(dy, axis, sources, self.x_shape[axis])
        return dy


def _add_back(dy: Array, axis: int, sources: tuple[int, ...], size: int) -> Array:
    """The adjoint along one axis: every element of dy added to the input it came from."""
    shape = (*dy.shape[:axis], size, *dy.shape[axis + 1 :])
    dx = array.empty_for((dy,), shape, dy.dtype)
    dx[...] = 0
    at = (slice(None),) * axis
    for i, (outputs, inputs, step) in enumerate(_stretches(sources) if sources else ()):
        part = dy[(*at, outputs)]
        if step == 0:
            total = array.empty(
                (*shape[:axis], *shape[axis + 1 :]), dy.dtype, device=array.device_of(dy)
            )
            run("reduce", part, out=total, geometry=reduce_geometry("sum", (axis,)))
            part = total.reshape((*shape[:axis], 1, *shape[axis + 1 :]))
        elif step < 0:
            part = part[(*at, slice(None, None, -1))]
        target = dx[(*at, inputs)]
        if i == 0:
            target[...] = part
        else:
            run("elementwise", target, part, out=target, geometry=elementwise_geometry("add"))
    return dx
