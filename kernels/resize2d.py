"""Resampling (N,C,H,W) to (N,C,P,Q) by tables of taps, one per axis; its gradient by their adjoint.

Computes   y[n,c,p,q] = sum_t a[p,t] * (sum_u b[q,u] * x[n, c, h[p,t], w[q,u]]); dx from dy with
           the transposed tables (pycnn/providers/resize_tables.py)
Arrays     x (N,C,H,W), y (N,C,P,Q) of one dtype (f16/bf16/f32/f64; nearest also integers); any
           strides. Tables: sources (P,T) int64, weights (P,T) or None for 1, valid (P,T) or None
Grid       (blocks of pixels * blocks of channels,), the channels' fastest
Tiling     a tile of output pixels x channels. Channels-last: 16 bytes of channels a thread, the
           tables read once for them all; contiguous: lanes along a row
           direct: T * U taps unrolled, all read from x; separable: along W into a buffer of
           accumulators, then along H: T + U loads an output instead of T * U
Traffic    direct: x and y once, neighbours from the caches; bilinear 2x of 28x28x512 in bf16: about
           4 FLOP/byte, bandwidth. separable: the buffer besides, written and read once
Numerics   weights in the accumulation dtype (nearest has none), along W first; f32 for the halves,
           one rounding at the store. A tap that does not count is not read
Refuses    direct: more than 25 taps an output; both: integers but for nearest
Source     Keys 1981 (bicubic); Pillow (antialiasing)
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import triton
import triton.language as tl

from ..array import Array, device_of, empty, to_device
from ..dtypes import accumulation_dtype, is_floating_point
from ..geometry import Resize2dGeometry
from ..providers.resize_tables import tables, weight_dtype
from .launch import launch
from .numbers import accumulator
from .strided import strides, units
from .tuning import Config, Configurations

DIRECT = Configurations(
    "resize2d.direct",
    Config({"BLOCK_PIXELS": 16, "BLOCK_CHANNELS": 64}, 4),
    Config({"BLOCK_PIXELS": 256, "BLOCK_CHANNELS": 2}, 4),
    Config({"BLOCK_PIXELS": 128, "BLOCK_CHANNELS": 4}, 4),
    Config({"BLOCK_PIXELS": 16, "BLOCK_CHANNELS": 16}, 1),
)
AXIS = Configurations(
    "resize2d.axis",
    Config({"BLOCK_PIXELS": 16, "BLOCK_CHANNELS": 64}, 4),
    Config({"BLOCK_PIXELS": 256, "BLOCK_CHANNELS": 2}, 4),
    Config({"BLOCK_PIXELS": 128, "BLOCK_CHANNELS": 4}, 4),
    Config({"BLOCK_PIXELS": 16, "BLOCK_CHANNELS": 16}, 1),
)


@triton.jit
def _tile(
    images, channels, height, width, CHANNEL_AXIS: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    """(n, c, p, q) of a program's outputs along the tile's two axes, and which of them exist."""
    blocks = tl.cdiv(channels, BLOCK_CHANNELS)
    first = (tl.program_id(0) // blocks).to(tl.int64) * BLOCK_PIXELS
    i = (first % (height * width)).to(tl.int32) + tl.arange(0, BLOCK_PIXELS)
    n = first // (height * width) + i // (height * width)
    rest = i % (height * width)
    c = tl.program_id(0) % blocks * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    n, c = tl.expand_dims(n, CHANNEL_AXIS), tl.expand_dims(c, 1 - CHANNEL_AXIS)
    p = tl.expand_dims(rest // width, CHANNEL_AXIS)
    q = tl.expand_dims(rest % width, CHANNEL_AXIS)
    return n, c.to(tl.int64), p, q, (n < images) & (c < channels)


@triton.jit
def _source(table, steps, i, t, inside):
    """(the source of output i's tap t, whether it counts)"""
    at = i * steps[0] + t * steps[1]
    source = tl.load(table[0] + at, mask=inside, other=0)
    if table[2] is not None:
        inside = inside & (tl.load(table[2] + at, mask=inside, other=0) != 0)
    return source, inside


@triton.jit
def _weighted(value, table, steps, i, t, inside):
    """value times the weight of output i's tap t."""
    if table[1] is not None:
        value *= tl.load(table[1] + (i * steps[0] + t * steps[1]), mask=inside, other=0.0)
    return value


@triton.jit
def _direct(
    x, y, x_steps, y_steps, images, channels, height, width, rows, rows_steps, columns,
    columns_steps, T: tl.constexpr, U: tl.constexpr, CHANNEL_AXIS: tl.constexpr, ACC: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    n, c, p, q, inside = _tile(
        images, channels, height, width, CHANNEL_AXIS, BLOCK_PIXELS, BLOCK_CHANNELS
    )
    x += n * x_steps[0] + c * x_steps[1]
    total = tl.zeros(inside.shape, ACC)
    for t in tl.static_range(T):
        h, h_counts = _source(rows, rows_steps, p, t, p < height)
        line = tl.zeros(inside.shape, ACC)
        for u in tl.static_range(U):
            w, w_counts = _source(columns, columns_steps, q, u, q < width)
            there = inside & h_counts & w_counts
            value = tl.load(x + (h * x_steps[2] + w * x_steps[3]), mask=there, other=0).to(ACC)
            line += _weighted(value, columns, columns_steps, q, u, q < width)
        total += _weighted(line, rows, rows_steps, p, t, p < height)
    y += n * y_steps[0] + c * y_steps[1] + (p.to(tl.int64) * y_steps[2] + q * y_steps[3])
    tl.store(y, total.to(y.dtype.element_ty), mask=inside)


@triton.jit
def _axis(
    x, y, x_steps, y_steps, images, channels, height, width, table, table_steps, taps,
    ALONG_H: tl.constexpr, CHANNEL_AXIS: tl.constexpr, ACC: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    n, c, p, q, inside = _tile(
        images, channels, height, width, CHANNEL_AXIS, BLOCK_PIXELS, BLOCK_CHANNELS
    )
    x += n * x_steps[0] + c * x_steps[1]
    if ALONG_H:
        x += q.to(tl.int64) * x_steps[3]
    else:
        x += p.to(tl.int64) * x_steps[2]
    total = tl.zeros(inside.shape, ACC)
    for t in range(taps):
        if ALONG_H:
            source, counts = _source(table, table_steps, p, t, p < height)
            value = tl.load(x + source * x_steps[2], mask=inside & counts, other=0).to(ACC)
            total += _weighted(value, table, table_steps, p, t, p < height)
        else:
            source, counts = _source(table, table_steps, q, t, q < width)
            value = tl.load(x + source * x_steps[3], mask=inside & counts, other=0).to(ACC)
            total += _weighted(value, table, table_steps, q, t, q < width)
    y += n * y_steps[0] + c * y_steps[1] + (p.to(tl.int64) * y_steps[2] + q * y_steps[3])
    tl.store(y, total.to(y.dtype.element_ty), mask=inside)


@lru_cache(maxsize=64)
def _tables(
    geometry: Resize2dGeometry, dtype: np.dtype, transpose: bool, device: str
) -> tuple[tuple[Array, ...], ...]:
    """((source, weight, valid) along H, along W) on `device`."""
    both = tables(geometry, dtype, transpose)
    return tuple(tuple(None if a is None else to_device(a, device) for a in taps) for taps in both)


def _accumulator(dtype: np.dtype) -> Any:
    """Integers, which are only copied, are summed in 64 bits."""
    return accumulator(dtype) if is_floating_point(dtype) else tl.int64


def _run(kernel: Any, configurations: Configurations, x: Array, out: Array, *rest: Any,
         **constants: Any) -> None:  # fmt: skip
    """Launch `kernel` on tiles of `out`, lanes along its channels or its rows."""
    n, channels, height, width = out.shape
    last = abs(out.strides[1]) <= abs(out.strides[3])

    def programs(config: Config) -> int:
        pixels = triton.cdiv(n * height * width, config.tiles["BLOCK_PIXELS"])
        return pixels * triton.cdiv(channels, config.tiles["BLOCK_CHANNELS"])

    def lanes(config: Config) -> float:
        elements = config.tiles["BLOCK_PIXELS"] * config.tiles["BLOCK_CHANNELS"]
        along = config.tiles["BLOCK_CHANNELS" if last else "BLOCK_PIXELS"]
        return programs(config) * (elements * max(1.0, 128 / (along * out.itemsize)) + 512)

    words = [v for v in rest if isinstance(v, int)]
    words += [v for name, v in constants.items() if name != "ACC"]
    key = (x.shape, out.shape, last, units(strides(x), strides(out)), *words)
    config = configurations.choose(out.dtype, key, lanes)
    launch(
        kernel, (programs(config),),
        x, out, strides(x), strides(out), n, channels, height, width, *rest,
        CHANNEL_AXIS=1 if last else 0, **constants, **config.tiles, **config.options,
    )  # fmt: skip


def _direct_resize(x: Array, out: Array, geometry: Resize2dGeometry, transpose: bool) -> None:
    rows, columns = _tables(geometry, weight_dtype(x.dtype), transpose, device_of(x))
    _run(
        _direct, DIRECT, x, out, rows, strides(rows[0]), columns, strides(columns[0]),
        T=rows[0].shape[1], U=columns[0].shape[1], ACC=_accumulator(x.dtype),
    )  # fmt: skip


def _separable_resize(x: Array, out: Array, geometry: Resize2dGeometry, transpose: bool) -> None:
    rows, columns = _tables(geometry, weight_dtype(x.dtype), transpose, device_of(x))
    dtype = accumulation_dtype(x.dtype) if is_floating_point(x.dtype) else x.dtype
    layout = "channels_last" if abs(out.strides[1]) <= abs(out.strides[3]) else "contiguous"
    lines = empty((*x.shape[:3], out.shape[3]), dtype, layout, device_of(x))
    for source, to, table, along_h in ((x, lines, columns, False), (lines, out, rows, True)):
        _run(
            _axis, AXIS, source, to, table, strides(table[0]), table[0].shape[1],
            ALONG_H=along_h, ACC=_accumulator(x.dtype),
        )  # fmt: skip


def resize2d_fprop_direct(
    x: Array, *, out: Array, geometry: Resize2dGeometry, epilogue: None = None
) -> None:
    _direct_resize(x, out, geometry, transpose=False)


def resize2d_dgrad_direct(
    dy: Array, *, out: Array, geometry: Resize2dGeometry, epilogue: None = None
) -> None:
    _direct_resize(dy, out, geometry, transpose=True)


def resize2d_fprop_separable(
    x: Array, *, out: Array, geometry: Resize2dGeometry, epilogue: None = None
) -> None:
    _separable_resize(x, out, geometry, transpose=False)


def resize2d_dgrad_separable(
    dy: Array, *, out: Array, geometry: Resize2dGeometry, epilogue: None = None
) -> None:
    _separable_resize(dy, out, geometry, transpose=True)
