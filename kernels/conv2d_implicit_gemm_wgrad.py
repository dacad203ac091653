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
           few channels, cuts (r,s,c) as one axis, and every element has bounds of its own. The
           pixels of a step are a block of images x lines x pixels of a line, chosen to cover the
           plane with little waste: all that changes from step to step are scalars
Traffic    vgg.c3_2 (56x56x256 -> 256, 3x3, N=32, bf16): 118 GFLOP over 103 MB, 1100 FLOP/byte,
           and 2.4 MB a split written and read
Numerics   f32 accumulator (f64: f64); a split sums its pixels in order, the splits are added in
           order: deterministic, no atomics; one rounding at the store
Refuses    nothing
Source     Chetlur et al. 2014, arXiv:1410.0759, section 3; split-K: Kerr et al. 2017 (CUTLASS)
"""

from __future__ import annotations

import math
from functools import lru_cache
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
)
from .launch import launch
from .numbers import accumulator
from .precision import input_precision
from .strided import strides, units
from .tuning import Config, Configurations


@triton.jit
def outside(first, low, high, WIDTH: tl.constexpr):
    """Bits 0 .. WIDTH-1: bit i is set where first + i is not in [low, high)."""
    low = tl.minimum(tl.maximum(low - first, 0), WIDTH)
    high = tl.minimum(tl.maximum(high - first, low), WIDTH)
    return (1 << WIDTH) - 1 - ((1 << high) - (1 << low))


@triton.jit
def span(tap, size, outputs, stride, pad, dilation):
    """[low, high): the outputs for which a tap reads inside the image."""
    offset = tap * dilation - pad
    low = (tl.maximum(-offset, 0) + stride - 1) // stride
    return low, tl.minimum((tl.maximum(size - offset, 0) + stride - 1) // stride, outputs)


@triton.jit
def _wgrad(
    x, dy, dw, workspace, x_steps, dy_steps, dw_steps,
    images, image, plane, channels, filters, all_filters, taps, stride, pad, dilation,
    blocks, steps, tiles, splits, split_steps,
    FLAT: tl.constexpr, WHOLE: tl.constexpr,
    IMAGES: tl.constexpr, LINES: tl.constexpr, LINE: tl.constexpr,
    ACC: tl.constexpr, INDEX: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK_COLS: tl.constexpr, BLOCK_DEPTH: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    col_tile, program = program % tiles[1], program // tiles[1]
    row_tile, program = program % tiles[0], program // tiles[0]
    split, group = program % splits, (program // splits).to(tl.int64)

    # the columns: (r, s, c) each, or one (r, s) for all
    columns = taps[0] * taps[1] * channels
    if FLAT:
        column = col_tile * BLOCK_COLS + tl.arange(0, BLOCK_COLS)
        columns_inside = column < columns
        c, tap = column % channels, column // channels
    else:
        c_tiles = tl.cdiv(channels, BLOCK_COLS)
        tap = col_tile // c_tiles
        c = col_tile % c_tiles * BLOCK_COLS + tl.arange(0, BLOCK_COLS)
        columns_inside = c < channels
        c = c % channels
        column = tap * channels + c
    r, s = tap // taps[1], tap % taps[1]
    top, bottom = span(r, image[0], plane[0], stride[0], pad[0], dilation[0])
    left, right = span(s, image[1], plane[1], stride[1], pad[1], dilation[1])
    x_cols = (r * dilation[0] - pad[0]).to(INDEX) * x_steps[2]
    x_cols += (s * dilation[1] - pad[1]).to(INDEX) * x_steps[3]
    x_cols = x_cols + c.to(INDEX) * x_steps[1]

    # the depth: blocks of IMAGES x LINES x LINE pixels of dy. A lane's place in its block is three
    # set bits, and a step has the bits that are outside: one AND decides a load
    lanes = tl.arange(0, BLOCK_DEPTH)
    image_of, line_of = lanes // (LINES * LINE), lanes // LINE % LINES
    place = (1 << image_of) | (1 << IMAGES << line_of) | (1 << IMAGES + LINES << lanes % LINE)
    n, p, q = image_of.to(INDEX), line_of.to(INDEX), (lanes % LINE).to(INDEX)
    x_lanes = n * x_steps[0] + p * stride[0] * x_steps[2] + q * stride[1] * x_steps[3]
    dy_lanes = n * dy_steps[0] + p * dy_steps[2] + q * dy_steps[3]

    k = row_tile * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    x_tile = x_lanes[:, None] + x_cols[None, :]
    dy_tile = dy_lanes[:, None] + ((k % filters).to(INDEX) * dy_steps[1])[None, :]
    x += group * channels * x_steps[1]
    dy += group * filters * dy_steps[1]

    start = split * split_steps
    q = start % blocks[1] * LINE
    p = start // blocks[1] % blocks[0] * LINES
    n = start // blocks[1] // blocks[0] * IMAGES
    acc = tl.zeros((BLOCK_ROWS, BLOCK_COLS), ACC)
    for _ in range(tl.minimum(steps - start, split_steps)):
        beyond = outside(n, 0, images, IMAGES)
        missed = outside(p, top, bottom, LINES) << IMAGES
        missed |= (outside(q, left, right, LINE) << IMAGES + LINES) | beyond
        at = (n.to(tl.int64) * x_steps[0] + (p * stride[0]).to(tl.int64) * x_steps[2]
              + (q * stride[1]).to(tl.int64) * x_steps[3])  # fmt: skip
        dy_at = n.to(tl.int64) * dy_steps[0] + p.to(tl.int64) * dy_steps[2]
        dy_at += q.to(tl.int64) * dy_steps[3]
        if FLAT:
            missed = tl.where(columns_inside, missed, -1)
            inside = (place[:, None] & missed[None, :]) == 0
            beyond |= outside(p, 0, plane[0], LINES) << IMAGES
            beyond |= outside(q, 0, plane[1], LINE) << IMAGES + LINES
            given = ((place & beyond) == 0)[:, None]
        else:
            inside = ((place & missed) == 0)[:, None]
            given = inside
        b = tl.load(x + at + x_tile, mask=inside, other=0.0)
        if WHOLE:
            a = tl.load(dy + dy_at + dy_tile)
        else:
            a = tl.load(dy + dy_at + dy_tile, mask=given, other=0.0)
        acc = tl.dot(tl.trans(a), b, acc, input_precision=PRECISION, out_dtype=ACC)
        q += LINE
        p = tl.where(q < plane[1], p, p + LINES)
        q = tl.where(q < plane[1], q, 0)
        n = tl.where(p < plane[0], n, n + IMAGES)
        p = tl.where(p < plane[0], p, 0)

    kept = (k < filters)[:, None] & columns_inside[None, :]
    k = group * filters + k
    if workspace is None:
        at = c.to(tl.int64) * dw_steps[1] + r * dw_steps[2] + s * dw_steps[3]
        tl.store(
            dw + (k * dw_steps[0])[:, None] + at[None, :], acc.to(dw.dtype.element_ty), mask=kept
        )
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
    at = workspace + i
    for _ in range(splits):
        acc += tl.load(at, mask=inside, other=0.0)
        at += elements
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
    Config(tile(128, 128, 64), 4, 3, archs=(90,), dtypes=HALVES),
    Config(tile(64, 256, 64), 4, 3, archs=(90,), dtypes=HALVES),
    Config(tile(64, 64, 32), 4, 3, archs=(90,), dtypes=HALVES),
    # an A100's mma keeps its operands in registers as well
    Config(tile(128, 128, 64), 8, 3, archs=(80,), dtypes=HALVES),
    Config(tile(64, 64, 32), 8, 3, archs=(80,), dtypes=HALVES),
    Config(tile(128, 128, 16), 8, 3, dtypes=SINGLE),
    Config(tile(64, 64, 16), 4, 3, dtypes=SINGLE),
    Config(tile(32, 32, 16), 4, 3, dtypes=SINGLE),
    Config(tile(64, 64, 16), 4, 3, dtypes=DOUBLE),
    Config(tile(32, 32, 16), 4, 3, dtypes=DOUBLE),
)
_PROGRAMS = 2 * 132  # as many as the SMs of an H100 hold at a time
_LEAST_STEPS = 3  # in a split
_BLOCK = 1024


class Plan(NamedTuple):
    """How a tile covers a gradient."""

    tiles: tuple[int, int]
    flat: bool
    block: tuple[int, int, int]  # of pixels: images, lines, pixels of a line
    blocks: tuple[int, int, int]
    splits: int
    split_steps: int


@lru_cache(maxsize=4096)
def _blocks(depth: int, sizes: tuple[int, int, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(the block of `depth` pixels that covers N x P x Q planes in the fewest blocks, how many they
    are along each axis); of equal ones the longest in its lines. Its places need 31 bits."""
    powers = [2**i for i in range(depth.bit_length())]
    shapes = [(depth // (b * c), b, c) for c in powers for b in powers if b * c <= depth]

    def count(shape: tuple[int, int, int]) -> tuple[int, ...]:
        return tuple(triton.cdiv(size, n) for size, n in zip(sizes, shape))

    fitting = [shape for shape in shapes if sum(shape) <= 31]
    best = min(fitting, key=lambda shape: (math.prod(count(shape)), -shape[2], -shape[1]))
    return best, count(best)


def _plan(config: Config, g: Conv2dGeometry) -> Plan:
    rows, cols, depth = config.tiles.values()
    channels, taps = g.C // g.G, g.R * g.S
    flat, by_taps = triton.cdiv(taps * channels, cols), taps * triton.cdiv(channels, cols)
    is_flat = 2 * by_taps >= 3 * flat  # else simpler bounds are worth more than full tiles
    tiles = triton.cdiv(g.K // g.G, rows), flat if is_flat else by_taps
    block, blocks = _blocks(depth, (g.N, g.P, g.Q))
    steps = math.prod(blocks)
    wanted = _PROGRAMS // (g.G * tiles[0] * tiles[1])
    split_steps = triton.cdiv(steps, max(min(wanted, steps // _LEAST_STEPS), 1))
    splits = triton.cdiv(steps, split_steps) if steps else 1
    return Plan(tiles, is_flat, block, blocks, splits, split_steps)


def _estimated_cycles(config: Config, g: Conv2dGeometry, dtype: Any) -> float:
    rows, cols, _ = config.tiles.values()
    plan = _plan(config, g)
    if plan.flat and rows * cols > 128 * 128:  # an offset for each column, and no registers left
        return math.inf
    covered = plan.tiles[0] * rows, plan.tiles[1] * cols
    return estimated_cycles(config, dtype, g.G * plan.splits, *covered, plan.split_steps)


def conv2d_wgrad_implicit_gemm(
    x: Array, dy: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None
) -> None:
    g = geometry
    if out.size == 0:
        return
    config = WGRAD.choose(
        out.dtype,
        (g, units(strides(x), strides(dy), strides(out))),
        lambda config: _estimated_cycles(config, g, out.dtype),
    )
    plan = _plan(config, g)
    acc = accumulator(out.dtype)
    workspace = None
    if plan.splits > 1:
        dtype = np.dtype("float64" if out.dtype == np.float64 else "float32")
        workspace = empty((plan.splits * out.size,), dtype, device=device_of(out))
    reach = g.H + g.pad_top + g.R * g.dilation_h, g.W + g.pad_left + g.S * g.dilation_w
    deep = config.tiles["BLOCK_DEPTH"]
    index = index_type(
        ((deep, g.C // g.G, *(n + deep * s for n, s in zip(reach, g.stride))), strides(x)),
        ((deep, g.K // g.G, deep, deep), strides(dy)),
    )
    launch(
        _wgrad, (g.G * plan.splits * plan.tiles[0] * plan.tiles[1],),
        x, dy, out, workspace, strides(x), strides(dy), strides(out),
        g.N, (g.H, g.W), (g.P, g.Q), g.C // g.G, g.K // g.G, g.K, (g.R, g.S),
        g.stride, (g.pad_top, g.pad_left), g.dilation,
        plan.blocks[1:], math.prod(plan.blocks), plan.tiles, plan.splits, plan.split_steps,
        FLAT=plan.flat, WHOLE=all(n % b == 0 for n, b in zip((g.N, g.P, g.Q), plan.block)),
        IMAGES=plan.block[0], LINES=plan.block[1], LINE=plan.block[2],
        ACC=acc, INDEX=index, PRECISION=input_precision(out.dtype),
        **config.tiles, **config.options,
    )  # fmt: skip
    if workspace is not None:
        launch(
            _add_splits, (triton.cdiv(out.size, _BLOCK),),
            workspace, out, strides(out), out.size, g.C // g.G, (g.R, g.S), plan.splits,
            ACC=acc, BLOCK=_BLOCK,
        )  # fmt: skip
