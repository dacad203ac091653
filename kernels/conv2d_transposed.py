"""Strided input gradients and transposed convolutions, where most taps miss most pixels.

Computes   dx[n,c,h,w] = sum_{r,s,k} dy[n, k, (h + top - r*Dh) / Sh, (w + left - s*Dw) / Sw]
                                     * w[k,c,r,s]
           over the taps whose divisions are exact, then the epilogue
           phases: the pixels with one h mod Sh and one w mod Sw form a phase. All of them meet the
           same taps, r0, r0 + hop, ...: each phase is a dense convolution with stride 1 of its own
           subset of the filter. A phase without taps is the epilogue of zero
           pixel shuffle: with R <= Sh and S <= Sw no pixel meets two taps, so that each dy[n,:,p,q]
           is multiplied once by all filters, [N*P*Q, K] x [K, Sh*Sw*C], and every product is a
           pixel of its own; the columns beyond R and S are zeros
Arrays     dy (N,K,P,Q)  w (K,C/G,R,S)  dx (N,C,H,W); f16/bf16/f32/f64, any strides
Grid       phases: (G * phases * row tiles * column tiles,), the phases with most taps first
           pixel shuffle: (G * row tiles * column tiles,); columns fastest in both
Tiling     as conv2d_implicit_gemm.py; a shuffled tile is stored as BLOCK_ROWS x Sh*Sw runs of
           channels
Traffic    U-Net's 2x2 stride 2 (28x28x1024 -> 512, N=8, bf16): 43 MB and 26 GFLOP, 610 FLOP/byte;
           its last (128x128x128 -> 64): 101 MB and 8.6 GFLOP, 85 FLOP/byte: bandwidth
Numerics   f32 accumulator (f64: f64), taps in the order (r,s), one rounding at the store. Zeros
           lie outside dy: an infinite or NaN filter makes NaN where it reads them
Refuses    phases: stride 1, of which it has one. pixel shuffle: filters over the stride, dilation
Source     phases: Shi et al. 2016, arXiv:1609.07009; pixel shuffle: Shi et al. 2016,
           arXiv:1609.05158
"""

from __future__ import annotations

import math

import triton
import triton.language as tl

from ..array import Array
from ..dispatch import Epilogue
from ..geometry import Conv2dGeometry
from .conv2d_implicit_gemm import (
    TILES,
    gathered_product,
    halves,
    index_type,
    pixels,
    plan,
    store_pixels,
)
from .epilogue import activation, arguments, finish, word
from .launch import launch
from .numbers import counted
from .strided import strides, units
from .tuning import Configurations

PHASES = Configurations("conv2d_transposed.phases", *TILES)
PIXEL_SHUFFLE = Configurations("conv2d_transposed.pixel_shuffle", *TILES)

# --- phases ---------------------------------------------------------------------------------------


@triton.jit
def phase_of(index, size, stride, pad, taps, dilation, common, hop, inverse, start):
    """One axis of a phase: (its first pixel, its pixels, its taps, the first of them, where that
    one reads dy for the first pixel).

    Pixel h meets tap r iff h + pad = r * dilation modulo stride. With common = gcd(dilation,
    stride), that is every hop-th tap, hop = stride / common, or none; inverse is that of
    dilation / common modulo hop."""
    h = ((index + start) % stride).to(tl.int32)
    residue = ((h + pad) % stride).to(tl.int64)  # times the inverse it may pass 2**31
    first = (residue // common * inverse % hop).to(tl.int32)
    met = tl.maximum((taps - first + hop - 1) // hop, 0)
    met = tl.where(residue % common == 0, met, 0)
    # exact where there are taps; else nothing is read
    origin = (h + pad - first * dilation) // stride
    return h, (size - h + stride - 1) // stride, met, first, origin


@triton.jit
def _phases(
    dy, filters, dx, dy_steps, f_steps, dx_steps, vectors, vector_steps, residual, residual_steps,
    images, image, plane, channels, cols, axis_h, axis_w, phases, tiles,
    ACTIVATION: tl.constexpr, FLAT: tl.constexpr, WHOLE: tl.constexpr, SWAP: tl.constexpr,
    ACC: tl.constexpr, INDEX: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK_COLS: tl.constexpr, BLOCK_DEPTH: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    col_tile, program = program % tiles[1], program // tiles[1]
    row_tile, program = program % tiles[0], program // tiles[0]
    j, program = program % phases[1], program // phases[1]
    i, group = program % phases[0], (program // phases[0]).to(tl.int64)
    h, height, taps_h, r, p = phase_of(
        i, image[0], axis_h[0], axis_h[1], axis_h[2], axis_h[3], axis_h[4], axis_h[5], axis_h[6],
        axis_h[7],
    )  # fmt: skip
    w, width, taps_w, s, q = phase_of(
        j, image[1], axis_w[0], axis_w[1], axis_w[2], axis_w[3], axis_w[4], axis_w[5], axis_w[6],
        axis_w[7],
    )  # fmt: skip

    lanes = tl.arange(0, BLOCK_ROWS)
    first = row_tile.to(tl.int64) * BLOCK_ROWS
    rows_inside = lanes < images * height.to(tl.int64) * width - first
    n, u, v = pixels(first, lanes, height, width)
    p, q = p + u, q + v
    dy_rows = n.to(INDEX) * dy_steps[0] + p.to(INDEX) * dy_steps[2] + q.to(INDEX) * dy_steps[3]

    c = col_tile * BLOCK_COLS + tl.arange(0, BLOCK_COLS)
    filters += group * f_steps[0] + r.to(tl.int64) * f_steps[3] + s.to(tl.int64) * f_steps[4]
    acc = gathered_product(
        dy + group * channels * dy_steps[1], dy_rows, p, q,
        tl.where(rows_inside, plane[0], 0), plane[1], dy_steps[1], dy_steps[2], dy_steps[3],
        filters, (c % cols).to(INDEX) * f_steps[1],
        f_steps[2], axis_h[5] * f_steps[3], axis_w[5] * f_steps[4],
        channels, taps_h, taps_w, -(axis_h[3] // axis_h[4]), -(axis_w[3] // axis_w[4]),
        FLAT, WHOLE, SWAP, ACC, INDEX, PRECISION, BLOCK_ROWS, BLOCK_COLS, BLOCK_DEPTH,
    )  # fmt: skip
    h, w = h + u * axis_h[0], w + v * axis_w[0]
    store_pixels(
        acc, dx, dx_steps, n, h, w, group, col_tile * BLOCK_COLS, cols, rows_inside,
        vectors, vector_steps, residual, residual_steps, ACTIVATION, INDEX,
    )  # fmt: skip


def _axis(size: int, stride: int, pad: int, taps: int, dilation: int) -> tuple[int, ...]:
    """What phase_of takes after the size."""
    common = math.gcd(dilation, stride)
    hop = stride // common
    # phases in the order of their first tap, the longest first, where all of them have pixels
    start = -pad % stride if stride <= size else 0
    inverse = pow(dilation // common, -1, hop)
    return stride, pad, taps, dilation, common, hop, inverse, start


def conv2d_dgrad_phases(
    dy: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    g = geometry
    axis_h = _axis(g.H, g.stride_h, g.pad_top, g.R, g.dilation_h)
    axis_w = _axis(g.W, g.stride_w, g.pad_left, g.S, g.dilation_w)
    phases = min(g.stride_h, g.H), min(g.stride_w, g.W)
    most_taps = triton.cdiv(g.R, axis_h[5]), triton.cdiv(g.S, axis_w[5])
    rows = g.N * triton.cdiv(g.H, g.stride_h) * triton.cdiv(g.W, g.stride_w)
    channels, cols, groups = g.K // g.G, g.C // g.G, g.G * phases[0] * phases[1]
    k, c, r, s = strides(w)
    key = g, units(strides(dy), strides(w), strides(out)), word(epilogue)
    tiles, constants = plan(PHASES, out.dtype, key, groups, rows, cols, most_taps, channels)
    residual = None if epilogue is None else epilogue.residual
    deep = constants["BLOCK_DEPTH"]
    reach = g.H + g.pad_top + g.R * g.dilation_h, g.W + g.pad_left + g.S * g.dilation_w
    index = index_type(
        ((g.N, deep, *reach), strides(dy)),
        ((cols, deep), (c, k)),
        (out.shape, strides(out)),
        *([] if residual is None else [(out.shape, strides(residual))]),
    )
    launch(
        _phases, (groups * tiles[0] * tiles[1],),
        dy, w, out, strides(dy), (channels * k, c, k, r, s), strides(out), *arguments(epilogue),
        g.N, (g.H, g.W), (g.P, g.Q), channels, cols, axis_h, axis_w, phases, tiles,
        ACTIVATION=activation(epilogue), INDEX=index, **constants,
    )  # fmt: skip


# --- pixel shuffle --------------------------------------------------------------------------------


@triton.jit
def _pixel_shuffle(
    dy, filters, dx, dy_steps, f_steps, dx_steps, vectors, vector_steps, residual, residual_steps,
    rows, blocks, corner, image, plane, channels, cols, taps, stride, pad, tiles,
    ACTIVATION: tl.constexpr, FLAT: tl.constexpr, WHOLE: tl.constexpr, SWAP: tl.constexpr,
    ACC: tl.constexpr, INDEX: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK_COLS: tl.constexpr, BLOCK_DEPTH: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    col_tile, program = program % tiles[1], program // tiles[1]
    row_tile, group = program % tiles[0], (program // tiles[0]).to(tl.int64)

    lanes = tl.arange(0, BLOCK_ROWS)
    first = counted(row_tile, rows) * BLOCK_ROWS
    rows_inside = lanes < rows - first
    n, p, q = pixels(first, lanes, blocks[0], blocks[1])
    p, q = p + corner[0], q + corner[1]
    dy_rows = n.to(INDEX) * dy_steps[0] + p.to(INDEX) * dy_steps[2] + q.to(INDEX) * dy_steps[3]

    # a column is a pixel (r, s) of the block of dx that one dy spreads over, and a channel
    column = col_tile * BLOCK_COLS + tl.arange(0, BLOCK_COLS)
    c, r, s = column % cols, column // cols // stride[1], column // cols % stride[1]
    in_filter = (r < taps[0]) & (s < taps[1])
    f_cols = c.to(INDEX) * f_steps[1] + tl.minimum(r, taps[0] - 1).to(INDEX) * f_steps[3]
    f_cols += tl.minimum(s, taps[1] - 1).to(INDEX) * f_steps[4]
    acc = gathered_product(
        dy + group * channels * dy_steps[1], dy_rows, p, q,
        tl.where(rows_inside, plane[0], 0), plane[1], dy_steps[1], dy_steps[2], dy_steps[3],
        filters + group * f_steps[0], f_cols, f_steps[2], f_steps[3], f_steps[4],
        channels, 1, 1, 1, 1,
        FLAT, WHOLE, SWAP, ACC, INDEX, PRECISION, BLOCK_ROWS, BLOCK_COLS, BLOCK_DEPTH,
    )  # fmt: skip
    acc = tl.where(in_filter[None, :], acc, 0.0)

    h, w = p * stride[0] - pad[0], q * stride[1] - pad[1]
    first = col_tile * BLOCK_COLS
    if residual is not None and BLOCK_COLS >= 64:
        left, right = halves(acc)
        _store_shuffled(
            left, dx, dx_steps, n, h, w, rows_inside, group, first, cols, image, stride,
            vectors, vector_steps, residual, residual_steps, ACTIVATION, INDEX,
        )  # fmt: skip
        _store_shuffled(
            right, dx, dx_steps, n, h, w, rows_inside, group, first + BLOCK_COLS // 2, cols, image,
            stride, vectors, vector_steps, residual, residual_steps, ACTIVATION, INDEX,
        )  # fmt: skip
    else:
        _store_shuffled(
            acc, dx, dx_steps, n, h, w, rows_inside, group, first, cols, image, stride,
            vectors, vector_steps, residual, residual_steps, ACTIVATION, INDEX,
        )  # fmt: skip


@triton.jit
def _store_shuffled(
    acc, dx, dx_steps, n, h, w, rows_inside, group, first, cols, image, stride,
    vectors, vector_steps, residual, residual_steps,
    ACTIVATION: tl.constexpr, INDEX: tl.constexpr,
):  # fmt: skip
    """dx[n, c, h+r, w+s] = the epilogue of acc; columns begin with (r, s, c) number `first`."""
    column = first + tl.arange(0, acc.shape[1])
    c, r, s = column % cols, column // cols // stride[1], column // cols % stride[1]
    i, j = h[:, None] + r[None, :], w[:, None] + s[None, :]
    inside = (i >= 0) & (i < image[0]) & (j >= 0) & (j < image[1])
    inside = inside & rows_inside[:, None] & (r < stride[0])[None, :]
    channel = group * cols + c
    at = n.to(INDEX) * residual_steps[0] + h.to(INDEX) * residual_steps[2]
    at = (at + w.to(INDEX) * residual_steps[3])[:, None]
    across = r.to(INDEX) * residual_steps[2] + s.to(INDEX) * residual_steps[3]
    at = at + (across + channel * residual_steps[1])[None, :]
    acc = finish(
        acc, vectors, vector_steps, channel, r < stride[0], residual, at, inside, ACTIVATION
    )  # fmt: skip
    at = n.to(INDEX) * dx_steps[0] + h.to(INDEX) * dx_steps[2] + w.to(INDEX) * dx_steps[3]
    across = r.to(INDEX) * dx_steps[2] + s.to(INDEX) * dx_steps[3] + c.to(INDEX) * dx_steps[1]
    dx_tile = dx + group * cols * dx_steps[1] + at[:, None] + across[None, :]
    tl.store(dx_tile, acc.to(dx.dtype.element_ty), mask=inside)


def conv2d_dgrad_pixel_shuffle(
    dy: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    g = geometry
    # the blocks of Sh x Sw pixels that cover dx, (h + top) // Sh counted from the first
    corner = g.pad_top // g.stride_h, g.pad_left // g.stride_w
    blocks = (
        (g.H - 1 + g.pad_top) // g.stride_h - corner[0] + 1,
        (g.W - 1 + g.pad_left) // g.stride_w - corner[1] + 1,
    )
    rows, channels, cols = g.N * blocks[0] * blocks[1], g.K // g.G, g.C // g.G
    columns = cols * g.stride_h * g.stride_w
    k, c, r, s = strides(w)
    key = g, units(strides(dy), strides(w), strides(out)), word(epilogue)
    tiles, constants = plan(
        PIXEL_SHUFFLE, out.dtype, key, g.G, rows, columns, (1, 1), channels
    )  # fmt: skip
    residual = None if epilogue is None else epilogue.residual
    deep = constants["BLOCK_DEPTH"]
    padded = g.H + g.pad_top + g.stride_h, g.W + g.pad_left + g.stride_w
    index = index_type(
        ((g.N, deep, *padded), strides(dy)),
        (w.shape, strides(w)),
        ((g.N, g.C, *padded), strides(out)),
        *([] if residual is None else [((g.N, g.C, *padded), strides(residual))]),
    )
    launch(
        _pixel_shuffle, (g.G * tiles[0] * tiles[1],),
        dy, w, out, strides(dy), (channels * k, c, k, r, s), strides(out), *arguments(epilogue),
        rows, blocks, corner, (g.H, g.W), (g.P, g.Q), channels, cols, (g.R, g.S), g.stride,
        (g.pad_top, g.pad_left), tiles,
        ACTIVATION=activation(epilogue), INDEX=index, **constants,
    )  # fmt: skip
