"""Pooling windows along one axis: which pixels a window holds, which windows hold a pixel.

An axis is the tuple (size, outputs, taps, stride, pad, dilation) of `axes`; its index vectors have
one element for each row of a tile. Of the visits and taps outside the image the callers are told by
a mask, so that every loop has the same number of steps for all rows.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from ..array import Array
from ..geometry import Pool2dGeometry
from .numbers import offset_type
from .tuning import Config, Configurations, memory_time

_UNROLLED = 16  # taps, or windows around a pixel, that are written out instead of looped over
Axis = tuple[int, int, int, int, int, int]


def axes(g: Pool2dGeometry) -> tuple[Axis, Axis]:
    return (
        (g.H, g.P, g.R, g.stride_h, g.pad_h, g.dilation_h),
        (g.W, g.Q, g.S, g.stride_w, g.pad_w, g.dilation_w),
    )


def index_type(g: Pool2dGeometry, *arrays: Array) -> Any:
    """Triton's dtype for offsets, and for the products an adaptive pooling divides."""
    wide = max((g.P + 1) * g.H, (g.Q + 1) * g.W) >= 2**30
    return tl.int64 if wide else offset_type(*arrays)


def tap_range(axis: Axis, adaptive: bool) -> tuple[int, int]:
    """The first tap that meets a pixel of any window, and the one after the last: a window may be
    far larger than the image."""
    size, outputs, taps, stride, pad, dilation = axis
    if adaptive:
        return 0, taps
    first = max(0, -(((outputs - 1) * stride - pad) // dilation))
    return first, max(first, min(taps, (size - 1 + pad) // dilation + 1))


def visits(axis: Axis, adaptive: bool) -> int:
    """How many windows hold a pixel, at most."""
    size, outputs, taps, stride, _, dilation = axis
    if not adaptive:
        return min(outputs, -(-((taps - 1) * dilation + 1) // stride))
    if size % outputs == 0:
        return 1
    return outputs // size + (2 if outputs % size else 0)


def unrolled(*counts: int) -> bool:
    product = 1
    for count in counts:
        product *= count
    return product <= _UNROLLED


def tile(
    table: Configurations, a: Array, pixels: int, channels: int, *words: Any, images: int = 1
) -> Config:
    """The configuration for tiles of PIXELS x CHANNELS in the order of `a`, an image: those of each
    of `images` apart. `words` are what else the tuning key holds."""
    inner = abs(a.strides[1]) < abs(a.strides[3]) or a.shape[3] == 1
    itemsize = a.itemsize

    def cost(config: Config) -> float:
        rows, columns = config.tiles["PIXELS"], config.tiles["CHANNELS"]
        tiles = images * triton.cdiv(pixels, rows) * triton.cdiv(channels, columns)
        run = itemsize * max(min(columns, channels) if inner else min(rows, pixels), 1)
        return memory_time(tiles, rows * columns * max(1.0, 64 / run))

    return table.choose(a.dtype, (images * pixels, channels, inner, *words), cost)


@triton.jit
def window(output, axis, ADAPTIVE: tl.constexpr):
    """(first pixel, end) of the windows of `output`; the first may be negative. A regular window's
    end is clipped to the padded image."""
    size, outputs, taps, stride, pad, dilation = axis
    if ADAPTIVE:
        start = output * size // outputs
        end = ((output + 1) * size + outputs - 1) // outputs
    else:
        start = output * stride - pad
        end = tl.minimum(start + (taps - 1) * dilation + 1, size + pad)
    return start, end


@triton.jit
def first_tap(start, axis):
    """The first tap at or right of the image's edge."""
    return (tl.maximum(0 - start, 0) + axis[5] - 1) // axis[5]


@triton.jit
def covering(pixel, visit, axis, ADAPTIVE: tl.constexpr):
    """(output, tap, whether): the visit-th of the windows that hold `pixel`, and which of its taps
    that is. The last window comes first, so that taps ascend."""
    size, outputs, taps, stride, pad, dilation = axis
    if ADAPTIVE:
        output = ((pixel + 1) * outputs + size - 1) // size - 1 - visit
        start, end = window(output, axis, ADAPTIVE)
        tap = pixel - start
        holds = (output >= 0) & (pixel < end)
    else:
        output = tl.minimum((pixel + pad) // stride, outputs - 1) - visit
        reach = pixel + pad - output * stride
        tap = reach // dilation
        holds = (output >= 0) & (tap < taps) & (reach % dilation == 0)
    return output, tap, holds


@triton.jit
def tile_of(pixels, channels, INDEX: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr):
    """This program's pixels of the whole batch and its channels, and which of both there are."""
    blocks = tl.cdiv(channels, CHANNELS)
    i = (tl.program_id(0) // blocks).to(INDEX) * PIXELS + tl.arange(0, PIXELS)
    c = (tl.program_id(0) % blocks).to(INDEX) * CHANNELS + tl.arange(0, CHANNELS)
    return i, c, i < pixels, c < channels
