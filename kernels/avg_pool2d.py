"""Average pooling and its gradient: fixed, adaptive and global windows.

Computes   y[n,c,p,q] = sum of x over the window of (p,q) / divisor(p,q)
           dx[n,c,h,w] = sum of dy / divisor over the windows that hold the pixel (h,w)
           divisor: divisor_override, or the window's pixels in the padded image, or without
           count_include_pad those in the image
Arrays     x, dx (N,C,H,W)  y, dy (N,C,P,Q); any strides; f16/bf16/f32/f64, fprop also integers
Grid       (ceil(N*P*Q / PIXELS) * ceil(C / CHANNELS),), for dgrad N*H*W pixels: channels vary
           fastest, so that neighbours share the lines of a pixel; "window": (N*P*Q *
           ceil(C / CHANNELS),)
Tiling     PIXELS x CHANNELS sums in registers, channels-last: 64 channels in the vectors, else
           pixels. Windows above 48 taps: TAPS x CHANNELS partial sums of one output, so that a
           window's pixels are loaded at once; one reduction over the taps at the end
Traffic    x read once, overlapping taps from L1, y written once; global 7x7x2048 bf16: 1 addition
           per 2 bytes; DenseNet's 2x2 of 56x56x256: 0.5 additions per byte: bandwidth
Numerics   f32 (f64) sums, in the order of the taps or of fixed partial sums; times the divisor's
           reciprocal, rounded once at the store; integers in their own type, quotients truncated
Refuses    bool; dgrad: integers
Source     LeCun et al. 1998; Lin, Chen and Yan 2013, arXiv:1312.4400 (global)
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
    index_type,
    tap_range,
    tile,
    tile_of,
    unrolled,
    visits,
    window,
)  # fmt: skip
from .strided import strides, units
from .tuning import Config, Configurations, memory_time

_MANY = 48  # taps above which a program takes one window

FPROP = Configurations(
    "avg_pool2d.fprop",
    Config({"PIXELS": 64, "CHANNELS": 64}, 8, 1),
    Config({"PIXELS": 32, "CHANNELS": 64}, 4, 1),
    Config({"PIXELS": 128, "CHANNELS": 8}, 8, 1),
    Config({"PIXELS": 512, "CHANNELS": 1}, 4, 1),
    Config({"PIXELS": 16, "CHANNELS": 16}, 4, 1),
)
WINDOW = Configurations(
    "avg_pool2d.window",
    Config({"TAPS": 64, "CHANNELS": 64}, 4, 1),
    Config({"TAPS": 32, "CHANNELS": 128}, 4, 1),
    Config({"TAPS": 256, "CHANNELS": 8}, 4, 1),
    Config({"TAPS": 1024, "CHANNELS": 1}, 4, 1),
    Config({"TAPS": 64, "CHANNELS": 16}, 4, 1),
)
DGRAD = Configurations(
    "avg_pool2d.dgrad",
    Config({"PIXELS": 64, "CHANNELS": 64}, 8, 1),
    Config({"PIXELS": 32, "CHANNELS": 64}, 4, 1),
    Config({"PIXELS": 128, "CHANNELS": 8}, 8, 1, dtypes=("float16", "bfloat16", "float32")),
    Config({"PIXELS": 64, "CHANNELS": 8}, 8, 1, dtypes=("float64",)),
    Config({"PIXELS": 512, "CHANNELS": 1}, 4, 1),
    Config({"PIXELS": 16, "CHANNELS": 16}, 4, 1),
)


@triton.jit
def _divisor(p, q, rows, columns, override, ADAPTIVE: tl.constexpr, COUNT_PAD: tl.constexpr):
    """What the sums of outputs (p,q) are divided by."""
    if override is None:
        top, bottom = window(p, rows, ADAPTIVE)
        left, right = window(q, columns, ADAPTIVE)
        if not COUNT_PAD:
            top, bottom = tl.maximum(top, 0), tl.minimum(bottom, rows[0])
            left, right = tl.maximum(left, 0), tl.minimum(right, columns[0])
        divisor = (bottom - top) * (right - left)
    else:
        divisor = p * 0 + override
    return divisor


@triton.jit
def _average(total, divisor):
    """Sums over their divisors, which have one element for each row of sums."""
    divisor = divisor.to(total.dtype)
    if total.dtype.is_floating():
        average = total * (1.0 / divisor)[:, None]
    else:
        average = total // divisor[:, None]
    return average


@triton.jit
def _direct_fprop(
    x, y, pixels, channels, rows, columns, row_taps, column_taps, override, x_steps, y_steps,
    R: tl.constexpr, S: tl.constexpr, UNROLLED: tl.constexpr, ADAPTIVE: tl.constexpr,
    COUNT_PAD: tl.constexpr, ACC: tl.constexpr, INDEX: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    i, c, pixel_inside, channel_inside = tile_of(pixels, channels, INDEX, PIXELS, CHANNELS)
    q, p, n = i % columns[1], i // columns[1] % rows[1], i // columns[1] // rows[1]
    top, bottom = window(p, rows, ADAPTIVE)
    left, right = window(q, columns, ADAPTIVE)
    bottom, right = tl.minimum(bottom, rows[0]), tl.minimum(right, columns[0])
    image = x + (n * x_steps[0])[:, None] + (c * x_steps[1])[None, :]
    total = tl.zeros((PIXELS, CHANNELS), ACC)
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
                total += tl.load(at, mask=mask, other=0).to(ACC)
    else:
        for r in range(row_taps[0], row_taps[1]):
            h = top + r * row_dilation
            row, row_inside = h * row_step, pixel_inside & (h >= 0) & (h < bottom)
            for s in range(column_taps[0], column_taps[1]):
                w = left + s * column_dilation
                inside = row_inside & (w >= 0) & (w < right)
                at = image + (row + w * column_step)[:, None]
                mask = inside[:, None] & channel_inside[None, :]
                total += tl.load(at, mask=mask, other=0).to(ACC)
    total = _average(total, _divisor(p, q, rows, columns, override, ADAPTIVE, COUNT_PAD))
    at = (n * y_steps[0] + p * y_steps[2] + q * y_steps[3])[:, None] + (c * y_steps[1])[None, :]
    inside = pixel_inside[:, None] & channel_inside[None, :]
    tl.store(y + at, total.to(y.dtype.element_ty), mask=inside)


@triton.jit
def _window_fprop(
    x, y, channels, rows, columns, override, x_steps, y_steps,
    ADAPTIVE: tl.constexpr, COUNT_PAD: tl.constexpr, ACC: tl.constexpr, INDEX: tl.constexpr,
    TAPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """One output of CHANNELS channels; dilation is 1."""
    blocks = tl.cdiv(channels, CHANNELS)
    output = (tl.program_id(0) // blocks).to(INDEX)
    q, p, n = output % columns[1], output // columns[1] % rows[1], output // columns[1] // rows[1]
    c = (tl.program_id(0) % blocks).to(INDEX) * CHANNELS + tl.arange(0, CHANNELS)
    top, bottom = window(p, rows, ADAPTIVE)
    left, right = window(q, columns, ADAPTIVE)
    top, bottom = tl.maximum(top, 0), tl.minimum(bottom, rows[0])
    left, right = tl.maximum(left, 0), tl.minimum(right, columns[0])
    width = tl.maximum(right - left, 1)
    taps = tl.maximum(bottom - top, 0) * tl.maximum(right - left, 0)
    image = x + n * x_steps[0] + top * x_steps[2] + left * x_steps[3] + c[None, :] * x_steps[1]
    total = tl.zeros((TAPS, CHANNELS), ACC)
    for block in range(tl.cdiv(taps, TAPS)):
        tap = block * TAPS + tl.arange(0, TAPS)
        at = tap // width * x_steps[2] + tap % width * x_steps[3]
        inside = (tap < taps)[:, None] & (c < channels)[None, :]
        total += tl.load(image + at[:, None], mask=inside, other=0).to(ACC)
    divisor = _divisor(p, q, rows, columns, override, ADAPTIVE, COUNT_PAD)
    average = tl.sum(total, 0) * (1.0 / divisor.to(ACC))
    at = n * y_steps[0] + p * y_steps[2] + q * y_steps[3] + c * y_steps[1]
    tl.store(y + at, average.to(y.dtype.element_ty), mask=c < channels)


def avg_pool2d_fprop_direct(
    x: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    g = geometry
    rows, columns = axes(g)
    row_taps, column_taps = tap_range(rows, g.adaptive), tap_range(columns, g.adaptive)
    pixels, floating = g.N * g.P * g.Q, is_floating_point(x.dtype)
    shared = {
        "ADAPTIVE": g.adaptive, "COUNT_PAD": g.count_include_pad, "ACC": _summed(x.dtype),
        "INDEX": index_type(g, x, out),
    }  # fmt: skip
    taps = (row_taps[1] - row_taps[0]) * (column_taps[1] - column_taps[0])
    if floating and taps > _MANY:
        config = _window_tile(x, pixels, g.C, taps, g)
        launch(
            _window_fprop, (pixels * triton.cdiv(g.C, config.tiles["CHANNELS"]),),
            x, out, g.C, rows, columns, g.divisor_override, strides(x), strides(out),
            **shared, **config.tiles, **config.options,
        )  # fmt: skip
        return
    config = tile(FPROP, out, pixels, g.C, g, units(strides(x), strides(out)))
    in_line = unrolled(g.R, g.S)
    launch(
        _direct_fprop,
        (triton.cdiv(pixels, config.tiles["PIXELS"]) * triton.cdiv(g.C, config.tiles["CHANNELS"]),),
        x, out, pixels, g.C, rows, columns, row_taps, column_taps, g.divisor_override,
        strides(x), strides(out), R=g.R if in_line else 0, S=g.S, UNROLLED=in_line,
        **shared, **config.tiles, **config.options,
    )  # fmt: skip


def _summed(dtype: np.dtype) -> Any:
    """Triton's dtype in which elements are added: integers in their own."""
    return accumulator(dtype) if is_floating_point(dtype) else getattr(tl, dtype.name)


def _window_tile(x: Array, outputs: int, channels: int, taps: int, g: Pool2dGeometry) -> Config:
    inner = abs(x.strides[1]) < abs(x.strides[3])

    def cost(config: Config) -> float:
        rows, columns = config.tiles["TAPS"], config.tiles["CHANNELS"]
        steps, blocks = triton.cdiv(taps, rows), triton.cdiv(channels, columns)
        run = x.itemsize * max(min(columns, channels) if inner else min(rows, taps), 1)
        return memory_time(outputs * blocks, steps * rows * columns * max(1.0, 64 / run))

    return WINDOW.choose(x.dtype, (outputs, channels, inner, g), cost)


@triton.jit
def _shared(
    dy, h, w, row, column, rows, columns, override, pixel_inside, channel_inside, dy_steps,
    ADAPTIVE: tl.constexpr, COUNT_PAD: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """What pixels (h,w) get from one of their windows."""
    p, _, row_holds = covering(h, row, rows, ADAPTIVE)
    q, _, column_holds = covering(w, column, columns, ADAPTIVE)
    inside = pixel_inside & row_holds & column_holds
    at = (p * dy_steps[2] + q * dy_steps[3])[:, None]
    gradient = tl.load(dy + at, mask=inside[:, None] & channel_inside[None, :], other=0.0)
    divisor = _divisor(p, q, rows, columns, override, ADAPTIVE, COUNT_PAD)
    return _average(gradient.to(ACC), tl.where(inside, divisor, 1))


@triton.jit
def _direct_dgrad(
    dy, dx, pixels, channels, rows, columns, row_visits, column_visits, override,
    dy_steps, dx_steps,
    ROW_VISITS: tl.constexpr, COLUMN_VISITS: tl.constexpr, UNROLLED: tl.constexpr,
    ADAPTIVE: tl.constexpr, COUNT_PAD: tl.constexpr, ACC: tl.constexpr, INDEX: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    i, c, pixel_inside, channel_inside = tile_of(pixels, channels, INDEX, PIXELS, CHANNELS)
    w, h, n = i % columns[0], i // columns[0] % rows[0], i // columns[0] // rows[0]
    dy += (n * dy_steps[0])[:, None] + (c * dy_steps[1])[None, :]
    total = tl.zeros((PIXELS, CHANNELS), ACC)
    if UNROLLED:
        for row in tl.static_range(ROW_VISITS):
            for column in tl.static_range(COLUMN_VISITS):
                total += _shared(
                    dy, h, w, row, column, rows, columns, override, pixel_inside, channel_inside,
                    dy_steps, ADAPTIVE, COUNT_PAD, ACC,
                )  # fmt: skip
    else:
        for row in range(row_visits):
            for column in range(column_visits):
                total += _shared(
                    dy, h, w, row, column, rows, columns, override, pixel_inside, channel_inside,
                    dy_steps, ADAPTIVE, COUNT_PAD, ACC,
                )  # fmt: skip
    at = (n * dx_steps[0] + h * dx_steps[2] + w * dx_steps[3])[:, None] + (c * dx_steps[1])[None, :]
    inside = pixel_inside[:, None] & channel_inside[None, :]
    tl.store(dx + at, total.to(dx.dtype.element_ty), mask=inside)


def avg_pool2d_dgrad_direct(
    dy: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
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
        dy, out, pixels, g.C, rows, columns, row_visits, column_visits, g.divisor_override,
        strides(dy), strides(out),
        ROW_VISITS=row_visits if in_line else 0, COLUMN_VISITS=column_visits, UNROLLED=in_line,
        ADAPTIVE=g.adaptive, COUNT_PAD=g.count_include_pad, ACC=accumulator(dy.dtype),
        INDEX=index_type(g, dy, out), **config.tiles, **config.options,
    )  # fmt: skip


# --- naive: one element per lane, as the formulas say ---------------------------------------------


@triton.jit
def _naive_fprop(
    x, y, elements, channels, rows, columns, row_taps, column_taps, override, x_steps, y_steps,
    ADAPTIVE: tl.constexpr, COUNT_PAD: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    exists = i < elements
    q, p = i % columns[1], i // columns[1] % rows[1]
    plane = i // columns[1] // rows[1]
    c, n = plane % channels, plane // channels
    top, bottom = window(p, rows, ADAPTIVE)
    left, right = window(q, columns, ADAPTIVE)
    bottom, right = tl.minimum(bottom, rows[0]), tl.minimum(right, columns[0])
    total = tl.zeros((BLOCK,), ACC)
    for r in range(row_taps[0], row_taps[1]):
        for s in range(column_taps[0], column_taps[1]):
            h, w = top + r * rows[5], left + s * columns[5]
            inside = exists & (h >= 0) & (h < bottom) & (w >= 0) & (w < right)
            at = n * x_steps[0] + c * x_steps[1] + h * x_steps[2] + w * x_steps[3]
            total += tl.load(x + at, mask=inside, other=0).to(ACC)
    divisor = _divisor(p, q, rows, columns, override, ADAPTIVE, COUNT_PAD).to(ACC)
    total = total / divisor if ACC.is_floating() else total // divisor
    at = n * y_steps[0] + c * y_steps[1] + p * y_steps[2] + q * y_steps[3]
    tl.store(y + at, total.to(y.dtype.element_ty), mask=exists)


def avg_pool2d_fprop_naive(
    x: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    g = geometry
    rows, columns = axes(g)
    block = 256
    launch(
        _naive_fprop, (triton.cdiv(out.size, block),),
        x, out, out.size, g.C, rows, columns, tap_range(rows, g.adaptive),
        tap_range(columns, g.adaptive), g.divisor_override, strides(x), strides(out),
        ADAPTIVE=g.adaptive, COUNT_PAD=g.count_include_pad, ACC=_summed(x.dtype), BLOCK=block,
    )  # fmt: skip


@triton.jit
def _naive_dgrad(
    dy, dx, elements, channels, rows, columns, row_visits, column_visits, override,
    dy_steps, dx_steps,
    ADAPTIVE: tl.constexpr, COUNT_PAD: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    exists = i < elements
    w, h = i % columns[0], i // columns[0] % rows[0]
    plane = i // columns[0] // rows[0]
    c, n = plane % channels, plane // channels
    total = tl.zeros((BLOCK,), ACC)
    for row in range(row_visits):
        for column in range(column_visits):
            p, _, row_holds = covering(h, row, rows, ADAPTIVE)
            q, _, column_holds = covering(w, column, columns, ADAPTIVE)
            inside = exists & row_holds & column_holds
            at = n * dy_steps[0] + c * dy_steps[1] + p * dy_steps[2] + q * dy_steps[3]
            gradient = tl.load(dy + at, mask=inside, other=0.0).to(ACC)
            divisor = _divisor(p, q, rows, columns, override, ADAPTIVE, COUNT_PAD)
            total += gradient / tl.where(inside, divisor, 1).to(ACC)
    at = n * dx_steps[0] + c * dx_steps[1] + h * dx_steps[2] + w * dx_steps[3]
    tl.store(dx + at, total.to(dx.dtype.element_ty), mask=exists)


def avg_pool2d_dgrad_naive(
    dy: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    g = geometry
    rows, columns = axes(g)
    block = 256
    launch(
        _naive_dgrad, (triton.cdiv(out.size, block),),
        dy, out, out.size, g.C, rows, columns, visits(rows, g.adaptive),
        visits(columns, g.adaptive), g.divisor_override, strides(dy), strides(out),
        ADAPTIVE=g.adaptive, COUNT_PAD=g.count_include_pad, ACC=accumulator(dy.dtype), BLOCK=block,
    )  # fmt: skip
