"""Batch normalisation, the sums over a channel: its mean and m2, and those its gradient needs.

Computes   stats   mean[c] = sum x / M, m2[c] = sum (x - mean[c])^2 over channel c's M elements
           reduce  sum_dy[c] = sum dy, sum_dy_xhat[c] = sum dy * (x - mean) * invstd. With the
                   geometry's relu, dy is 0 where (x - mean) * invstd * weight + bias is neither
                   positive nor NaN
Arrays     x, dy (N,C,*); all others (C,), in their own dtypes; any strides
Grid       (channel tiles * slabs of pixels,), all on axis 0; see batch_norm_walk.py. More than one
           slab leaves its parts in a workspace (2, slabs, C) for a second launch
Tiling     (CHANNELS, PIXELS) lanes in registers, each with two numbers of its own, folded once at
           the slab's end
Traffic    stats reads b bytes an element, reduce 2 b. ResNet-50's (32,256,56,56) in f16: 51 and
           103 MB, 4 FLOP an element: bandwidth
Numerics   in f32, or f64 for f64. Each lane keeps a running mean and m2 (Welford); lanes, then
           slabs, are merged by Chan's formula: nothing is ever the difference of two large squares.
           The order follows from the shapes and the strides alone: deterministic. An infinite x
           makes both statistics NaN; sums of nothing are 0
Refuses    nothing
Source     Welford 1962, Technometrics 4(3); Chan, Golub and LeVeque 1983, The American Statistician
           37(3), for parts of any sizes
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from .. import array
from ..array import Array
from ..geometry import BatchNormGeometry
from .batch_norm_walk import (
    Plan,
    affine,
    both,
    channels_of,
    merged_plan,
    places,
    slab_of,
    tiles,
    vectors_and_steps,
    walk,
)
from .launch import launch
from .strided import offset, strides

STATS = tiles("batch_norm_sums.stats")
REDUCE = tiles("batch_norm_sums.reduce")
_MERGED = 2048  # elements of the tile that merges slabs
_NAIVE_CHANNELS = 64


@triton.jit
def merged(count, mean, m2):
    """(mean, m2) of (ROWS, PARTS) parts of a set of elements, taken together along each row. Part i
    has count[i] elements; the first has some, if any part has.

        mean = sum count_i mean_i / M        m2 = sum m2_i + sum count_i (mean_i - mean)^2
    """
    parts = tl.arange(0, mean.shape[1])
    # relative to the first part's mean, so that equal means give exactly that mean
    start = tl.sum(tl.where((parts == 0)[None, :], mean, 0.0), 1)
    total = tl.maximum(tl.sum(count, 0), 1.0)
    moved = tl.sum(count[None, :] * (mean - start[:, None]), 1) / total
    away = mean - (start + moved)[:, None]
    return start + moved, tl.sum(m2, 1) + tl.sum(count[None, :] * away * away, 1)


@triton.jit
def _stats(
    x, mean_out, m2_out, mean_step, m2_step, slab_step,
    channels, pixels, channel_tiles, tiles, tiles_each, sizes, x_channel, x_pixels,
    AXES: tl.constexpr, ACC: tl.constexpr, INDEX: tl.constexpr,
    GRAIN_C: tl.constexpr, GRAIN_P: tl.constexpr,
    CHANNELS: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    channel, channel_in = channels_of(program, channels, channel_tiles, INDEX, CHANNELS)
    first, last = slab_of(program, channel_tiles, tiles, tiles_each, INDEX)
    count = tl.zeros((PIXELS,), ACC)
    mean = tl.zeros((CHANNELS, PIXELS), ACC)
    m2 = tl.zeros((CHANNELS, PIXELS), ACC)
    for tile in range(first, last):
        pixel = tile * PIXELS + tl.arange(0, PIXELS).to(INDEX)
        inside = both(channel_in, pixel < pixels, GRAIN_C, GRAIN_P)
        at = places(channel, pixel, sizes, x_channel, x_pixels, AXES, GRAIN_C, GRAIN_P)
        value = tl.load(x + at, mask=inside, other=0.0).to(ACC)
        deviation = tl.where(inside, value - mean, 0.0)
        mean += deviation * (1.0 / (tile - first + 1).to(ACC))
        m2 += deviation * (value - mean)
        count += (pixel < pixels).to(ACC)
    mean_of_slab, m2_of_slab = merged(count, mean, m2)
    slab = (program // channel_tiles).to(tl.int64) * slab_step
    tl.store(mean_out + slab + channel * mean_step, mean_of_slab, mask=channel_in)
    tl.store(m2_out + slab + channel * m2_step, m2_of_slab, mask=channel_in)


@triton.jit
def _merge_stats(
    parts, mean_out, m2_out, mean_step, m2_step, channels, pixels, slabs, pixels_each,
    ACC: tl.constexpr, CHANNELS: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    slab = tl.arange(0, PARTS)
    channel_in = channel < channels
    inside = channel_in[:, None] & (slab < slabs)[None, :]
    at = slab[None, :].to(tl.int64) * channels + channel[:, None]
    mean = tl.load(parts + at, mask=inside, other=0.0)
    m2 = tl.load(parts + slabs.to(tl.int64) * channels + at, mask=inside, other=0.0)
    left = pixels - slab.to(tl.int64) * pixels_each
    count = tl.maximum(tl.minimum(left, pixels_each), 0).to(ACC)
    mean, m2 = merged(count, mean, m2)
    tl.store(mean_out + channel * mean_step, mean, mask=channel_in)
    tl.store(m2_out + channel * m2_step, m2, mask=channel_in)


@triton.jit
def _reduce(
    dy, x, vectors, vector_steps, dy_out, xhat_out, dy_step, xhat_step, slab_step,
    channels, pixels, channel_tiles, tiles, tiles_each, sizes,
    dy_channel, dy_pixels, x_channel, x_pixels,
    RELU: tl.constexpr, AXES: tl.constexpr, ACC: tl.constexpr, INDEX: tl.constexpr,
    GRAIN_C: tl.constexpr, GRAIN_P: tl.constexpr,
    CHANNELS: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    channel, channel_in = channels_of(program, channels, channel_tiles, INDEX, CHANNELS)
    mean, invstd, scale, shift = affine(vectors, vector_steps, channel, channel_in, ACC)
    first, last = slab_of(program, channel_tiles, tiles, tiles_each, INDEX)
    sum_dy = tl.zeros((CHANNELS, PIXELS), ACC)
    sum_dy_x = tl.zeros((CHANNELS, PIXELS), ACC)
    for tile in range(first, last):
        pixel = tile * PIXELS + tl.arange(0, PIXELS).to(INDEX)
        inside = both(channel_in, pixel < pixels, GRAIN_C, GRAIN_P)
        at = places(channel, pixel, sizes, dy_channel, dy_pixels, AXES, GRAIN_C, GRAIN_P)
        gradient = tl.load(dy + at, mask=inside, other=0.0).to(ACC)
        at = places(channel, pixel, sizes, x_channel, x_pixels, AXES, GRAIN_C, GRAIN_P)
        value = tl.load(x + at, mask=inside, other=0.0).to(ACC) - mean[:, None]
        if RELU:
            dead = value * scale[:, None] + shift[:, None] <= 0
            gradient = tl.where(dead, 0.0, gradient)
        sum_dy += gradient
        sum_dy_x += gradient * value
    slab = (program // channel_tiles).to(tl.int64) * slab_step
    tl.store(dy_out + slab + channel * dy_step, tl.sum(sum_dy, 1), mask=channel_in)
    sum_dy_xhat = tl.sum(sum_dy_x, 1) * invstd
    tl.store(xhat_out + slab + channel * xhat_step, sum_dy_xhat, mask=channel_in)


@triton.jit
def _merge_sums(
    parts, dy_out, xhat_out, dy_step, xhat_step, channels, slabs,
    CHANNELS: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    slab = tl.arange(0, PARTS)
    channel_in = channel < channels
    inside = channel_in[:, None] & (slab < slabs)[None, :]
    at = slab[None, :].to(tl.int64) * channels + channel[:, None]
    sum_dy = tl.sum(tl.load(parts + at, mask=inside, other=0.0), 1)
    parts += slabs.to(tl.int64) * channels
    sum_dy_xhat = tl.sum(tl.load(parts + at, mask=inside, other=0.0), 1)
    tl.store(dy_out + channel * dy_step, sum_dy, mask=channel_in)
    tl.store(xhat_out + channel * xhat_step, sum_dy_xhat, mask=channel_in)


# --- naive: a channel a lane, one pixel a turn ----------------------------------------------------


@triton.jit
def _stats_naive(
    x, mean_out, m2_out, mean_step, m2_step, channels, pixels, sizes, x_channel, x_pixels,
    AXES: tl.constexpr, ACC: tl.constexpr, INDEX: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    channel = tl.program_id(0).to(INDEX) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < channels
    mean = tl.zeros((CHANNELS,), ACC)
    m2 = tl.zeros((CHANNELS,), ACC)
    for i in range(pixels):
        at = channel * x_channel + offset(i + tl.zeros_like(channel), sizes, x_pixels, AXES)
        value = tl.load(x + at, mask=inside, other=0.0).to(ACC)
        deviation = value - mean
        mean += deviation / (i + 1)
        m2 += deviation * (value - mean)
    tl.store(mean_out + channel * mean_step, mean, mask=inside)
    tl.store(m2_out + channel * m2_step, m2, mask=inside)


@triton.jit
def _reduce_naive(
    dy, x, vectors, vector_steps, dy_out, xhat_out, dy_step, xhat_step, channels, pixels, sizes,
    dy_channel, dy_pixels, x_channel, x_pixels,
    RELU: tl.constexpr, AXES: tl.constexpr, ACC: tl.constexpr, INDEX: tl.constexpr,
    CHANNELS: tl.constexpr,
):  # fmt: skip
    channel = tl.program_id(0).to(INDEX) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < channels
    mean, invstd, scale, shift = affine(vectors, vector_steps, channel, inside, ACC)
    sum_dy = tl.zeros((CHANNELS,), ACC)
    sum_dy_xhat = tl.zeros((CHANNELS,), ACC)
    for i in range(pixels):
        pixel = i + tl.zeros_like(channel)
        at = channel * dy_channel + offset(pixel, sizes, dy_pixels, AXES)
        gradient = tl.load(dy + at, mask=inside, other=0.0).to(ACC)
        at = channel * x_channel + offset(pixel, sizes, x_pixels, AXES)
        value = tl.load(x + at, mask=inside, other=0.0).to(ACC) - mean
        if RELU:
            gradient = tl.where(value * scale + shift <= 0, 0.0, gradient)
        sum_dy += gradient
        sum_dy_xhat += gradient * (value * invstd)
    tl.store(dy_out + channel * dy_step, sum_dy, mask=inside)
    tl.store(xhat_out + channel * xhat_step, sum_dy_xhat, mask=inside)


# --- launchers ------------------------------------------------------------------------------------


def _workspace(p: Plan, out: tuple[Array, Array]) -> tuple[Any, ...]:
    """(where two sums of a slab go, their steps along the channels, the step from slab to slab,
    the workspace or None): the outputs themselves, if there is one slab."""
    if p.slabs == 1:
        return (*out, *(strides(a)[0] for a in out), 0, None)
    shape = (2, p.slabs, p.walk.channels)
    parts = array.empty(shape, out[0].dtype, device=array.device_of(out[0]))
    return parts[0], parts[1], 1, 1, p.walk.channels, parts


def _merge(kernel: Any, p: Plan, parts: Array, out: tuple[Array, Array], *more: Any) -> None:
    """The second launch: `more` follows the channels."""
    width = triton.next_power_of_2(p.slabs)
    height = max(min(_MERGED // width, 32), 1)
    constants = {"ACC": p.walk.acc} if "ACC" in kernel.arg_names else {}
    launch(
        kernel, (triton.cdiv(p.walk.channels, height),),
        parts, *out, *(strides(a)[0] for a in out), p.walk.channels, *more,
        CHANNELS=height, PARTS=width, **constants,
    )  # fmt: skip


def batch_norm_stats_direct(
    x: Array, *, out: tuple[Array, Array], geometry: BatchNormGeometry, epilogue: None = None
) -> None:
    w = walk(x)
    p = merged_plan(w, x.dtype, STATS)
    *places_of_parts, parts = _workspace(p, out)
    p.launch(_stats, x, *places_of_parts, *p.arguments(), *w.steps)
    if parts is not None:
        _merge(_merge_stats, p, parts, out, w.pixels, p.slabs, p.pixels_each)


def batch_norm_reduce_direct(
    dy: Array,
    x: Array,
    mean: Array,
    invstd: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    out: tuple[Array, Array],
    geometry: BatchNormGeometry,
    epilogue: None = None,
) -> None:
    w = walk(dy, x)
    p = merged_plan(w, x.dtype, REDUCE, geometry.relu)
    *places_of_parts, parts = _workspace(p, out)
    p.launch(
        _reduce, dy, x, *vectors_and_steps(mean, invstd, weight, bias), *places_of_parts,
        *p.arguments(), *w.steps, RELU=geometry.relu,
    )  # fmt: skip
    if parts is not None:
        _merge(_merge_sums, p, parts, out, p.slabs)


def batch_norm_stats_naive(
    x: Array, *, out: tuple[Array, Array], geometry: BatchNormGeometry, epilogue: None = None
) -> None:
    w = walk(x)
    launch(
        _stats_naive, (triton.cdiv(w.channels, _NAIVE_CHANNELS),),
        x, *out, *(strides(a)[0] for a in out), w.channels, w.pixels, w.sizes, *w.steps,
        AXES=len(w.sizes), ACC=w.acc, INDEX=w.index, CHANNELS=_NAIVE_CHANNELS,
    )  # fmt: skip


def batch_norm_reduce_naive(
    dy: Array,
    x: Array,
    mean: Array,
    invstd: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    out: tuple[Array, Array],
    geometry: BatchNormGeometry,
    epilogue: None = None,
) -> None:
    w = walk(dy, x)
    launch(
        _reduce_naive, (triton.cdiv(w.channels, _NAIVE_CHANNELS),),
        dy, x, *vectors_and_steps(mean, invstd, weight, bias), *out,
        *(strides(a)[0] for a in out), w.channels, w.pixels, w.sizes, *w.steps,
        RELU=geometry.relu, AXES=len(w.sizes), ACC=w.acc, INDEX=w.index,
        CHANNELS=_NAIVE_CHANNELS,
    )  # fmt: skip
