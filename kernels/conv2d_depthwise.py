"""Depthwise convolution: every filter sees one channel of x; its M = K/C filters per channel.

Computes   fprop  y[n,k,p,q] = sum_{r,s} x[n, k/M, p*Sh - top + r*Dh, q*Sw - left + s*Dw] w[k,0,r,s]
           dgrad  dx, wgrad  dw: its adjoints in x and in w; fprop and dgrad end in an epilogue
Arrays     x, dx (N,C,H,W)  w, dw (K,1,R,S)  y, dy (N,K,P,Q); f16/bf16/f32/f64; any strides
Grid       fprop, dgrad: (blocks of patches * blocks of channels,), channels fastest
           wgrad: (slices of the patches * groups of taps * blocks of channels,)
Tiling     a lane owns a patch of ROWS x COLS outputs of one channel: each input it covers is loaded
           once and used for every tap and output it meets, all of them known when compiling.
           Filters stay in registers while a program walks over its patches. Channels-last: lanes
           run along the channels, 16 bytes a thread; contiguous: along the columns of a plane
Traffic    HWC + RSC read, PQC written, 2 RS FLOPs an output; Xception 147x147x128 3x3 in bf16:
           4.5 FLOP/byte, bandwidth. A 2 x 2 patch of 3x3 loads 4 inputs an output instead of 9
Numerics   sums in f32 (f64 in itself), taps in a fixed order; wgrad: one sum per lane, a tree over
           a program's lanes, then slices in order: deterministic. What padding covers counts as 0,
           which an infinite or NaN filter turns to NaN
Refuses    groups of more than one channel; planes of 2**31 pixels or more
Source     Chollet 2017, arXiv:1610.02357

One kernel serves fprop and dgrad; patches.py says how. A patch begins at a multiple of the stride,
so that a strided dgrad visits no tap in vain. More than TAPS taps are not unrolled: `_gather` finds
for each output the first tap that meets it, and steps to the others.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import triton
import triton.language as tl

from ..array import Array, device_of, empty
from ..dispatch import Epilogue
from ..dtypes import accumulation_dtype
from ..geometry import Conv2dGeometry
from . import epilogue as ending
from .launch import launch
from .numbers import accumulator
from .partial_sums import add_slices
from .patches import (
    Axis,
    axes_of,
    looped,
    origin,
    outputs,
    place,
    reach,
    reached,
    reaches,
    tap,
    taps,
)  # fmt: skip
from .strided import strides, units
from .tuning import Config, Configurations

TAPS = 49  # the most taps that are unrolled
PROGRAMS = 132 * 8  # what a grid aims for: eight programs on every processor of an H100

HALVES = ("float16", "bfloat16")


def _patch(rows: int, cols: int, patches: int, channels: int, warps: int = 4, dtypes=()) -> Config:
    tiles = {"ROWS": rows, "COLS": cols, "BLOCK_PATCHES": patches, "BLOCK_CHANNELS": channels}
    return Config(tiles, warps, dtypes=dtypes)


# channels-last, 16 bytes a thread; then planes; the last is for small problems
PATCHES = Configurations(
    "conv2d_depthwise.patches",
    _patch(2, 2, 16, 64, dtypes=HALVES),
    _patch(2, 4, 16, 64, dtypes=HALVES),
    _patch(2, 2, 32, 32, dtypes=HALVES),
    _patch(2, 2, 16, 32),
    _patch(2, 2, 8, 32),
    _patch(2, 4, 16, 32, dtypes=("float32",)),
    _patch(4, 1, 256, 1),
    _patch(2, 2, 128, 1),
    _patch(2, 2, 32, 8),
    _patch(2, 2, 16, 16, 1, dtypes=(*HALVES, "float32")),
    _patch(2, 2, 8, 16, 2, dtypes=("float64",)),
)
GATHER = Configurations(
    "conv2d_depthwise.gather",
    Config({"BLOCK_PIXELS": 16, "BLOCK_CHANNELS": 32}, 4),
    Config({"BLOCK_PIXELS": 256, "BLOCK_CHANNELS": 1}, 4),
    Config({"BLOCK_PIXELS": 64, "BLOCK_CHANNELS": 32}, 4),
)
WGRAD = Configurations(
    "conv2d_depthwise.wgrad",
    _patch(2, 2, 16, 64, dtypes=HALVES),
    _patch(2, 2, 32, 32, dtypes=HALVES),
    _patch(2, 2, 16, 32, dtypes=("float32",)),
    _patch(2, 2, 8, 32, dtypes=("float64",)),
    _patch(4, 1, 256, 1),
    _patch(2, 2, 32, 8),
    _patch(2, 2, 16, 8, 1),
)


@triton.jit
def _filters(w, at, inside, steps, TAPS: tl.constexpr, S: tl.constexpr, ACC: tl.constexpr):
    """The taps of every channel, a tuple."""
    filters = ()
    for t in tl.static_range(TAPS):
        f = tl.load(w + at + (t // S * steps[2] + t % S * steps[3]), mask=inside, other=0.0)
        filters = filters + (f.to(ACC),)
    return filters


@triton.jit
def _zeros(COUNT: tl.constexpr, PATCHES: tl.constexpr, CHANNELS: tl.constexpr,
           CHANNEL_AXIS: tl.constexpr, ACC: tl.constexpr):  # fmt: skip
    """COUNT tiles of sums, a tuple."""
    sums = ()
    for _ in tl.static_range(COUNT):
        if CHANNEL_AXIS == 1:
            sums = sums + (tl.zeros((PATCHES, CHANNELS), ACC),)
        else:
            sums = sums + (tl.zeros((CHANNELS, PATCHES), ACC),)
    return sums


@triton.jit
def _add_source(
    acc, x, filters, A: tl.constexpr, B: tl.constexpr, H: tl.constexpr, W: tl.constexpr
):  # fmt: skip
    """acc, the sums of a patch, with the source's (A, B) added to each that it meets."""
    new = ()
    for i in tl.static_range(outputs(H)):
        for j in tl.static_range(outputs(W)):
            y = acc[i * outputs(W) + j]
            if tap(H, i, A) >= 0 and tap(W, j, B) >= 0:
                y += x * filters[tap(H, i, A) * taps(W) + tap(W, j, B)]
            new = new + (y,)
    return new


@triton.jit
def _patches(
    source, w, out, source_steps, w_steps, out_steps,
    source_height, source_width, images, channels, height, width, end,
    patch_rows, patch_columns, steps, vectors, vector_steps, residual, residual_steps,
    H: tl.constexpr, W: tl.constexpr, EACH: tl.constexpr, SHARE: tl.constexpr,
    CHANNEL_AXIS: tl.constexpr, ACTIVATION: tl.constexpr, ACC: tl.constexpr,
    BLOCK_PATCHES: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    ROWS: tl.constexpr = outputs(H)
    COLS: tl.constexpr = outputs(W)
    channel_blocks = tl.cdiv(channels, BLOCK_CHANNELS)
    block = tl.program_id(0) // channel_blocks
    channel = tl.program_id(0) % channel_blocks * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    c = tl.expand_dims(channel, 1 - CHANNEL_AXIS)
    # output c sums over the EACH channels of the source from c * EACH on, or shares one with others
    x_at, w_at = (c // SHARE * EACH).to(tl.int64) * source_steps[1], c * (EACH * w_steps[0])
    # the filters of one channel stay in registers, those of several are loaded in turn
    if EACH == 1:
        filters = _filters(w, w_at, c < channels, w_steps, taps(H) * taps(W), taps(W), ACC)
    for step in range(steps):
        n, row, column = place(
            block, step, steps, patch_rows * patch_columns, patch_columns, end, BLOCK_PATCHES
        )
        n = tl.expand_dims(n, CHANNEL_AXIS)
        row = tl.expand_dims(row, CHANNEL_AXIS)
        column = tl.expand_dims(column, CHANNEL_AXIS)
        inside = (n < images) & (c < channels)
        x = source + (n * source_steps[0] + x_at)
        acc = _zeros(ROWS * COLS, BLOCK_PATCHES, BLOCK_CHANNELS, CHANNEL_AXIS, ACC)
        for m in range(EACH):
            if EACH != 1:
                filters = _filters(
                    w, w_at + m * w_steps[0], c < channels, w_steps, taps(H) * taps(W), taps(W),
                    ACC,
                )  # fmt: skip
            for i in tl.static_range(reaches(H)):
                h = row * origin(H) + reached(H, i)
                h_inside = inside & (h >= 0) & (h < source_height)
                x_row = x + (h.to(tl.int64) * source_steps[2] + m * source_steps[1])
                for j in tl.static_range(reaches(W)):
                    q = column * origin(W) + reached(W, j)
                    there = h_inside & (q >= 0) & (q < source_width)
                    value = tl.load(x_row + q.to(tl.int64) * source_steps[3], mask=there, other=0.0)
                    acc = _add_source(
                        acc, value.to(ACC), filters, reached(H, i), reached(W, j), H, W
                    )
        y_at = n * out_steps[0] + c.to(tl.int64) * out_steps[1]
        r_at = n * residual_steps[0] + c.to(tl.int64) * residual_steps[1]
        for k in tl.static_range(ROWS * COLS):
            h, q = row * ROWS + k // COLS, column * COLS + k % COLS
            there = inside & (h < height) & (q < width)
            at = r_at + h.to(tl.int64) * residual_steps[2] + q.to(tl.int64) * residual_steps[3]
            y = ending.finish(
                acc[k], vectors, vector_steps, channel, channel < channels, residual, at, there,
                ACTIVATION, CHANNEL_AXIS,
            )  # fmt: skip
            at = y_at + h.to(tl.int64) * out_steps[2] + q.to(tl.int64) * out_steps[3]
            tl.store(out + at, y.to(out.dtype.element_ty), mask=there)


@triton.jit
def _first_tap(t, divisor, inverse, stride):
    """(the first tap r with t - r * tap a multiple of the source's stride, whether there is one);
    the others follow every `stride` taps."""
    return t // divisor * inverse % stride, t % divisor == 0


@triton.jit
def _gather(
    source, w, out, source_steps, w_steps, out_steps,
    source_height, source_width, images, channels, height, width, end, h_axis, w_axis,
    vectors, vector_steps, residual, residual_steps,
    EACH: tl.constexpr, SHARE: tl.constexpr, CHANNEL_AXIS: tl.constexpr, ACTIVATION: tl.constexpr,
    ACC: tl.constexpr, BLOCK_PIXELS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    h_source, h_tap, h_target, h_shift, R, h_divisor, h_inverse, h_stride = h_axis
    w_source, w_tap, w_target, w_shift, S, w_divisor, w_inverse, w_stride = w_axis
    channel_blocks = tl.cdiv(channels, BLOCK_CHANNELS)
    block = tl.program_id(0) // channel_blocks
    channel = tl.program_id(0) % channel_blocks * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    c = tl.expand_dims(channel, 1 - CHANNEL_AXIS)
    n, h, q = place(block, 0, 1, height * width, width, end, BLOCK_PIXELS)
    n = tl.expand_dims(n, CHANNEL_AXIS)
    h = tl.expand_dims(h, CHANNEL_AXIS)
    q = tl.expand_dims(q, CHANNEL_AXIS)
    inside = (n < images) & (c < channels)
    h_at, w_at = h * h_target + h_shift, q * w_target + w_shift
    h_first, h_meets = _first_tap(h_at, h_divisor, h_inverse, h_stride)
    w_first, w_meets = _first_tap(w_at, w_divisor, w_inverse, w_stride)
    x = source + (n * source_steps[0] + (c // SHARE * EACH).to(tl.int64) * source_steps[1])
    filters = w + c * (EACH * w_steps[0])
    acc = _zeros(1, BLOCK_PIXELS, BLOCK_CHANNELS, CHANNEL_AXIS, ACC)[0]
    for i in range(tl.cdiv(R, h_stride)):
        r = h_first + i * h_stride
        a = (h_at - r * h_tap) // h_source
        h_inside = inside & h_meets & (r < R) & (a >= 0) & (a < source_height)
        for j in range(tl.cdiv(S, w_stride)):
            s = w_first + j * w_stride
            b = (w_at - s * w_tap) // w_source
            there = h_inside & w_meets & (s < S) & (b >= 0) & (b < source_width)
            x_at = a.to(tl.int64) * source_steps[2] + b.to(tl.int64) * source_steps[3]
            for m in range(EACH):
                value = tl.load(x + x_at + m * source_steps[1], mask=there, other=0.0)
                f_at = m * w_steps[0] + r * w_steps[2] + s * w_steps[3]
                f = tl.load(filters + f_at, mask=there, other=0.0)
                acc += value.to(ACC) * f.to(ACC)
    at = h.to(tl.int64) * residual_steps[2] + q.to(tl.int64) * residual_steps[3]
    at += n * residual_steps[0] + c.to(tl.int64) * residual_steps[1]
    y = ending.finish(
        acc, vectors, vector_steps, channel, channel < channels, residual, at, inside,
        ACTIVATION, CHANNEL_AXIS,
    )  # fmt: skip
    at = h.to(tl.int64) * out_steps[2] + q.to(tl.int64) * out_steps[3]
    at += n * out_steps[0] + c.to(tl.int64) * out_steps[1]
    tl.store(out + at, y.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _add_taps(
    acc, x, gradients, A: tl.constexpr, B: tl.constexpr, H: tl.constexpr, W: tl.constexpr
):  # fmt: skip
    """acc, a sum for each tap, with the input's (A, B) times each gradient it meets there."""
    new = ()
    for t in tl.static_range(taps(H) * taps(W)):
        dw = acc[t]
        for k in tl.static_range(outputs(H) * outputs(W)):
            if tap(H, k // outputs(W), A) == t // taps(W):
                if tap(W, k % outputs(W), B) == t % taps(W):
                    dw += x * gradients[k]
        new = new + (dw,)
    return new


@triton.jit
def _wgrad(
    source, dy, partial, source_steps, dy_steps,
    source_height, source_width, images, channels, height, width, end,
    patch_rows, patch_columns, steps, R, S,
    H: tl.constexpr, W: tl.constexpr, DILATION_H: tl.constexpr, DILATION_W: tl.constexpr,
    SHARE: tl.constexpr, CHANNEL_AXIS: tl.constexpr, ACC: tl.constexpr,
    BLOCK_PATCHES: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    ROWS: tl.constexpr = outputs(H)
    COLS: tl.constexpr = outputs(W)
    TAPS: tl.constexpr = taps(H) * taps(W)
    channel_blocks = tl.cdiv(channels, BLOCK_CHANNELS)
    groups_across = tl.cdiv(S, taps(W))
    groups = tl.cdiv(R, taps(H)) * groups_across
    slice = tl.program_id(0) // (channel_blocks * groups)
    group = tl.program_id(0) // channel_blocks % groups
    first_r, first_s = group // groups_across * taps(H), group % groups_across * taps(W)
    channel = tl.program_id(0) % channel_blocks * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    c = tl.expand_dims(channel, 1 - CHANNEL_AXIS)
    acc = _zeros(TAPS, BLOCK_PATCHES, BLOCK_CHANNELS, CHANNEL_AXIS, ACC)
    for step in range(steps):
        n, row, column = place(
            slice, step, steps, patch_rows * patch_columns, patch_columns, end, BLOCK_PATCHES
        )
        n = tl.expand_dims(n, CHANNEL_AXIS)
        row = tl.expand_dims(row, CHANNEL_AXIS)
        column = tl.expand_dims(column, CHANNEL_AXIS)
        inside = (n < images) & (c < channels)
        dy_at = n * dy_steps[0] + c.to(tl.int64) * dy_steps[1]
        gradients = ()
        for k in tl.static_range(ROWS * COLS):
            h, q = row * ROWS + k // COLS, column * COLS + k % COLS
            at = dy_at + h.to(tl.int64) * dy_steps[2] + q.to(tl.int64) * dy_steps[3]
            there = inside & (h < height) & (q < width)
            gradients = gradients + (tl.load(dy + at, mask=there, other=0.0).to(ACC),)
        x = source + (n * source_steps[0] + (c // SHARE).to(tl.int64) * source_steps[1])
        for i in tl.static_range(reaches(H)):
            h = row * origin(H) + (first_r * DILATION_H + reached(H, i))
            h_inside = inside & (h >= 0) & (h < source_height)
            x_row = x + h.to(tl.int64) * source_steps[2]
            for j in tl.static_range(reaches(W)):
                q = column * origin(W) + (first_s * DILATION_W + reached(W, j))
                there = h_inside & (q >= 0) & (q < source_width)
                value = tl.load(x_row + q.to(tl.int64) * source_steps[3], mask=there, other=0.0)
                acc = _add_taps(acc, value.to(ACC), gradients, reached(H, i), reached(W, j), H, W)
    for t in tl.static_range(TAPS):
        r, s = first_r + t // taps(W), first_s + t % taps(W)
        at = ((slice.to(tl.int64) * R + r) * S + s) * channels + channel
        there = (channel < channels) & (r < R) & (s < S)
        tl.store(partial + at, tl.sum(acc[t], axis=1 - CHANNEL_AXIS), mask=there)


def _channels_last(*arrays: Array) -> bool:
    """Whether lanes that run along the channels meet neighbours, in most of the arrays."""
    votes = [abs(a.strides[1]) <= abs(a.strides[3]) for a in arrays]
    return 2 * sum(votes) > len(votes)


class _Patching(NamedTuple):
    """A configuration on a problem: the axes, its blocks and how a program walks over them."""

    h: Axis
    w: Axis
    rows: int
    columns: int
    channel_blocks: int
    steps: int
    slices: int  # programs that share the patches
    end: int  # patches of all slices, those past the last image included

    @property
    def loads(self) -> int:
        """Elements of the source that a lane reads for a patch."""
        return len(reach(self.h)) * len(reach(self.w))


def _patching(config: Config, h: Axis, w: Axis, shape: tuple[int, ...], groups: int) -> _Patching:
    """`config` on an output of `shape`, where `groups` programs work on the same patches."""
    n, channels, height, width = shape
    h, w = h.patched(config.tiles["ROWS"]), w.patched(config.tiles["COLS"])
    rows, columns = triton.cdiv(height, h.patch), triton.cdiv(width, w.patch)
    block = config.tiles["BLOCK_PATCHES"]
    blocks = triton.cdiv(n * rows * columns, block)
    channel_blocks = triton.cdiv(channels, config.tiles["BLOCK_CHANNELS"])
    steps = max(min(2, blocks), blocks * channel_blocks * groups // PROGRAMS, 1)
    slices = triton.cdiv(blocks, steps)
    return _Patching(h, w, rows, columns, channel_blocks, steps, slices, slices * steps * block)


def _time(
    config: Config, p: _Patching, groups: int, last: bool, itemsize: int, crowded: bool = False
) -> float:
    """An estimate, in loads of a lane: waves of programs, each with its start and its steps.
    `crowded`: a residual is added, for which sums that fill half the registers leave none."""
    block = config.tiles["BLOCK_PATCHES"], config.tiles["BLOCK_CHANNELS"]
    run = itemsize * block[1 if last else 0]  # bytes that lie side by side
    patch = p.h.patch * p.w.patch
    work = (p.loads + 2 * patch) * max(1.0, 64 / run) + patch * p.h.taps * p.w.taps / 8
    if last != (block[1] >= 16):
        work *= 4  # a tile for the other layout
    # sums and filters have to fit in the 255 registers of a thread
    each = max(1, block[0] * block[1] // (32 * config.num_warps))
    held = each * (p.h.taps * p.w.taps + patch) * max(1, itemsize // 4)
    if crowded and each * patch * max(1, itemsize // 4) > 48:
        return math.inf
    if held > 160:
        work *= held / 40
    programs = p.slices * p.channel_blocks * groups
    filters = block[1] * p.h.taps * p.w.taps
    lanes = block[0] * block[1]
    return triton.cdiv(programs, PROGRAMS) * (4096 + filters + p.steps * work * lanes) + (
        1024 * min(programs, 64)
    )


def _run(
    source: Array, w: Array, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None,
    adjoint: bool,
) -> None:  # fmt: skip
    """fprop, or its adjoint."""
    h, q = axes_of(geometry, adjoint)
    n, channels, height, width = out.shape
    multiplier = geometry.K // geometry.C
    last = _channels_last(source, out)
    arrays = (source, w, out, strides(source), strides(w), strides(out))
    sizes = (*source.shape[2:], n, channels, height, width)
    common = {
        "EACH": multiplier if adjoint else 1, "SHARE": 1 if adjoint else multiplier,
        "CHANNEL_AXIS": 1 if last else 0, "ACTIVATION": ending.activation(epilogue),
        "ACC": accumulator(out.dtype),
    }  # fmt: skip
    layout = units(strides(source), strides(w), strides(out))
    key = geometry, adjoint, last, layout, ending.word(epilogue)
    if h.taps * q.taps > TAPS or h.source * q.source > 16:
        config = GATHER.choose(out.dtype, key, lambda c: _lanes(c, out, last))
        tiles = config.tiles
        blocks = triton.cdiv(n * height * width, tiles["BLOCK_PIXELS"])
        launch(
            _gather, (blocks * triton.cdiv(channels, tiles["BLOCK_CHANNELS"]),),
            *arrays, *sizes, blocks * tiles["BLOCK_PIXELS"], looped(h), looped(q),
            *ending.arguments(epilogue), **common, **tiles, **config.options,
        )  # fmt: skip
        return
    config = PATCHES.choose(
        out.dtype, key,
        lambda c: _time(
            c, _patching(c, h, q, out.shape, 1), 1, last, out.itemsize,
            ending.has_residual(epilogue),
        ),
    )  # fmt: skip
    p = _patching(config, h, q, out.shape, 1)
    tiles = {name: config.tiles[name] for name in ("BLOCK_PATCHES", "BLOCK_CHANNELS")}
    launch(
        _patches, (p.slices * p.channel_blocks,),
        *arrays, *sizes, p.end, p.rows, p.columns, p.steps, *ending.arguments(epilogue),
        H=p.h, W=p.w, **common, **tiles, **config.options,
    )  # fmt: skip


def _lanes(config: Config, out: Array, last: bool) -> float:
    """Lanes that a configuration of `_gather` occupies, and what its runs of bytes waste."""
    n, channels, height, width = out.shape
    pixels, block = config.tiles["BLOCK_PIXELS"], config.tiles["BLOCK_CHANNELS"]
    programs = triton.cdiv(n * height * width, pixels) * triton.cdiv(channels, block)
    run = out.itemsize * (block if last else pixels)
    return programs * (pixels * block * max(1.0, 64 / run) + 256)


def conv2d_fprop_depthwise(
    x: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    _run(x, w, out, geometry, epilogue, adjoint=False)


def conv2d_dgrad_depthwise(
    dy: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    _run(dy, w, out, geometry, epilogue, adjoint=True)


def conv2d_wgrad_depthwise(
    x: Array, dy: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None
) -> None:
    g = geometry
    across = min(g.S, 12)
    down = min(g.R, 12 // across)
    h, q = axes_of(g, adjoint=False)
    h, q = replace(h, taps=down), replace(q, taps=across)
    groups = triton.cdiv(g.R, down) * triton.cdiv(g.S, across)
    last = _channels_last(x, dy)
    config = WGRAD.choose(
        out.dtype, (geometry, last, units(strides(x), strides(dy))),
        lambda c: _time(c, _patching(c, h, q, dy.shape, groups), groups, last, dy.itemsize),
    )  # fmt: skip
    p = _patching(config, h, q, dy.shape, groups)
    shape = (p.slices, g.R, g.S, 1, g.K)
    partial = empty(shape, accumulation_dtype(out.dtype), device=device_of(x))
    launch(
        _wgrad, (p.slices * groups * p.channel_blocks,),
        x, dy, partial, strides(x), strides(dy), g.H, g.W, *dy.shape,
        p.end, p.rows, p.columns, p.steps, g.R, g.S,
        H=p.h, W=p.w, DILATION_H=g.dilation_h, DILATION_W=g.dilation_w, SHARE=g.K // g.C,
        CHANNEL_AXIS=1 if last else 0, ACC=accumulator(out.dtype),
        BLOCK_PATCHES=config.tiles["BLOCK_PATCHES"], BLOCK_CHANNELS=config.tiles["BLOCK_CHANNELS"],
        **config.options,
    )  # fmt: skip
    add_slices(partial, out.transpose(2, 3, 1, 0))
