"""Convolution as one matrix product whose left factor is never written: implicit GEMM.

Computes   y[n,k,p,q] = sum_{r,s,c} x[n, c, p*Sh - top + r*Dh, q*Sw - left + s*Dw] * w[k,c,r,s]
           per group, then the epilogue. Rows are the pixels (n,p,q), columns a group's filters k,
           and the depth runs over the taps (r,s) with the channels c innermost
Arrays     x (N,C,H,W)  w (K,C/G,R,S)  y (N,K,P,Q); f16/bf16/f32/f64, any strides; channels-last
           x and w are read 16 bytes at a time where C is a multiple of 8 (f32: 4)
Grid       (G * row tiles * column tiles,), columns fastest: programs that run together read the
           same pixels, and all of them the filters, from L2
Tiling     BLOCK_ROWS x BLOCK_COLS sums in registers, BLOCK_DEPTH of both factors a step through
           num_stages buffers of shared memory. Per row: a pointer to its first pixel and that
           pixel's coordinates, computed once; per step: one scalar offset, two bounds a row.
           FLAT, for few channels: (r,s,c) is one axis and every element has bounds of its own.
           SWAP, for few columns: the product is transposed, so that pixels are its wide side
Traffic    vgg.c3_2 (56x56x256 -> 256, 3x3, N=32, bf16): 104 MB, 118 GFLOP: 1100 FLOP/byte,
           tensor cores; x crosses L2 nine times, once a tap, for every BLOCK_COLS filters
Numerics   f32 accumulator (f64: f64), taps in the order (r,s), one rounding at the store; f32
           operands are multiplied as precision.py says. What lies over padding is multiplied as a
           zero, the filters being shared by all rows of a tile: an infinite or NaN filter makes NaN
           where it lies over padding
Refuses    nothing
Source     Chetlur et al. 2014, arXiv:1410.0759, section 3
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import triton
import triton.language as tl

from ..array import Array
from ..dispatch import Epilogue
from ..geometry import Conv2dGeometry
from .epilogue import activation, arguments, finish, word
from .launch import launch
from .numbers import accumulator, counted
from .precision import input_precision
from .strided import strides, units
from .tuning import Config, Configurations

# --- on the device --------------------------------------------------------------------------------


@triton.jit
def pixels(first, lanes, height, width):
    """(n, i, j) of the pixels first + lanes of images of height x width."""
    line = first // width  # 64-bit division for the first pixel alone
    j = (first % width).to(tl.int32) + lanes
    i = (line % height).to(tl.int32) + j // width
    return (line // height).to(tl.int32) + i // height, i % height, j % width


@triton.jit
def within(i, size):
    """0 <= i < size, in one comparison: a negative number is a large unsigned one."""
    return i.to(tl.uint32, bitcast=True) < size


@triton.jit
def gathered_product(
    x, x_rows, h, w, height, width, x_c, x_h, x_w,
    filters, f_cols, f_c, f_r, f_s,
    channels, taps_h, taps_w, tap_h, tap_w,
    FLAT: tl.constexpr, WHOLE: tl.constexpr, SWAP: tl.constexpr,
    ACC: tl.constexpr, INDEX: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK_COLS: tl.constexpr, BLOCK_DEPTH: tl.constexpr,
):  # fmt: skip
    """(BLOCK_ROWS, BLOCK_COLS) sums over taps (r,s) and channels c of
    x[h + r*tap_h, w + s*tap_w, c] * filters[c, r, s].

    x (ROWS,) points at each row's pixel (h, w) (ROWS,), which may lie outside [0, height) x
    [0, width) where it reads zeros; height (ROWS,) is 0 in a row that does not exist. filters
    (COLS,) points at each column's first tap; strides may have any sign."""
    acc = tl.zeros((BLOCK_COLS, BLOCK_ROWS) if SWAP else (BLOCK_ROWS, BLOCK_COLS), ACC)
    lanes = tl.arange(0, BLOCK_DEPTH)
    if FLAT:
        depth = taps_h * taps_w * channels
        for first in range(0, depth, BLOCK_DEPTH):
            d = first + lanes
            c = (d % channels).to(tl.int64)
            tap = d // channels
            r, s = tap // taps_w, tap % taps_w
            i, j = h[:, None] + (r * tap_h)[None, :], w[:, None] + (s * tap_w)[None, :]
            inside = within(i, height[:, None]) & within(j, width) & (d < depth)[None, :]
            x_at = (r * tap_h).to(tl.int64) * x_h + (s * tap_w).to(tl.int64) * x_w + c * x_c
            f_at = r.to(tl.int64) * f_r + s.to(tl.int64) * f_s + c * f_c
            a = tl.load(x + x_rows[:, None] + x_at[None, :], mask=inside, other=0.0)
            b = tl.load(
                filters + f_cols[None, :] + f_at[:, None], mask=(d < depth)[:, None], other=0.0
            )
            if SWAP:
                a, b = tl.trans(b), tl.trans(a)
            acc = tl.dot(a, b, acc, input_precision=PRECISION, out_dtype=ACC)
    else:
        x_tile = x_rows[:, None] + (lanes.to(INDEX) * x_c)[None, :]
        f_tile = f_cols[None, :] + (lanes.to(INDEX) * f_c)[:, None]
        outside = tl.zeros((BLOCK_ROWS,), tl.int32)  # bits: the taps r, s that miss a row's image
        for t in range(taps_h):
            outside |= tl.where(within(h + t * tap_h, height), 0, 1 << t)
        for t in range(taps_w):
            outside |= tl.where(within(w + t * tap_w, width), 0, 1 << 16 << t)
        r, s, c = tl.full((), 0, tl.int32), tl.full((), 0, tl.int32), tl.full((), 0, tl.int32)
        for _ in range(taps_h * taps_w * tl.cdiv(channels, BLOCK_DEPTH)):
            r_at, s_at, c_at = (r * tap_h).to(tl.int64), (s * tap_w).to(tl.int64), c.to(tl.int64)
            x_step = x + (r_at * x_h + s_at * x_w + c_at * x_c) + x_tile
            f_step = filters + (r.to(tl.int64) * f_r + s.to(tl.int64) * f_s + c_at * f_c) + f_tile
            inside = (outside & ((1 << r) | (1 << 16 << s)))[:, None] == 0
            if WHOLE:
                a = tl.load(x_step, mask=inside, other=0.0)
                b = tl.load(f_step)
            else:
                deep = lanes < channels - c
                a = tl.load(x_step, mask=inside & deep[None, :], other=0.0)
                b = tl.load(f_step, mask=deep[:, None], other=0.0)
            if SWAP:
                a, b = tl.trans(b), tl.trans(a)
            acc = tl.dot(a, b, acc, input_precision=PRECISION, out_dtype=ACC)
            # the next block of channels, else the next tap: without a division
            c += BLOCK_DEPTH
            s = tl.where(c < channels, s, s + 1)
            c = tl.where(c < channels, c, 0)
            r = tl.where(s < taps_w, r, r + 1)
            s = tl.where(s < taps_w, s, 0)
    if SWAP:
        return tl.trans(acc)
    else:
        return acc


@triton.jit
def _implicit_gemm(
    x, filters, y, x_steps, f_steps, y_steps, vectors, vector_steps, residual, residual_steps,
    rows, plane, image, channels, cols, taps, step, origin, tap, tiles,
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
    n, p, q = pixels(first, lanes, plane[0], plane[1])
    h, w = p * step[0] + origin[0], q * step[1] + origin[1]
    x += group * channels * x_steps[1]
    x_rows = n.to(INDEX) * x_steps[0] + h.to(INDEX) * x_steps[2] + w.to(INDEX) * x_steps[3]

    k = col_tile * BLOCK_COLS + tl.arange(0, BLOCK_COLS)
    # past the last filter the first ones' sums are computed again, and not stored
    f_cols = (k % cols).to(INDEX) * f_steps[1]
    acc = gathered_product(
        x, x_rows, h, w, tl.where(rows_inside, image[0], 0), image[1],
        x_steps[1], x_steps[2], x_steps[3],
        filters + group * f_steps[0], f_cols, f_steps[2], f_steps[3], f_steps[4],
        channels, taps[0], taps[1], tap[0], tap[1],
        FLAT, WHOLE, SWAP, ACC, INDEX, PRECISION, BLOCK_ROWS, BLOCK_COLS, BLOCK_DEPTH,
    )  # fmt: skip
    store_pixels(
        acc, y, y_steps, n, p, q, group, col_tile * BLOCK_COLS, cols, rows_inside,
        vectors, vector_steps, residual, residual_steps, ACTIVATION, INDEX,
    )  # fmt: skip


@triton.jit
def halves(a):
    """The left and the right half of a tile's columns."""
    parts = tl.reshape(a, (a.shape[0], 2, a.shape[1] // 2))
    return tl.split(tl.permute(parts, (0, 2, 1)))


@triton.jit
def store_pixels(
    acc, y, y_steps, n, p, q, group, first, cols, rows_inside,
    vectors, vector_steps, residual, residual_steps,
    ACTIVATION: tl.constexpr, INDEX: tl.constexpr,
):  # fmt: skip
    """y[n,k,p,q] = the epilogue of acc; n, p, q are the rows' pixels, columns begin with filter
    `first` of the group."""
    BLOCK_COLS: tl.constexpr = acc.shape[1]
    if residual is not None and BLOCK_COLS >= 64:
        # half the residual at a time, or there are too few registers for it
        left, right = halves(acc)
        store_pixels_of(
            left, y, y_steps, n, p, q, group, first, cols, rows_inside,
            vectors, vector_steps, residual, residual_steps, ACTIVATION, INDEX,
        )  # fmt: skip
        store_pixels_of(
            right, y, y_steps, n, p, q, group, first + BLOCK_COLS // 2, cols, rows_inside,
            vectors, vector_steps, residual, residual_steps, ACTIVATION, INDEX,
        )  # fmt: skip
    else:
        store_pixels_of(
            acc, y, y_steps, n, p, q, group, first, cols, rows_inside,
            vectors, vector_steps, residual, residual_steps, ACTIVATION, INDEX,
        )  # fmt: skip


@triton.jit
def store_pixels_of(
    acc, y, y_steps, n, p, q, group, first, cols, rows_inside,
    vectors, vector_steps, residual, residual_steps,
    ACTIVATION: tl.constexpr, INDEX: tl.constexpr,
):  # fmt: skip
    k = first + tl.arange(0, acc.shape[1])
    inside = rows_inside[:, None] & (k < cols)[None, :]
    channels = group * cols + k
    at = n.to(INDEX) * residual_steps[0] + p.to(INDEX) * residual_steps[2]
    at = (at + q.to(INDEX) * residual_steps[3])[:, None]
    at = at + (channels * residual_steps[1])[None, :]
    acc = finish(
        acc, vectors, vector_steps, channels, k < cols, residual, at, inside, ACTIVATION
    )  # fmt: skip
    at = n.to(INDEX) * y_steps[0] + p.to(INDEX) * y_steps[2] + q.to(INDEX) * y_steps[3]
    y_tile = y + group * cols * y_steps[1] + at[:, None] + (k.to(INDEX) * y_steps[1])[None, :]
    tl.store(y_tile, acc.to(y.dtype.element_ty), mask=inside)


# --- on the host ----------------------------------------------------------------------------------

HALVES, SINGLE, DOUBLE = ("float16", "bfloat16"), ("float32",), ("float64",)


def tile(rows: int, cols: int, depth: int, swap: bool = False) -> dict[str, Any]:
    return {"BLOCK_ROWS": rows, "BLOCK_COLS": cols, "BLOCK_DEPTH": depth, "SWAP": swap}


# of every kernel that ends in a gathered product: they differ in a few scalars before it
TILES = (
    Config(tile(128, 256, 64), 8, 3, dtypes=HALVES),
    Config(tile(128, 128, 64), 4, 3, archs=(90,), dtypes=HALVES),
    Config(tile(128, 128, 64), 8, 3, archs=(80,), dtypes=HALVES),
    Config(tile(256, 64, 64, swap=True), 8, 3, archs=(90,), dtypes=HALVES),
    Config(tile(128, 64, 64), 8, 3, archs=(80,), dtypes=HALVES),
    Config(tile(64, 32, 32), 4, 3, dtypes=HALVES),
    Config(tile(128, 128, 16), 8, 3, dtypes=SINGLE),
    Config(tile(64, 64, 16), 4, 3, dtypes=SINGLE),
    Config(tile(64, 32, 32), 4, 2, dtypes=SINGLE),
    Config(tile(64, 64, 16), 4, 3, dtypes=DOUBLE),
    Config(tile(32, 32, 16), 4, 3, dtypes=DOUBLE),
)
IMPLICIT_GEMM = Configurations("conv2d_implicit_gemm.implicit_gemm", *TILES)

_MULTIPLY_ADDS = {"float32": 128, "float64": 128}  # per cycle and SM; the halves' 2048
_FLAT_TILE = 64 * 32  # larger ones, read number by number, do not fit the registers
_SMS, _L2_BYTES, _PROLOGUE = 132, 64, 1000  # of an H100; bytes per cycle and SM; cycles


def depth_walk(config: Config, taps: tuple[int, int], channels: int) -> tuple[int, dict[str, bool]]:
    """(steps, how they go): FLAT where blocks of channels would take twice as many, or the taps of
    an axis have no bits; WHOLE where blocks hold no channel too many."""
    block, count = config.tiles["BLOCK_DEPTH"], taps[0] * taps[1]
    by_blocks, flat = count * triton.cdiv(channels, block), triton.cdiv(count * channels, block)
    is_flat = by_blocks >= 2 * flat > 0 or max(taps) > 16
    return flat if is_flat else by_blocks, {"FLAT": is_flat, "WHOLE": channels % block == 0}


def estimated_cycles(
    config: Config, dtype: Any, groups: int, rows: int, cols: int, steps: int
) -> float:
    """Waves of programs times what a program takes: the slower of its products and its reads."""
    block_rows, block_cols = config.tiles["BLOCK_ROWS"], config.tiles["BLOCK_COLS"]
    depth = config.tiles["BLOCK_DEPTH"]
    programs = groups * triton.cdiv(rows, block_rows) * triton.cdiv(cols, block_cols)
    products = block_rows * block_cols * depth / _MULTIPLY_ADDS.get(str(dtype), 2048)
    reads = (block_rows + block_cols) * depth * dtype.itemsize / _L2_BYTES
    written = block_rows * block_cols * dtype.itemsize / _L2_BYTES
    program = steps * (max(products, reads) + 20) + written + _PROLOGUE
    return triton.cdiv(programs, _SMS) * program


def index_type(*spans: tuple[Sequence[int], Sequence[int]]) -> Any:
    """The type for offsets in arrays whose indices stay within these bounds, each given with its
    strides."""
    reach = [sum(n * abs(step) for n, step in zip(*span, strict=True)) for span in spans]
    return tl.int64 if max(reach) >= 2**31 else tl.int32


def plan(
    configs: Configurations,
    dtype: Any,
    key: tuple[Any, ...],
    groups: int,
    rows: int,
    cols: int,
    taps: tuple[int, int],
    channels: int,
) -> tuple[tuple[int, int], dict[str, Any]]:
    """((row tiles, column tiles), the constants and options) to launch `groups` products of `rows`
    x `cols` over R x S `taps` of `channels`."""

    def cost(config: Config) -> float:
        steps, walk = depth_walk(config, taps, channels)
        size = config.tiles["BLOCK_ROWS"] * config.tiles["BLOCK_COLS"]
        if (walk["FLAT"] or cols % 8) and size > _FLAT_TILE:
            return math.inf
        return estimated_cycles(config, dtype, groups, rows, cols, steps)

    config = configs.choose(dtype, key, cost)
    _, walk = depth_walk(config, taps, channels)
    constants = {
        "ACC": accumulator(dtype),
        "PRECISION": input_precision(dtype),
        **walk,
        **config.tiles,
        **config.options,
    }
    tiles = (
        triton.cdiv(rows, config.tiles["BLOCK_ROWS"]),
        triton.cdiv(cols, config.tiles["BLOCK_COLS"]),
    )
    return tiles, constants


def conv2d_fprop_implicit_gemm(
    x: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    g = geometry
    filters = strides(w)
    convolve(
        x, w, out, ("fprop", g), epilogue,
        (g.K // g.G * filters[0], *filters), g.G, g.C // g.G, g.K // g.G, (g.R, g.S),
        step=g.stride, origin=(-g.pad_top, -g.pad_left), tap=g.dilation,
    )  # fmt: skip


def convolve(
    x: Array,
    w: Array,
    y: Array,
    key: tuple[Any, ...],
    epilogue: Epilogue | None,
    filter_steps: tuple[int, ...],
    groups: int,
    channels: int,
    cols: int,
    taps: tuple[int, int],
    step: tuple[int, int],
    origin: tuple[int, int],
    tap: tuple[int, int],
) -> None:
    """y[n,k,p,q] = sum of x[n, c, p*step + origin + r*tap, ...] * w over the group's `channels` and
    the taps; filter_steps are w's strides from group to group, k to k, c to c, r to r, s to s."""
    images, _, height, width = y.shape
    rows = images * height * width
    layout = units(strides(x), filter_steps, strides(y))
    key = (*key, layout, word(epilogue))
    tiles, constants = plan(IMPLICIT_GEMM, y.dtype, key, groups, rows, cols, taps, channels)
    residual = None if epilogue is None else epilogue.residual
    deep = constants["BLOCK_DEPTH"]
    reach = [max(abs(o), abs(o + n * s)) for n, s, o in zip((height, width), step, origin)]
    index = index_type(
        ((images, deep, *reach), strides(x)),
        ((cols, deep), filter_steps[1:3]),
        (y.shape, strides(y)),
        *([] if residual is None else [(y.shape, strides(residual))]),
    )
    launch(
        _implicit_gemm, (groups * tiles[0] * tiles[1],),
        x, w, y, strides(x), filter_steps, strides(y), *arguments(epilogue),
        rows, (height, width), x.shape[2:], channels, cols, taps, step, origin, tap, tiles,
        ACTIVATION=activation(epilogue), INDEX=index, **constants,
    )  # fmt: skip
