"""Arrays of any strides, walked by one flat index: what elementwise kernels share.

On the host `collapse` merges the axes that lie one inside the other in every array, so that dense
arrays of one layout become a single axis. On the device `offset` turns a flat index into an
array's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import triton
import triton.language as tl

from ..array import Array


def strides(a: Array) -> tuple[int, ...]:
    """a's strides in elements."""
    return tuple(step // a.itemsize for step in a.strides)


def units(*arrays: Sequence[int]) -> str:
    """Along which axes each array's neighbours lie side by side, by its strides; "-" for none. A
    launch is compiled for it, so that a tuning key holds it."""
    axes = ("".join(str(i) for i, step in enumerate(steps) if step == 1) for steps in arrays)
    return ",".join(found or "-" for found in axes)


def broadcast(a: Array, shape: Sequence[int]) -> tuple[int, ...]:
    """a's strides in elements as an array of `shape`: 0 along the axes it is broadcast over."""
    steps = (0,) * (len(shape) - a.ndim) + strides(a)
    sizes = (1,) * (len(shape) - a.ndim) + a.shape
    return tuple(0 if size == 1 else step for size, step in zip(sizes, steps, strict=True))


def collapse(
    shape: Sequence[int], *arrays: Sequence[int]
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """(sizes, each array's strides) of the fewest axes that walk arrays of `shape` with these
    strides; the last axis is the one with the smallest steps in the first array. Axes of one
    element vanish, and at least one axis is left."""
    axes = [i for i, size in enumerate(shape) if size != 1]
    axes.sort(key=lambda i: -abs(arrays[0][i]))
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in arrays]
    for axis in axes:
        inner = [a[axis] for a in arrays]
        if sizes and all(s[-1] == step * shape[axis] for s, step in zip(steps, inner, strict=True)):
            sizes[-1] *= shape[axis]
            for s, step in zip(steps, inner, strict=True):
                s[-1] = step
        else:
            sizes.append(shape[axis])
            for s, step in zip(steps, inner, strict=True):
                s.append(step)
    if not sizes:
        return (1,), [(0,) for _ in arrays]
    return tuple(sizes), [tuple(s) for s in steps]


def index_dtype(sizes: Sequence[int], *arrays: Sequence[int]) -> Any:
    """int32 where it holds every index of such a walk, those of the last tile's rest included,
    and every offset; else int64. A division of int64 takes a hundred instructions."""
    spans = [sum(abs(s) * size for s, size in zip(a, sizes, strict=True)) for a in arrays]
    return tl.int32 if max(math.prod(sizes), *spans) < 2**30 else tl.int64


@triton.jit
def offset(i, sizes, steps, AXES: tl.constexpr):
    """Where element i of a walk over `sizes` lies, for an array with strides `steps`: int64, while
    i is divided in its own type."""
    at = (i * 0).to(tl.int64)
    for axis in tl.static_range(AXES - 1, -1, -1):
        if axis == 0:
            at += i.to(tl.int64) * steps[axis]
        else:
            at += (i % sizes[axis]).to(tl.int64) * steps[axis]
            i = i // sizes[axis]
    return at
