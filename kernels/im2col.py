"""Patches as columns, and their adjoint.

Computes   columns[n, (c*R + r)*S + s, p*Q + q] = x[n, c, p*Sh - top + r*Dh, q*Sw - left + s*Dw],
           0 outside the image; col2im sums every column entry into the pixel it came from
Arrays     x (N,C,H,W)  columns (N, C*R*S, P*Q); f16/bf16/f32/f64; any strides. For convolutions the
           rows may also come in the order r, s, c, in which a pixel of a channels-last image is
           copied whole
Grid       (N * row tiles * pixel tiles,), row tiles fastest: im2col makes BLOCK_ROWS x BLOCK_PIXELS
           of the columns, col2im as much of the image
Tiling     none in shared memory: a pixel's R*S reads follow each other and meet in L1 and L2
Traffic    im2col reads the image once from memory and writes R*S/(Sh*Sw) as much; no FLOPs; the
           ResNet stem's columns (147 x 12544) are 12.25 times its image: bandwidth; unmeasured
Numerics   im2col copies; col2im sums tap by tap in f32 (f64 for f64) and rounds once at the store.
           It gathers: every program owns its pixels, and nothing is added in memory
Refuses    nothing
Source     Chellapilla, Puri and Simard 2006, High Performance Convolutional Neural Networks for
           Document Processing
"""

from __future__ import annotations

import triton
import triton.language as tl

from ..array import Array
from ..dispatch import Epilogue
from ..geometry import Conv2dGeometry
from .epilogue import activation, arguments, finish, word
from .gemm import processors
from .launch import launch
from .numbers import accumulator
from .strided import strides, units
from .tuning import Config, Configurations

DIRECT = Configurations(
    "im2col.direct",
    Config({"BLOCK_ROWS": 4, "BLOCK_PIXELS": 512}),
    Config({"BLOCK_ROWS": 64, "BLOCK_PIXELS": 64}, 8),
    Config({"BLOCK_ROWS": 16, "BLOCK_PIXELS": 16}),
)
ADJOINT = Configurations(
    "im2col.adjoint",
    Config({"BLOCK_ROWS": 1, "BLOCK_PIXELS": 512}),
    Config({"BLOCK_ROWS": 64, "BLOCK_PIXELS": 32}),
    Config({"BLOCK_ROWS": 8, "BLOCK_PIXELS": 32}),
)


def _cost(config: Config, n: int, rows: int, pixels: int, along_rows: bool) -> float:
    """The time a call takes, in accesses: its waves of tiles, rounded up, where short runs of
    neighbouring elements cost more."""
    tile_rows, tile_pixels = config.tiles["BLOCK_ROWS"], config.tiles["BLOCK_PIXELS"]
    tiles = n * triton.cdiv(rows, tile_rows) * triton.cdiv(pixels, tile_pixels)
    run = max(min(tile_rows, rows) if along_rows else min(tile_pixels, pixels), 1)
    waves = triton.cdiv(tiles, 8 * processors())
    return waves * (500 + tile_rows * tile_pixels * (1.0 + 8.0 / run))


# --- im2col ---------------------------------------------------------------------------------------


@triton.jit
def _im2col_direct(
    x, columns, x_steps, columns_steps, rows, pixels, C, H, W, R, S, Q,
    stride_h, stride_w, top, left, dilation_h, dilation_w,
    CHANNELS_FIRST: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_PIXELS: tl.constexpr,
):  # fmt: skip
    row_tiles, pixel_tiles = tl.cdiv(rows, BLOCK_ROWS), tl.cdiv(pixels, BLOCK_PIXELS)
    program = tl.program_id(0)
    n = (program // (row_tiles * pixel_tiles)).to(tl.int64)
    row = program % row_tiles * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    pixel = program // row_tiles % pixel_tiles * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    if CHANNELS_FIRST:
        c, tap = row // (R * S), row % (R * S)
    else:
        c, tap = row % C, row // C
    h = (pixel // Q * stride_h - top)[None, :] + (tap // S * dilation_h)[:, None]
    w = (pixel % Q * stride_w - left)[None, :] + (tap % S * dilation_w)[:, None]
    inside = (row < rows)[:, None] & (pixel < pixels)[None, :]
    in_image = (h >= 0) & (h < H) & (w >= 0) & (w < W)
    at = (n * x_steps[0] + c.to(tl.int64) * x_steps[1])[:, None]
    at += h.to(tl.int64) * x_steps[2] + w.to(tl.int64) * x_steps[3]
    value = tl.load(x + at, mask=inside & in_image, other=0.0)
    at = (n * columns_steps[0] + row.to(tl.int64) * columns_steps[1])[:, None]
    at += (pixel.to(tl.int64) * columns_steps[2])[None, :]
    tl.store(columns + at, value, mask=inside)


def unfold(x: Array, columns: Array, g: Conv2dGeometry, channels_first: bool = True) -> None:
    """im2col into columns (N, rows, P*Q), N as in x; the rows in the order c, r, s or r, s, c."""
    n, rows, pixels = columns.shape
    steps = strides(columns)
    config = DIRECT.choose(
        x.dtype, (g, n, channels_first, units(strides(x), steps)),
        lambda c: _cost(c, n, rows, pixels, abs(steps[1]) < abs(steps[2])),
    )  # fmt: skip
    row_tiles = triton.cdiv(rows, config.tiles["BLOCK_ROWS"])
    launch(
        _im2col_direct,
        (n * row_tiles * triton.cdiv(pixels, config.tiles["BLOCK_PIXELS"]),),
        x, columns, strides(x), steps, rows, pixels, g.C, g.H, g.W, g.R, g.S, g.Q,
        *g.stride, g.pad_top, g.pad_left, *g.dilation,
        CHANNELS_FIRST=channels_first, **config.tiles, **config.options,
    )  # fmt: skip


def im2col_direct(x: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None) -> None:
    unfold(x, out, geometry)


# --- col2im ---------------------------------------------------------------------------------------


@triton.jit
def _col2im_direct(
    columns, x, channel_step, tap_step, columns_steps, x_steps, C, H, W, R, S, P, Q,
    stride_h, stride_w, top, left, dilation_h, dilation_w,
    vectors, vector_steps, residual, residual_steps,
    ACTIVATION: tl.constexpr, ACC: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK_PIXELS: tl.constexpr,
):  # fmt: skip
    row_tiles, pixel_tiles = tl.cdiv(C, BLOCK_ROWS), tl.cdiv(H * W, BLOCK_PIXELS)
    program = tl.program_id(0)
    n = (program // (row_tiles * pixel_tiles)).to(tl.int64)
    c = program % row_tiles * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    pixel = program // row_tiles % pixel_tiles * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    h, w = pixel // W, pixel % W
    c_inside, pixel_inside = c < C, pixel < H * W
    c = c.to(tl.int64)
    first = n * columns_steps[0] + c * channel_step
    acc = tl.zeros((BLOCK_PIXELS, BLOCK_ROWS), ACC)
    for r in range(R):
        for s in range(S):
            # this pixel was read by output (p, q) through tap (r, s), if that is a whole one
            down, across = h + top - r * dilation_h, w + left - s * dilation_w
            p, q = down // stride_h, across // stride_w
            hit = (down >= 0) & (p * stride_h == down) & (p < P)
            hit &= (across >= 0) & (q * stride_w == across) & (q < Q) & pixel_inside
            at = (p * Q + q).to(tl.int64) * columns_steps[2]
            at = at[:, None] + (first + (r * S + s) * tap_step)[None, :]
            mask = hit[:, None] & c_inside[None, :]
            acc += tl.load(columns + at, mask=mask, other=0.0).to(ACC)
    inside = pixel_inside[:, None] & c_inside[None, :]
    h, w = h.to(tl.int64), w.to(tl.int64)
    at = h * residual_steps[2] + w * residual_steps[3]
    at = at[:, None] + (n * residual_steps[0] + c * residual_steps[1])[None, :]
    y = finish(acc, vectors, vector_steps, c, c_inside, residual, at, inside, ACTIVATION)
    at = h * x_steps[2] + w * x_steps[3]
    at = at[:, None] + (n * x_steps[0] + c * x_steps[1])[None, :]
    tl.store(x + at, y.to(x.dtype.element_ty), mask=inside)


def fold(
    columns: Array,
    x: Array,
    g: Conv2dGeometry,
    channels_first: bool = True,
    epilogue: Epilogue | None = None,
) -> None:
    """col2im of columns (N, rows, P*Q) into x, N as in x, and the end of a convolution; the rows
    are in the order c, r, s or r, s, c."""
    n = x.shape[0]
    image, column = strides(x), strides(columns)
    channel_step, tap_step = (g.R * g.S, 1) if channels_first else (1, g.C)
    config = ADJOINT.choose(
        x.dtype,
        (g, n, channels_first, columns.dtype.name, units(image, column), word(epilogue)),
        lambda c: _cost(c, n, g.C, g.H * g.W, abs(image[1]) < abs(image[3])),
    )
    row_tiles = triton.cdiv(g.C, config.tiles["BLOCK_ROWS"])
    launch(
        _col2im_direct,
        (n * row_tiles * triton.cdiv(g.H * g.W, config.tiles["BLOCK_PIXELS"]),),
        columns, x, channel_step * column[1], tap_step * column[1], column, image,
        g.C, g.H, g.W, g.R, g.S, g.P, g.Q,
        *g.stride, g.pad_top, g.pad_left, *g.dilation, *arguments(epilogue),
        ACTIVATION=activation(epilogue), ACC=accumulator(x.dtype),
        **config.tiles, **config.options,
    )  # fmt: skip


def col2im_direct(
    columns: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None
) -> None:
    fold(columns, out, geometry)
