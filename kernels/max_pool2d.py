"""Max pooling and its gradient: one byte per output remembers which tap won.

Computes   y[n,c,p,q] = max of x over the window of (p,q); offsets = r*S + s of the tap taken
           dx[n,c,h,w] = sum of dy over the windows whose offset names the pixel (h,w)
Arrays     x, dx (N,C,H,W)  y, dy, offsets (N,C,P,Q); any strides; f16/bf16/f32/f64, fprop also
           integers; offsets uint8, int32 above 256 taps
Grid       (ceil(N*P*Q / PIXELS) * ceil(C / CHANNELS),), for dgrad N*H*W pixels: channels vary
           fastest, so that neighbours share the lines of a pixel
Tiling     PIXELS x CHANNELS with maximum and offset in registers. Channels-last: 64 channels in
           the vectors. Contiguous: pixels in the vectors, few channels. Up to 16 taps are unrolled
Traffic    fprop HW + PQ elements and PQ bytes per channel, taps that overlap come from L1; dgrad
           reads PQ elements and PQ bytes, writes HW; ResNet's 3x3 stride 2 from 112x112x64, bf16:
           2 comparisons per 0.7 bytes: bandwidth
Numerics   exact: ">" keeps the first of equal values, the last NaN wins; dgrad adds in f32 (f64)
           in the order of the taps. A gather: no two programs write one pixel, no atomics
Refuses    bool; dgrad: integers
Source     Ranzato et al. 2007, "Unsupervised learning of invariant feature hierarchies"
"""

from __future__ import annotations

from typing import Any

import numpy as np
import triton
import triton.language as tl

from ..array import Array
from ..dtypes import is_floating_point
from ..geometry import Pool2dGeometry
from .launch import launch
from .numbers import accumulator
from .pool2d_windows import (
    axes,
    covering,
    first_tap,
    index_type,
    tap_range,
    tile,
    tile_of,
    unrolled,
    visits,
    window,
)  # fmt: skip
from .strided import strides, units
from .tuning import Config, Configurations

FPROP = Configurations(
    "max_pool2d.fprop",
    Config({"PIXELS": 32, "CHANNELS": 64}, 8, 1),
    Config({"PIXELS": 16, "CHANNELS": 64}, 4, 1),
    Config({"PIXELS": 128, "CHANNELS": 8}, 8, 1),
    Config({"PIXELS": 512, "CHANNELS": 1}, 4, 1),
    Config({"PIXELS": 16, "CHANNELS": 16}, 4, 1),
)
DGRAD = Configurations(
    "max_pool2d.dgrad",
    Config({"PIXELS": 64, "CHANNELS": 64}, 8, 1, dtypes=("float16", "bfloat16")),
    Config({"PIXELS": 32, "CHANNELS": 64}, 8, 1),
    Config({"PIXELS": 16, "CHANNELS": 64}, 4, 1),
    Config({"PIXELS": 128, "CHANNELS": 8}, 8, 1),
    Config({"PIXELS": 512, "CHANNELS": 1}, 4, 1),
    Config({"PIXELS": 16, "CHANNELS": 16}, 4, 1),
)


@triton.jit
def _take(best, taken, at, inside, tap, LEAST: tl.constexpr):
    """The larger of best and what lies there, and its tap; a NaN is larger than everything."""
    value = tl.load(at, mask=inside, other=LEAST).to(best.dtype)
    better = (value > best) | (value != value)
    return tl.where(better, value, best), tl.where(better, tap, taken)


@triton.jit
def _direct_fprop(
    x, y, offsets, pixels, channels, rows, columns, row_taps, column_taps,
    x_steps, y_steps, offset_steps,
    R: tl.constexpr, S: tl.constexpr, UNROLLED: tl.constexpr, ADAPTIVE: tl.constexpr,
    LEAST: tl.constexpr, ACC: tl.constexpr, INDEX: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    i, c, pixel_inside, channel_inside = tile_of(pixels, channels, INDEX, PIXELS, CHANNELS)
    q, p, n = i % columns[1], i // columns[1] % rows[1], i // columns[1] // rows[1]
    top, bottom = window(p, rows, ADAPTIVE)
    left, right = window(q, columns, ADAPTIVE)
    bottom, right = tl.minimum(bottom, rows[0]), tl.minimum(right, columns[0])
    image = x + (n * x_steps[0])[:, None] + (c * x_steps[1])[None, :]
    best = tl.full((PIXELS, CHANNELS), LEAST, ACC)
    first = first_tap(top, rows) * S + first_tap(left, columns)
    taken = tl.zeros((PIXELS, CHANNELS), tl.int32) + first.to(tl.int32)[:, None]
    row_dilation, column_dilation = rows[5], columns[5]
    row_step, column_step = x_steps[2], x_steps[3]
    if UNROLLED:
        for r in tl.static_range(R):
            h = top + r * row_dilation
            row, row_inside = h * row_step, pixel_inside & (h >= 0) & (h < bottom)
            for s in tl.static_range(S):
                w = left + s * column_dilation
                inside = row_inside & (w >= 0) & (w < right)
                at = image + (row + w * column_step)[:, None]
                mask = inside[:, None] & channel_inside[None, :]
                best, taken = _take(best, taken, at, mask, r * S + s, LEAST)
    else:
        for r in range(row_taps[0], row_taps[1]):
            h = top + r * row_dilation
            row, row_inside = h * row_step, pixel_inside & (h >= 0) & (h < bottom)
            for s in range(column_taps[0], column_taps[1]):
                w = left + s * column_dilation
                inside = row_inside & (w >= 0) & (w < right)
                at = image + (row + w * column_step)[:, None]
                mask = inside[:, None] & channel_inside[None, :]
                best, taken = _take(best, taken, at, mask, r * S + s, LEAST)
    inside = pixel_inside[:, None] & channel_inside[None, :]
    at = (n * y_steps[0] + p * y_steps[2] + q * y_steps[3])[:, None] + (c * y_steps[1])[None, :]
    tl.store(y + at, best.to(y.dtype.element_ty), mask=inside)
    at = n * offset_steps[0] + p * offset_steps[2] + q * offset_steps[3]
    at = at[:, None] + (c * offset_steps[1])[None, :]
    tl.store(offsets + at, taken.to(offsets.dtype.element_ty), mask=inside)


def max_pool2d_fprop_direct(
    x: Array, *, out: tuple[Array, Array], geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    g, (y, offsets) = geometry, out
    rows, columns = axes(g)
    pixels = g.N * g.P * g.Q
    config = tile(FPROP, y, pixels, g.C, g, units(strides(x), strides(y)))
    in_line = unrolled(g.R, g.S)
    launch(
        _direct_fprop,
        (triton.cdiv(pixels, config.tiles["PIXELS"]) * triton.cdiv(g.C, config.tiles["CHANNELS"]),),
        x, y, offsets, pixels, g.C, rows, columns,
        tap_range(rows, g.adaptive), tap_range(columns, g.adaptive),
        strides(x), strides(y), strides(offsets),
        R=g.R if in_line else 0, S=g.S, UNROLLED=in_line, ADAPTIVE=g.adaptive,
        LEAST=_least(x.dtype), ACC=_compared(x.dtype), INDEX=index_type(g, x, y, offsets),
        **config.tiles, **config.options,
    )  # fmt: skip


def _compared(dtype: np.dtype) -> Any:
    """Triton's dtype in which elements are compared: integers in their own."""
    return accumulator(dtype) if is_floating_point(dtype) else getattr(tl, dtype.name)


def _least(dtype: np.dtype) -> Any:
    return float("-inf") if is_floating_point(dtype) else int(np.iinfo(dtype).min)


@triton.jit
def _received(
    dy, offsets, h, w, row, column, rows, columns, pixel_inside, channel_inside,
    dy_steps, offset_steps, S: tl.constexpr, ADAPTIVE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """What pixels (h,w) get from one of their windows: its gradient, if its offset names them."""
    p, r, row_holds = covering(h, row, rows, ADAPTIVE)
    q, s, column_holds = covering(w, column, columns, ADAPTIVE)
    inside = (pixel_inside & row_holds & column_holds)[:, None] & channel_inside[None, :]
    at = (p * dy_steps[2] + q * dy_steps[3])[:, None]
    gradient = tl.load(dy + at, mask=inside, other=0.0).to(ACC)
    at = (p * offset_steps[2] + q * offset_steps[3])[:, None]
    taken = tl.load(offsets + at, mask=inside, other=0).to(tl.int32)
    return tl.where(taken == (r * S + s)[:, None], gradient, 0.0)


@triton.jit
def _direct_dgrad(
    dy, offsets, dx, pixels, channels, rows, columns, row_visits, column_visits,
    dy_steps, offset_steps, dx_steps,
    S: tl.constexpr, ROW_VISITS: tl.constexpr, COLUMN_VISITS: tl.constexpr,
    UNROLLED: tl.constexpr, ADAPTIVE: tl.constexpr, ACC: tl.constexpr, INDEX: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    i, c, pixel_inside, channel_inside = tile_of(pixels, channels, INDEX, PIXELS, CHANNELS)
    w, h, n = i % columns[0], i // columns[0] % rows[0], i // columns[0] // rows[0]
    dy += (n * dy_steps[0])[:, None] + (c * dy_steps[1])[None, :]
    offsets += (n * offset_steps[0])[:, None] + (c * offset_steps[1])[None, :]
    total = tl.zeros((PIXELS, CHANNELS), ACC)
    if UNROLLED:
        for row in tl.static_range(ROW_VISITS):
            for column in tl.static_range(COLUMN_VISITS):
                total += _received(
                    dy, offsets, h, w, row, column, rows, columns, pixel_inside, channel_inside,
                    dy_steps, offset_steps, S, ADAPTIVE, ACC,
                )  # fmt: skip
    else:
        for row in range(row_visits):
            for column in range(column_visits):
                total += _received(
                    dy, offsets, h, w, row, column, rows, columns, pixel_inside, channel_inside,
                    dy_steps, offset_steps, S, ADAPTIVE, ACC,
                )  # fmt: skip
    at = (n * dx_steps[0] + h * dx_steps[2] + w * dx_steps[3])[:, None] + (c * dx_steps[1])[None, :]
    inside = pixel_inside[:, None] & channel_inside[None, :]
    tl.store(dx + at, total.to(dx.dtype.element_ty), mask=inside)


def max_pool2d_dgrad_direct(
    dy: Array, offsets: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    g = geometry
    rows, columns = axes(g)
    pixels = g.N * g.H * g.W
    config = tile(DGRAD, out, pixels, g.C, g, units(strides(dy), strides(out)))
    row_visits, column_visits = visits(rows, g.adaptive), visits(columns, g.adaptive)
    in_line = unrolled(row_visits, column_visits)
    launch(
        _direct_dgrad,
        (triton.cdiv(pixels, config.tiles["PIXELS"]) * triton.cdiv(g.C, config.tiles["CHANNELS"]),),
        dy, offsets, out, pixels, g.C, rows, columns, row_visits, column_visits,
        strides(dy), strides(offsets), strides(out),
        S=g.S, ROW_VISITS=row_visits if in_line else 0, COLUMN_VISITS=column_visits,
        UNROLLED=in_line, ADAPTIVE=g.adaptive, ACC=accumulator(dy.dtype),
        INDEX=index_type(g, dy, offsets, out), **config.tiles, **config.options,
    )  # fmt: skip


# --- naive: one element per lane, as the formulas say ---------------------------------------------


@triton.jit
def _naive_fprop(
    x, y, offsets, elements, channels, rows, columns, row_taps, column_taps,
    x_steps, y_steps, offset_steps, S,
    ADAPTIVE: tl.constexpr, LEAST: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    exists = i < elements
    q, p = i % columns[1], i // columns[1] % rows[1]
    plane = i // columns[1] // rows[1]
    c, n = plane % channels, plane // channels
    top, bottom = window(p, rows, ADAPTIVE)
    left, right = window(q, columns, ADAPTIVE)
    bottom, right = tl.minimum(bottom, rows[0]), tl.minimum(right, columns[0])
    best = tl.full((BLOCK,), LEAST, ACC)
    taken = (first_tap(top, rows) * S + first_tap(left, columns)).to(tl.int32)
    for r in range(row_taps[0], row_taps[1]):
        for s in range(column_taps[0], column_taps[1]):
            h, w = top + r * rows[5], left + s * columns[5]
            inside = exists & (h >= 0) & (h < bottom) & (w >= 0) & (w < right)
            at = n * x_steps[0] + c * x_steps[1] + h * x_steps[2] + w * x_steps[3]
            best, taken = _take(best, taken, x + at, inside, r * S + s, LEAST)
    at = n * y_steps[0] + c * y_steps[1] + p * y_steps[2] + q * y_steps[3]
    tl.store(y + at, best.to(y.dtype.element_ty), mask=exists)
    at = n * offset_steps[0] + c * offset_steps[1] + p * offset_steps[2] + q * offset_steps[3]
    tl.store(offsets + at, taken.to(offsets.dtype.element_ty), mask=exists)


def max_pool2d_fprop_naive(
    x: Array, *, out: tuple[Array, Array], geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    g, (y, offsets) = geometry, out
    rows, columns = axes(g)
    block = 256
    launch(
        _naive_fprop, (triton.cdiv(y.size, block),),
        x, y, offsets, y.size, g.C, rows, columns,
        tap_range(rows, g.adaptive), tap_range(columns, g.adaptive),
        strides(x), strides(y), strides(offsets), g.S,
        ADAPTIVE=g.adaptive, LEAST=_least(x.dtype), ACC=_compared(x.dtype), BLOCK=block,
    )  # fmt: skip


@triton.jit
def _naive_dgrad(
    dy, offsets, dx, elements, channels, rows, columns, row_visits, column_visits,
    dy_steps, offset_steps, dx_steps, S,
    ADAPTIVE: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    exists = i < elements
    w, h = i % columns[0], i // columns[0] % rows[0]
    plane = i // columns[0] // rows[0]
    c, n = plane % channels, plane // channels
    total = tl.zeros((BLOCK,), ACC)
    for row in range(row_visits):
        p, r, row_holds = covering(h, row, rows, ADAPTIVE)
        for column in range(column_visits):
            q, s, holds = covering(w, column, columns, ADAPTIVE)
            inside = exists & row_holds & holds
            at = n * dy_steps[0] + c * dy_steps[1] + p * dy_steps[2] + q * dy_steps[3]
            gradient = tl.load(dy + at, mask=inside, other=0.0).to(ACC)
            at = n * offset_steps[0] + c * offset_steps[1]
            at += p * offset_steps[2] + q * offset_steps[3]
            taken = tl.load(offsets + at, mask=inside, other=0).to(tl.int32)
            total += tl.where(taken == r * S + s, gradient, 0.0)
    at = n * dx_steps[0] + c * dx_steps[1] + h * dx_steps[2] + w * dx_steps[3]
    tl.store(dx + at, total.to(dx.dtype.element_ty), mask=exists)


def max_pool2d_dgrad_naive(
    dy: Array, offsets: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    g = geometry
    rows, columns = axes(g)
    block = 256
    launch(
        _naive_dgrad, (triton.cdiv(out.size, block),),
        dy, offsets, out, out.size, g.C, rows, columns,
        visits(rows, g.adaptive), visits(columns, g.adaptive),
        strides(dy), strides(offsets), strides(out), g.S,
        ADAPTIVE=g.adaptive, ACC=accumulator(dy.dtype), BLOCK=block,
    )  # fmt: skip
