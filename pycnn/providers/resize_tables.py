"""Resampling as tables of taps, one per axis: what every provider's kernels read.

The centre of output p lies at (p + 0.5) * scale - 0.5, with corners aligned at
p * (H - 1) / (P - 1); scale is H / P, or 1 / geometry.scale_h where one was given. Tables are in
the accumulation dtype, nearest's in float32 for every dtype, as PyTorch's. The gradient is the
transposed table.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import FLOATING, accumulation_dtype
from ..geometry import Resize2dGeometry


class Taps(NamedTuple):
    """One axis: output p is the sum over t of weight[p, t] * input[source[p, t]]; weight None is 1
    throughout.

    Rows of fewer taps than others are filled up with taps that do not count: `valid` is False
    there."""

    source: np.ndarray
    weight: np.ndarray | None
    valid: np.ndarray | None  # None where every tap counts


def axis_taps(
    size: int,
    outputs: int,
    mode: str,
    align_corners: bool,
    scale: float | None,
    antialias: bool,
    dtype: np.dtype,
) -> Taps:
    """The taps of one axis from `size` to `outputs` elements, in `dtype` arithmetic."""
    if mode in ("nearest", "nearest-exact"):
        return _nearest(size, outputs, mode, scale)
    real = dtype.type
    if align_corners:
        step = real(size - 1) / real(outputs - 1) if outputs > 1 else real(0)
    else:
        step = _step(size, outputs, scale, dtype)
    if size == outputs and step == 1 and mode == "bilinear":
        # a copy, which infinity times a weight of zero would spoil
        return Taps(np.arange(outputs)[:, None], None, None)
    if antialias:
        return _antialiased(size, outputs, mode, step, dtype)
    position = np.arange(outputs, dtype=dtype)
    position = position * step if align_corners else (position + real(0.5)) * step - real(0.5)
    if mode == "bilinear":
        position = np.maximum(position, 0)
        first = np.minimum(np.floor(position).astype(np.int64), size - 1)
        share = np.clip(position - first.astype(dtype), 0, 1)
        index = np.stack([first, np.minimum(first + 1, size - 1)], 1)
        return Taps(index, np.stack([1 - share, share], 1), None)
    first = np.floor(position)
    share = position - first
    index = np.clip(first.astype(np.int64)[:, None] + np.arange(-1, 3), 0, size - 1)
    weight = [_keys(share + 1 - t, -0.75) for t in range(4)]
    return Taps(index, np.stack(weight, 1).astype(dtype), None)


def _step(size: int, outputs: int, scale: float | None, dtype: np.dtype) -> Any:
    """Inputs per output: 1 / scale where a scale was given, else the ratio of sizes."""
    if scale is not None:
        return dtype.type(1.0 / scale)
    return dtype.type(size) / dtype.type(outputs)


def _nearest(size: int, outputs: int, mode: str, scale: float | None) -> Taps:
    single = np.dtype("float32")
    offset = 0.5 if mode == "nearest-exact" else 0.0
    position = np.arange(offset, outputs + offset).astype(single) * _step(
        size, outputs, scale, single
    )
    index = np.minimum(np.floor(position).astype(np.int64), size - 1)
    return Taps(index[:, None], None, None)


def _keys(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic kernel: W(0) = 1, W(1) = W(2) = 0."""
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def _triangle(distance: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(distance), 0)


def _antialiased(size: int, outputs: int, mode: str, step: Any, dtype: np.dtype) -> Taps:
    """Taps of the filter stretched by the step when shrinking, cut off at the edges and
    normalised."""
    real = dtype.type
    reach, kernel = (1, _triangle) if mode == "bilinear" else (2, lambda d: _keys(d, -0.5))
    stretch = max(step, real(1))
    support = real(reach) * stretch
    centre = (np.arange(outputs, dtype=dtype) + real(0.5)) * step
    first = np.maximum((centre - support + real(0.5)).astype(np.int64), 0)
    last = np.minimum((centre + support + real(0.5)).astype(np.int64), size)
    index = first[:, None] + np.arange(max(int((last - first).max()), 1))
    valid = index < last[:, None]
    distance = (index.astype(dtype) - centre[:, None] + real(0.5)) / stretch
    weight = np.where(valid, kernel(distance), 0).astype(dtype)
    total = weight.sum(1, keepdims=True)
    weight = weight / np.where(total != 0, total, 1)
    return Taps(np.minimum(index, size - 1), weight, valid)


def transposed(taps: Taps, size: int) -> Taps:
    """The taps of the adjoint: for every input element the outputs it feeds, in order."""
    outputs, width = taps.source.shape
    index = taps.source.ravel()
    output = np.repeat(np.arange(outputs), width)
    weight = None if taps.weight is None else taps.weight.ravel()
    if taps.valid is not None:
        keep = taps.valid.ravel()
        index, output = index[keep], output[keep]
        weight = None if weight is None else weight[keep]
    order = np.argsort(index, kind="stable")
    counts = np.bincount(index, minlength=size)
    column = np.arange(index.size) - np.repeat(np.cumsum(counts) - counts, counts)
    row = index[order]
    shape = (size, int(counts.max(initial=0)))
    to, valid = np.zeros(shape, np.int64), np.zeros(shape, bool)
    to[row, column], valid[row, column] = output[order], True
    share = None
    if weight is not None:
        share = np.zeros(shape, weight.dtype)
        share[row, column] = weight[order]
    return Taps(to, share, None if valid.all() else valid)


@lru_cache(maxsize=256)
def tables(geometry: Resize2dGeometry, dtype: np.dtype, transpose: bool) -> tuple[Taps, Taps]:
    """The taps along H and along W."""
    g = geometry
    mode = (g.mode, g.align_corners)
    along_h = axis_taps(g.H, g.P, *mode, g.scale_h, g.antialias, dtype)
    along_w = axis_taps(g.W, g.Q, *mode, g.scale_w, g.antialias, dtype)
    return (transposed(along_h, g.H), transposed(along_w, g.W)) if transpose else (along_h, along_w)


def weight_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of the tables that resample elements of `dtype`."""
    return accumulation_dtype(dtype) if dtype in FLOATING else np.dtype("float32")
