"""The filter gradient of a convolution as an implicit GEMM, its long sum split and added in order.

Computes   dw[k,c,r,s] = sum_{n,p,q} dy[n,k,p,q] * x[n, c, p*Sh - top + r*Dh, q*Sw - left + s*Dw]
           per group: rows are the filters k, columns the taps and channels (r,s,c), and the depth
           is every pixel (n,p,q) of dy
Arrays     x (N,C,H,W)  dy (N,K,P,Q)  dw (K,C/G,R,S); f16/bf16/f32/f64, any strides; a workspace
           (splits, K, R*S*C/G) in the accumulator's dtype where the sum is split
Grid       (G * splits * row tiles * column tiles,), columns fastest: programs that run together
           read the same pixels. The sum is split until about two programs wait for every SM.
           Then (K*R*S*C/G / BLOCK,) programs that add the splits
Tiling     BLOCK_ROWS x BLOCK_COLS sums in registers; per step BLOCK_DEPTH pixels of dy and of x,
           both with the channels contiguous. A tile has one tap and a block of channels; FLAT, for
           few channels, cuts (r,s,c) as one axis, and every element has bounds of its own. Where a
           pixel lies is carried from step to step like an odometer: no division in the loop
Traffic    vgg.c3_2 (56x56x256 -> 256, 3x3, N=32, bf16): 118 GFLOP over 103 MB, 1100 FLOP/byte,
           and 2.4 MB a split written and read
Numerics   f32 accumulator (f64: f64); a split sums its pixels in order, the splits are added in
           order: deterministic, no atomics; one rounding at the store
Refuses    nothing
Source     Chetlur et al. 2014, arXiv:1410.0759, section 3; split-K: Kerr et al. 2017 (CUTLASS)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import triton
import triton.language as tl

from ..array import Array, device_of, empty
from ..geometry import Conv2dGeometry
from .conv2d_implicit_gemm import (
    DOUBLE,
    HALVES,
    SINGLE,
    estimated_cycles,
    index_type,
    pixels,
    within,
)
from .launch import launch
from .numbers import accumulator
from .precision import input_precision
from .strided import strides
from .tuning import Config, Configurations


@triton.jit
def _wgrad(
    x, dy, dw, workspace, x_steps, dy_steps, dw_steps,
    depth, image, plane, channels, filters, all_filters, taps, stride, origin, dilation,
    carry, x_carry, dy_carry, tiles, splits, split_steps,
    FLAT: tl.constexpr, WHOLE: tl.constexpr,
    ACC: tl.constexpr, INDEX: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK_COLS: tl.constexpr, BLOCK_DEPTH: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    col_tile, program = program % tiles[1], program // tiles[1]
    row_tile, program = program % tiles[0], program // tiles[0]
    split, group = program % splits, (program // splits).to(tl.int64)

    # the columns, the first again after the last: (r, s, c) each, or one (r, s) for all
    columns = taps[0] * taps[1] * channels
    if FLAT:
        column = col_tile * BLOCK_COLS + tl.arange(0, BLOCK_COLS)
        columns_inside = column < columns
        column = column % columns
        c, tap = column % channels, column // channels
    else:
        c_tiles = tl.cdiv(channels, BLOCK_COLS)
        tap = col_tile // c_tiles
        c = col_tile % c_tiles * BLOCK_COLS + tl.arange(0, BLOCK_COLS)
        columns_inside = c < channels
        c = c % channels
        column = tap * channels + c
    r, s = tap // taps[1], tap % taps[1]
    down, right = r * dilation[0] + origin[0], s * dilation[1] + origin[1]

    # the depth: this split's first pixels, as the pixels of x under tap (0, 0) or (r, s)
    lanes = tl.arange(0, BLOCK_DEPTH)
    start = split.to(tl.int64) * split_steps * BLOCK_DEPTH
    left = depth - start
    n, p, q = pixels(start, lanes, plane[0], plane[1])
    h, w = p * stride[0], q * stride[1]
    x_at = n.to(INDEX) * x_steps[0] + h.to(INDEX) * x_steps[2] + w.to(INDEX) * x_steps[3]
    dy_at = n.to(INDEX) * dy_steps[0] + p.to(INDEX) * dy_steps[2] + q.to(INDEX) * dy_steps[3]

    k = row_tile * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    dy_rows = (k % filters).to(INDEX) * dy_steps[1]
    x_cols = down.to(INDEX) * x_steps[2] + right.to(INDEX) * x_steps[3]
    x_cols = x_cols + c.to(INDEX) * x_steps[1]
    x += group * channels * x_steps[1]
    dy += group * filters * dy_steps[1]

    acc = tl.zeros((BLOCK_ROWS, BLOCK_COLS), ACC)
    for _ in range(tl.minimum(tl.cdiv(left, BLOCK_DEPTH), split_steps).to(tl.int32)):
        if FLAT:
            i, j = h[:, None] + down[None, :], w[:, None] + right[None, :]
            inside = within(i, image[0]) & within(j, image[1])
        else:
            inside = (within(h + down, image[0]) & within(w + right, image[1]))[:, None]
        if WHOLE:
            a = tl.load(dy + (dy_at[:, None] + dy_rows[None, :]))
        else:
            a = tl.load(
                dy + (dy_at[:, None] + dy_rows[None, :]), mask=(lanes < left)[:, None], other=0.0
            )
            inside = inside & (lanes < left)[:, None]
        b = tl.load(x + (x_at[:, None] + x_cols[None, :]), mask=inside, other=0.0)
        acc = tl.dot(tl.trans(a), b, acc, input_precision=PRECISION, out_dtype=ACC)
        # BLOCK_DEPTH pixels on: the columns overflow into rows, and these into images
        left -= BLOCK_DEPTH
        w += carry[0]
        over = w >= plane[1] * stride[1]
        w = tl.where(over, w - plane[1] * stride[1], w)
        h += carry[1]
        h = tl.where(over, h + stride[0], h)
        x_at = tl.where(over, x_at + x_carry[1], x_at)
        dy_at = tl.where(over, dy_at + dy_carry[1], dy_at)
        over = h >= plane[0] * stride[0]
        h = tl.where(over, h - plane[0] * stride[0], h)
        x_at = tl.where(over, x_at + x_carry[2], x_at) + x_carry[0]
        dy_at = tl.where(over, dy_at + dy_carry[2], dy_at) + dy_carry[0]

    kept = (k < filters)[:, None] & columns_inside[None, :]
    k = group * filters + k
    if workspace is None:
        at = c.to(tl.int64) * dw_steps[1] + r * dw_steps[2] + s * dw_steps[3]
        dw_tile = dw + (k * dw_steps[0])[:, None] + at[None, :]
        tl.store(dw_tile, acc.to(dw.dtype.element_ty), mask=kept)
    else:
        k += split.to(tl.int64) * all_filters
        tl.store(workspace + (k * columns)[:, None] + column[None, :], acc, mask=kept)


@triton.jit
def _add_splits(
    workspace, dw, dw_steps, elements, channels, taps, splits, ACC: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = i < elements
    acc = tl.zeros((BLOCK,), ACC)
    for split in range(splits):
        at = workspace + split.to(tl.int64) * elements + i
        acc += tl.load(at, mask=inside, other=0.0)
    c, tap = i % channels, i // channels
    s, tap = tap % taps[1], tap // taps[1]
    r, k = tap % taps[0], tap // taps[0]
    at = k * dw_steps[0] + c * dw_steps[1] + r * dw_steps[2] + s * dw_steps[3]
    tl.store(dw + at, acc.to(dw.dtype.element_ty), mask=inside)


# --- on the host ----------------------------------------------------------------------------------


def tile(rows: int, cols: int, depth: int) -> dict[str, int]:
    return {"BLOCK_ROWS": rows, "BLOCK_COLS": cols, "BLOCK_DEPTH": depth}


WGRAD = Configurations(
    "conv2d_implicit_gemm_wgrad.wgrad",
    Config(tile(128, 256, 64), 8, 3, dtypes=HALVES),
    Config(tile(128, 128, 64), 4, 3, dtypes=HALVES),
    Config(tile(64, 256, 64), 4, 3, dtypes=HALVES),
    Config(tile(64, 64, 32), 4, 3, dtypes=HALVES),
    Config(tile(128, 128, 16), 8, 3, dtypes=SINGLE),
    Config(tile(64, 64, 16), 4, 3, dtypes=SINGLE),
    Config(tile(32, 32, 16), 4, 3, dtypes=SINGLE),
    Config(tile(64, 64, 16), 4, 3, dtypes=DOUBLE),
    Config(tile(32, 32, 16), 4, 3, dtypes=DOUBLE),
)
_PROGRAMS = 2 * 132  # as many as the SMs of an H100 hold at a time
_LEAST_STEPS = 4  # in a split
_BLOCK = 1024


class Plan(NamedTuple):
    """How a tile covers a gradient."""

    tiles: tuple[int, int]
    flat: bool
    splits: int
    steps: int  # in a split


def _plan(config: Config, g: Conv2dGeometry) -> Plan:
    rows, cols, depth = config.tiles.values()
    channels, taps = g.C // g.G, g.R * g.S
    flat, by_taps = triton.cdiv(taps * channels, cols), taps * triton.cdiv(channels, cols)
    is_flat = 2 * by_taps >= 3 * flat  # else the simpler bounds are worth the wider tiles
    tiles = triton.cdiv(g.K // g.G, rows), flat if is_flat else by_taps
    steps = triton.cdiv(g.N * g.P * g.Q, depth)
    wanted = _PROGRAMS // (g.G * tiles[0] * tiles[1])
    split_steps = triton.cdiv(steps, max(min(wanted, steps // _LEAST_STEPS), 1))
    return Plan(tiles, is_flat, triton.cdiv(steps, max(split_steps, 1)) or 1, split_steps)


def _estimated_cycles(config: Config, g: Conv2dGeometry, dtype: Any) -> float:
    rows, cols, _ = config.tiles.values()
    (row_tiles, col_tiles), _, splits, steps = _plan(config, g)
    groups = g.G * splits
    return estimated_cycles(config, dtype, groups, row_tiles * rows, col_tiles * cols, steps)


def _carries(
    g: Conv2dGeometry, pixels: int, x_steps: tuple[int, ...], dy_steps: tuple[int, ...]
) -> tuple[tuple[int, int], tuple[int, ...], tuple[int, ...]]:
    """What `pixels` pixels on add to (w, h), and to the offsets in x and in dy: always, where the
    columns overflow, and where the rows do."""
    p, q = pixels // g.Q % g.P, pixels % g.Q
    n = pixels // (g.P * g.Q)

    def of(image: int, row: int, column: int) -> tuple[int, ...]:
        return n * image + p * row + q * column, row - g.Q * column, image - g.P * row

    return (
        (q * g.stride_w, p * g.stride_h),
        of(x_steps[0], g.stride_h * x_steps[2], g.stride_w * x_steps[3]),
        of(dy_steps[0], dy_steps[2], dy_steps[3]),
    )


def conv2d_wgrad_implicit_gemm(
    x: Array, dy: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None
) -> None:
    g = geometry
    if out.size == 0:
        return
    config = WGRAD.choose(
        out.dtype, g.values, lambda config: _estimated_cycles(config, g, out.dtype)
    )
    tiles, flat, splits, steps = _plan(config, g)
    deep, acc = config.tiles["BLOCK_DEPTH"], accumulator(out.dtype)
    workspace = None
    if splits > 1:
        dtype = np.dtype("float64" if out.dtype == np.float64 else "float32")
        workspace = empty((splits * out.size,), dtype, device=device_of(out))
    reach = g.P * g.stride_h + g.pad_top, g.Q * g.stride_w + g.pad_left
    index = index_type(
        ((g.N + deep, g.C // g.G, *reach), strides(x)),
        ((g.N + deep, g.K // g.G, g.P, g.Q), strides(dy)),
    )
    launch(
        _wgrad, (g.G * splits * tiles[0] * tiles[1],),
        x, dy, out, workspace, strides(x), strides(dy), strides(out),
        g.N * g.P * g.Q, (g.H, g.W), (g.P, g.Q), g.C // g.G, g.K // g.G, g.K, (g.R, g.S),
        g.stride, (-g.pad_top, -g.pad_left), g.dilation,
        *_carries(g, deep, strides(x), strides(dy)), tiles, splits, steps,
        FLAT=flat, WHOLE=g.N * g.P * g.Q % deep == 0,
        ACC=acc, INDEX=index, PRECISION=input_precision(out.dtype),
        **config.tiles, **config.options,
    )  # fmt: skip
    if workspace is not None:
        launch(
            _add_splits, (triton.cdiv(out.size, _BLOCK),),
            workspace, out, strides(out), out.size, g.C // g.G, (g.R, g.S), splits,
            ACC=acc, BLOCK=_BLOCK,
        )  # fmt: skip
