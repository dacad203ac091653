"""Batch normalisation, what follows its statistics: the output, and the gradient of the input.

Computes   apply   y = activation((x - mean) * scale + bias + residual), scale = invstd * weight
           dgrad   dx = scale * (dy - sum_dy / M - (x - mean) * invstd * sum_dy_xhat / M) for
                   channels of M elements; without the sums dx = scale * dy. With the geometry's
                   relu, dy is 0 where (x - mean) * scale + bias is neither positive nor NaN
Arrays     x, dy, residual, y, dx (N,C,*); the others (C,), in their own dtypes; any strides
Grid       (channel tiles * slabs of pixels,), all on axis 0; see batch_norm_walk.py
Tiling     (CHANNELS, PIXELS) in registers; the channels' four to six numbers are loaded once for a
           slab. No sharing between threads
Traffic    apply 2 b bytes an element, 3 with a residual; dgrad 3. ResNet-50's (32,256,56,56) in
           f16: 103 MB and 51 MFLOP, half a FLOP a byte: bandwidth
Numerics   in f32, or f64 for f64; x - mean first, so that a large mean cancels before it is
           scaled; rounded once at the store
Refuses    in an epilogue, what runs along the channels: weight and bias are inputs
Source     Ioffe and Szegedy 2015, arXiv:1502.03167, section 3; the gradient by its Algorithm 1
"""

from __future__ import annotations

import triton
import triton.language as tl

from ..array import Array
from ..dispatch import Epilogue
from ..geometry import BatchNormGeometry
from . import epilogue as ending
from .activation import activate
from .batch_norm_walk import (
    affine,
    both,
    channels_of,
    column,
    places,
    plan,
    slab_of,
    tiles,
    vectors_and_steps,
    walk,
)
from .launch import launch
from .strided import offset

APPLY = tiles("batch_norm.apply")
DGRAD = tiles("batch_norm.dgrad")
_NAIVE_BLOCK = 256


@triton.jit
def _apply(
    x, residual, out, vectors, vector_steps,
    channels, pixels, channel_tiles, tiles, tiles_each, sizes,
    out_channel, out_pixels, x_channel, x_pixels, residual_channel, residual_pixels,
    ACTIVATION: tl.constexpr, AXES: tl.constexpr, ACC: tl.constexpr, INDEX: tl.constexpr,
    GRAIN_C: tl.constexpr, GRAIN_P: tl.constexpr,
    CHANNELS: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    channel, channel_in = channels_of(program, channels, channel_tiles, INDEX, CHANNELS)
    mean, _, scale, shift = affine(vectors, vector_steps, channel, channel_in, ACC)
    first, last = slab_of(program, channel_tiles, tiles, tiles_each, INDEX)
    for tile in range(first, last):
        pixel = tile * PIXELS + tl.arange(0, PIXELS).to(INDEX)
        inside = both(channel_in, pixel < pixels, GRAIN_C, GRAIN_P)
        at = places(channel, pixel, sizes, x_channel, x_pixels, AXES, GRAIN_C, GRAIN_P)
        value = tl.load(x + at, mask=inside, other=0.0).to(ACC)
        y = (value - mean[:, None]) * scale[:, None] + shift[:, None]
        if residual is not None:
            at = places(
                channel, pixel, sizes, residual_channel, residual_pixels, AXES, GRAIN_C, GRAIN_P
            )
            y += tl.load(residual + at, mask=inside, other=0.0).to(ACC)
        y = activate(y, ACTIVATION).to(out.dtype.element_ty)
        at = places(channel, pixel, sizes, out_channel, out_pixels, AXES, GRAIN_C, GRAIN_P)
        tl.store(out + at, y, mask=inside)


@triton.jit
def _dgrad(
    dy, x, out, vectors, vector_steps, sums, sum_steps, count,
    channels, pixels, channel_tiles, tiles, tiles_each, sizes,
    out_channel, out_pixels, dy_channel, dy_pixels, x_channel, x_pixels,
    RELU: tl.constexpr, AXES: tl.constexpr, ACC: tl.constexpr, INDEX: tl.constexpr,
    GRAIN_C: tl.constexpr, GRAIN_P: tl.constexpr,
    CHANNELS: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    channel, channel_in = channels_of(program, channels, channel_tiles, INDEX, CHANNELS)
    mean, invstd, scale, shift = affine(vectors, vector_steps, channel, channel_in, ACC)
    mean_dy, slope = means(sums, sum_steps, count, invstd, channel, channel_in, ACC)
    first, last = slab_of(program, channel_tiles, tiles, tiles_each, INDEX)
    for tile in range(first, last):
        pixel = tile * PIXELS + tl.arange(0, PIXELS).to(INDEX)
        inside = both(channel_in, pixel < pixels, GRAIN_C, GRAIN_P)
        at = places(channel, pixel, sizes, dy_channel, dy_pixels, AXES, GRAIN_C, GRAIN_P)
        gradient = tl.load(dy + at, mask=inside, other=0.0).to(ACC)
        if RELU or sums[0] is not None:
            at = places(channel, pixel, sizes, x_channel, x_pixels, AXES, GRAIN_C, GRAIN_P)
            value = tl.load(x + at, mask=inside, other=0.0).to(ACC) - mean[:, None]
            if RELU:
                dead = value * scale[:, None] + shift[:, None] <= 0
                gradient = tl.where(dead, 0.0, gradient)
            if sums[0] is not None:
                gradient = gradient - mean_dy[:, None] - value * slope[:, None]
        at = places(channel, pixel, sizes, out_channel, out_pixels, AXES, GRAIN_C, GRAIN_P)
        dx = (gradient * scale[:, None]).to(out.dtype.element_ty)
        tl.store(out + at, dx, mask=inside)


@triton.jit
def means(sums, steps, count, invstd, channel, channel_in, ACC: tl.constexpr):
    """(mean of dy, slope) of the channels: what dy is on the average, and the regression of dy on
    x - mean; both 0 where the statistics were constants."""
    mean_dy = tl.zeros_like(invstd)
    slope = tl.zeros_like(invstd)
    if sums[0] is not None:
        mean_dy = column(sums[0], steps[0], channel, channel_in, ACC) / count
        slope = invstd * (column(sums[1], steps[1], channel, channel_in, ACC) / count)
    return mean_dy, slope


# --- naive: an element a lane ---------------------------------------------------------------------


@triton.jit
def _apply_naive(
    x, residual, out, vectors, vector_steps, elements, pixels, sizes,
    out_channel, out_pixels, x_channel, x_pixels, residual_channel, residual_pixels,
    ACTIVATION: tl.constexpr, AXES: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = i < elements
    channel, pixel = i // pixels, i % pixels
    mean, _, scale, shift = affine(vectors, vector_steps, channel, inside, ACC)
    at = channel * x_channel + offset(pixel, sizes, x_pixels, AXES)
    y = (tl.load(x + at, mask=inside, other=0.0).to(ACC) - mean) * scale + shift
    if residual is not None:
        at = channel * residual_channel + offset(pixel, sizes, residual_pixels, AXES)
        y += tl.load(residual + at, mask=inside, other=0.0).to(ACC)
    at = channel * out_channel + offset(pixel, sizes, out_pixels, AXES)
    tl.store(out + at, activate(y, ACTIVATION).to(out.dtype.element_ty), mask=inside)


@triton.jit
def _dgrad_naive(
    dy, x, out, vectors, vector_steps, sums, sum_steps, count, elements, pixels, sizes,
    out_channel, out_pixels, dy_channel, dy_pixels, x_channel, x_pixels,
    RELU: tl.constexpr, AXES: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = i < elements
    channel, pixel = i // pixels, i % pixels
    mean, invstd, scale, shift = affine(vectors, vector_steps, channel, inside, ACC)
    mean_dy, slope = means(sums, sum_steps, count, invstd, channel, inside, ACC)
    at = channel * dy_channel + offset(pixel, sizes, dy_pixels, AXES)
    gradient = tl.load(dy + at, mask=inside, other=0.0).to(ACC)
    at = channel * x_channel + offset(pixel, sizes, x_pixels, AXES)
    value = tl.load(x + at, mask=inside, other=0.0).to(ACC) - mean
    if RELU:
        gradient = tl.where(value * scale + shift <= 0, 0.0, gradient)
    if sums[0] is not None:
        gradient = gradient - mean_dy - value * slope
    at = channel * out_channel + offset(pixel, sizes, out_pixels, AXES)
    tl.store(out + at, (gradient * scale).to(out.dtype.element_ty), mask=inside)


# --- launchers ------------------------------------------------------------------------------------


def batch_norm_apply_direct(
    x: Array,
    mean: Array,
    invstd: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    out: Array,
    geometry: BatchNormGeometry,
    epilogue: Epilogue | None = None,
    naive: bool = False,
) -> None:
    residual = None if epilogue is None else epilogue.residual
    w = walk(out, x, x if residual is None else residual)
    arguments = (x, residual, out, *vectors_and_steps(mean, invstd, weight, bias))
    activation = ending.activation(epilogue)
    if naive:
        launch(
            _apply_naive, (triton.cdiv(out.size, _NAIVE_BLOCK),),
            *arguments, out.size, w.pixels, w.sizes, *w.steps,
            ACTIVATION=activation, AXES=len(w.sizes), ACC=w.acc, BLOCK=_NAIVE_BLOCK,
        )  # fmt: skip
    else:
        p = plan(w, x.dtype, APPLY, weight is None, bias is None, ending.word(epilogue))
        p.launch(_apply, *arguments, *p.arguments(), *w.steps, ACTIVATION=activation)


def batch_norm_dgrad_direct(
    dy: Array,
    x: Array,
    mean: Array,
    invstd: Array,
    weight: Array | None,
    bias: Array | None,
    sum_dy: Array | None,
    sum_dy_xhat: Array | None,
    *,
    out: Array,
    geometry: BatchNormGeometry,
    epilogue: None = None,
    naive: bool = False,
) -> None:
    w = walk(out, dy, x)
    arguments = (
        dy, x, out, *vectors_and_steps(mean, invstd, weight, bias),
        *vectors_and_steps(sum_dy, sum_dy_xhat), w.pixels,
    )  # fmt: skip
    if naive:
        launch(
            _dgrad_naive, (triton.cdiv(out.size, _NAIVE_BLOCK),),
            *arguments, out.size, w.pixels, w.sizes, *w.steps,
            RELU=geometry.relu, AXES=len(w.sizes), ACC=w.acc, BLOCK=_NAIVE_BLOCK,
        )  # fmt: skip
    else:
        p = plan(w, x.dtype, DGRAD, weight is None, sum_dy is None, geometry.relu)
        p.launch(_dgrad, *arguments, *p.arguments(), *w.steps, RELU=geometry.relu)


def batch_norm_apply_naive(
    x: Array,
    mean: Array,
    invstd: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    out: Array,
    geometry: BatchNormGeometry,
    epilogue: Epilogue | None = None,
) -> None:
    batch_norm_apply_direct(
        x, mean, invstd, weight, bias, out=out, geometry=geometry, epilogue=epilogue, naive=True
    )


def batch_norm_dgrad_naive(
    *inputs: Array | None, out: Array, geometry: BatchNormGeometry, epilogue: None = None
) -> None:
    batch_norm_dgrad_direct(*inputs, out=out, geometry=geometry, naive=True)
