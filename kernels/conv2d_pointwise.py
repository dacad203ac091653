"""Pointwise (1x1) convolution, strided or not: a matrix product on the image where it lies.

Computes   y[n,k,p,q]  = epilogue(sum_c x[n, c, p*Sh, q*Sw] * w[k,c])
           dx[n,c,h,w] = epilogue(sum_k dy[n, k, h/Sh, w/Sw] * w[k,c]), epilogue(0) between strides
           dw[k,c]     = sum_{n,p,q} dy[n,k,p,q] * x[n, c, p*Sh, q*Sw]
Arrays     x (N,C,H,W)  w (K,C/G,1,1)  y (N,K,P,Q); f16/bf16/f32/f64; any strides
Grid       fprop, dgrad: (G * pixel tiles * channel tiles,), each program BLOCK_ROWS pixels x
           BLOCK_COLS channels; wgrad: (splits * G * tiles,), BLOCK_ROWS filters x BLOCK_COLS
           channels over one part of the pixels. Tiles in bands, as in gemm
Tiling     gemm's: the pixels n, p, q are the rows of a matrix, wherever they lie. A dense image
           is walked by one stride, a strided one by divisions once per program, or, in wgrad,
           once per BLOCK_DEPTH pixels
Traffic    x or dy is read once per column of tiles, w from L2. ResNet-50's 56x56 64 -> 256, N=32,
           bf16: 64 MB, 3.3 GFLOP, 51 FLOP/byte: bandwidth; 14x14 1024 -> 256: 203 FLOP/byte:
           arithmetic; unmeasured. A strided one reads the used pixels only
Numerics   sums in f32 (f64 for f64); f32 products as pycnn.set_float32_precision says; one
           rounding at the store. wgrad sums its parts in their order: no atomics, deterministic
Refuses    filters other than 1x1 without padding; 2**31 pixels or more
Source     Lin, Chen and Yan 2013, arXiv:1312.4400; split sums: Osama et al. 2023, arXiv:2301.03598
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import triton
import triton.language as tl

from .. import array
from ..array import Array
from ..dispatch import Epilogue
from ..dtypes import accumulation_dtype
from ..geometry import Conv2dGeometry
from .epilogue import activation, arguments, finish, has_residual, word
from .gemm import GROUP, TILES, product, tile_cost, tile_of
from .launch import launch
from .numbers import accumulator
from .precision import input_precision
from .strided import collapse, offset, strides, units
from .tuning import Config, Configurations

PIXELS = Configurations("conv2d_pointwise.pixels", *TILES)
WGRAD = Configurations("conv2d_pointwise.wgrad", *TILES)


# --- fprop, and dgrad of stride 1 -----------------------------------------------------------------


@triton.jit
def _pointwise_fprop(
    x, w, y, pixels, cols, depth, sizes, x_pixel, y_pixel, residual_pixel,
    x_steps, w_steps, y_steps, vectors, vector_steps, residual, residual_steps,
    AXES: tl.constexpr, ACTIVATION: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
    WHOLE: tl.constexpr, GROUP: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK_COLS: tl.constexpr, BLOCK_DEPTH: tl.constexpr,
):  # fmt: skip
    """`sizes` are the axes on which the pixels lie, ..._pixel an array's strides along them,
    ..._steps its strides along (group, channel), w's along (group, k, c)."""
    row_tiles, col_tiles = tl.cdiv(pixels, BLOCK_ROWS), tl.cdiv(cols, BLOCK_COLS)
    program = tl.program_id(0)
    group = (program // (row_tiles * col_tiles)).to(tl.int64)
    tile_row, tile_col = tile_of(program % (row_tiles * col_tiles), row_tiles, col_tiles, GROUP)
    pixel = tile_row * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    k = tile_col * BLOCK_COLS + tl.arange(0, BLOCK_COLS)
    pixel_inside, k_inside = pixel < pixels, k < cols
    channel = group * cols + k
    k = k.to(tl.int64)
    acc = product(
        x + group * x_steps[0] + offset(pixel, sizes, x_pixel, AXES), pixel_inside, x_steps[1],
        w + group * w_steps[0] + k * w_steps[1], k_inside, w_steps[2],
        depth, ACC, PRECISION, WHOLE, BLOCK_ROWS, BLOCK_COLS, BLOCK_DEPTH,
    )  # fmt: skip
    inside = pixel_inside[:, None] & k_inside[None, :]
    at = offset(pixel, sizes, residual_pixel, AXES)[:, None]
    at += (group * residual_steps[0] + k * residual_steps[1])[None, :]
    out = finish(acc, vectors, vector_steps, channel, k_inside, residual, at, inside, ACTIVATION)
    at = offset(pixel, sizes, y_pixel, AXES)[:, None]
    at += (group * y_steps[0] + k * y_steps[1])[None, :]
    tl.store(y + at, out.to(y.dtype.element_ty), mask=inside)


def multiply_pixels(
    x: Array,
    w: Array,
    w_steps: tuple[int, int, int],
    out: Array,
    groups: int,
    stride: tuple[int, int] = (1, 1),
    epilogue: Epilogue | None = None,
) -> None:
    """out (N, groups*cols, P, Q) = the pixels of x (N, groups*depth, H, W), `stride` apart, times
    w, whose strides along (group, col, depth) are given."""
    n, channels, p, q = out.shape
    pixels, cols, depth = n * p * q, channels // groups, x.shape[1] // groups
    vectors, vector_steps, residual, residual_steps = arguments(epilogue)
    x_steps, out_steps = strides(x), strides(out)
    sizes, (out_pixel, x_pixel, residual_pixel) = collapse(
        (n, p, q), _pixel(out_steps), _pixel(x_steps, stride), _pixel(residual_steps)
    )
    dtype = x.dtype
    layout = units(x_steps[1:2], x_pixel, w_steps[1:], out_steps[1:2], out_pixel)
    config = PIXELS.choose(
        dtype,
        ("fprop", groups, pixels, cols, depth, len(sizes), layout, word(epilogue)),
        lambda c: tile_cost(c, dtype, groups, pixels, cols, depth, has_residual(epilogue)),
    )
    rows, columns, step = (config.tiles[f"BLOCK_{name}"] for name in ("ROWS", "COLS", "DEPTH"))
    launch(
        _pointwise_fprop, (groups * triton.cdiv(pixels, rows) * triton.cdiv(cols, columns),),
        x, w, out, pixels, cols, depth, sizes, x_pixel, out_pixel, residual_pixel,
        (depth * x_steps[1], x_steps[1]), w_steps, (cols * out_steps[1], out_steps[1]),
        vectors, vector_steps, residual, (cols * residual_steps[1], residual_steps[1]),
        AXES=len(sizes), ACTIVATION=activation(epilogue), ACC=accumulator(dtype),
        PRECISION=input_precision(dtype), WHOLE=depth % step == 0, GROUP=GROUP,
        **config.tiles, **config.options,
    )  # fmt: skip


def _pixel(steps: tuple[int, ...], stride: tuple[int, int] = (1, 1)) -> tuple[int, int, int]:
    """An image's strides along (n, p, q), pixels `stride` apart."""
    return steps[0], steps[2] * stride[0], steps[3] * stride[1]


def _filter_steps(w: Array, g: Conv2dGeometry) -> tuple[int, int, int]:
    """w's strides along (group, k, c)."""
    k, c = strides(w)[:2]
    return g.K // g.G * k, k, c


def conv2d_fprop_pointwise(
    x: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    g = geometry
    multiply_pixels(x, w, _filter_steps(w, g), out, g.G, g.stride, epilogue)


# --- dgrad ----------------------------------------------------------------------------------------


@triton.jit
def _pointwise_dgrad(
    dy, w, dx, pixels, cols, depth, H, W, P, Q, stride_h, stride_w,
    dy_steps, w_steps, dx_steps, vectors, vector_steps, residual, residual_steps,
    ACTIVATION: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr, WHOLE: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK_COLS: tl.constexpr, BLOCK_DEPTH: tl.constexpr,
):  # fmt: skip
    """A pixel of dy gives the first pixel of its stride_h x stride_w block of dx; the program
    also stores the others, which no output reads."""
    row_tiles, col_tiles = tl.cdiv(pixels, BLOCK_ROWS), tl.cdiv(cols, BLOCK_COLS)
    program = tl.program_id(0)
    group = (program // (row_tiles * col_tiles)).to(tl.int64)
    tile_row, tile_col = tile_of(program % (row_tiles * col_tiles), row_tiles, col_tiles, GROUP)
    pixel = tile_row * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    c = tile_col * BLOCK_COLS + tl.arange(0, BLOCK_COLS)
    pixel_inside, c_inside = pixel < pixels, c < cols
    channel = group * cols + c
    n, p, q = (pixel // (P * Q)).to(tl.int64), pixel // Q % P, pixel % Q
    at = n * dy_steps[0] + p.to(tl.int64) * dy_steps[2] + q.to(tl.int64) * dy_steps[3]
    sums = product(
        dy + group * depth * dy_steps[1] + at, pixel_inside, dy_steps[1],
        w + group * w_steps[0] + c.to(tl.int64) * w_steps[2], c_inside, w_steps[1],
        depth, ACC, PRECISION, WHOLE, BLOCK_ROWS, BLOCK_COLS, BLOCK_DEPTH,
    )  # fmt: skip
    for down in range(stride_h):
        for across in range(stride_w):
            h, v = p * stride_h + down, q * stride_w + across
            inside = (pixel_inside & (h < H) & (v < W))[:, None] & c_inside[None, :]
            h, v = h.to(tl.int64), v.to(tl.int64)
            read = (h == p.to(tl.int64) * stride_h) & (v == q.to(tl.int64) * stride_w)
            acc = tl.where(read[:, None], sums, 0.0)
            from_pixel = n * residual_steps[0] + h * residual_steps[2] + v * residual_steps[3]
            residual_at = from_pixel[:, None] + (channel * residual_steps[1])[None, :]
            out = finish(
                acc, vectors, vector_steps, channel, c_inside, residual, residual_at, inside,
                ACTIVATION,
            )  # fmt: skip
            from_pixel = n * dx_steps[0] + h * dx_steps[2] + v * dx_steps[3]
            dx_at = from_pixel[:, None] + (channel * dx_steps[1])[None, :]
            tl.store(dx + dx_at, out.to(dx.dtype.element_ty), mask=inside)


def conv2d_dgrad_pointwise(
    dy: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    g, dtype = geometry, dy.dtype
    group, k, c = _filter_steps(w, g)
    if g.stride == (1, 1):  # fprop with the transposed filter
        multiply_pixels(dy, w, (group, c, k), out, g.G, epilogue=epilogue)
        return
    pixels, cols, depth = g.N * g.P * g.Q, g.C // g.G, g.K // g.G
    layout = units(strides(dy), (k, c), strides(out))
    config = PIXELS.choose(
        dtype,
        ("dgrad", g.G, pixels, cols, depth, g.stride, layout, word(epilogue)),
        lambda c: tile_cost(c, dtype, g.G, pixels, cols, depth, crowded=True, spread=True),
    )
    rows, columns, step = (config.tiles[f"BLOCK_{name}"] for name in ("ROWS", "COLS", "DEPTH"))
    launch(
        _pointwise_dgrad, (g.G * triton.cdiv(pixels, rows) * triton.cdiv(cols, columns),),
        dy, w, out, pixels, cols, depth, g.H, g.W, g.P, g.Q, *g.stride,
        strides(dy), (group, k, c), strides(out), *arguments(epilogue),
        ACTIVATION=activation(epilogue), ACC=accumulator(dtype),
        PRECISION=input_precision(dtype), WHOLE=depth % step == 0, GROUP=GROUP,
        **config.tiles, **config.options,
    )  # fmt: skip


# --- wgrad ----------------------------------------------------------------------------------------


@triton.jit
def _pointwise_wgrad(
    dy, x, dw, groups, rows, cols, pixels, part, sizes, dy_pixel, x_pixel,
    dy_steps, x_steps, dw_steps,
    AXES: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr, WHOLE: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK_COLS: tl.constexpr, BLOCK_DEPTH: tl.constexpr,
):  # fmt: skip
    """`part` pixels, a multiple of BLOCK_DEPTH, make one sum; dw_steps are dw's strides along
    (part, group, k, c). WHOLE: the pixels are a multiple of BLOCK_DEPTH."""
    row_tiles, col_tiles = tl.cdiv(rows, BLOCK_ROWS), tl.cdiv(cols, BLOCK_COLS)
    program = tl.program_id(0)
    tile_row, tile_col = tile_of(program % (row_tiles * col_tiles), row_tiles, col_tiles, GROUP)
    matrix = program // (row_tiles * col_tiles)
    group, split = (matrix % groups).to(tl.int64), matrix // groups
    k = tile_row * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    c = tile_col * BLOCK_COLS + tl.arange(0, BLOCK_COLS)
    k_inside, c_inside = k < rows, c < cols
    k, c = k.to(tl.int64), c.to(tl.int64)
    dy_channel = (dy + group * dy_steps[0] + k * dy_steps[1])[:, None]
    x_channel = (x + group * x_steps[0] + c * x_steps[1])[None, :]
    acc = tl.zeros((BLOCK_ROWS, BLOCK_COLS), ACC)
    for start in range(split * part, tl.minimum((split + 1) * part, pixels), BLOCK_DEPTH):
        pixel = start + tl.arange(0, BLOCK_DEPTH)
        dy_mask, x_mask = k_inside[:, None], c_inside[None, :]
        if not WHOLE:
            dy_mask = dy_mask & (pixel < pixels)[None, :]
            x_mask = x_mask & (pixel < pixels)[:, None]
        at = offset(pixel, sizes, dy_pixel, AXES)[None, :]
        left = tl.load(dy_channel + at, mask=dy_mask, other=0.0)
        at = offset(pixel, sizes, x_pixel, AXES)[:, None]
        right = tl.load(x_channel + at, mask=x_mask, other=0.0)
        acc = tl.dot(left, right, acc, input_precision=PRECISION, out_dtype=ACC)
    at = (split.to(tl.int64) * dw_steps[0] + group * dw_steps[1] + k * dw_steps[2])[:, None]
    at += (c * dw_steps[3])[None, :]
    tl.store(dw + at, acc.to(dw.dtype.element_ty), mask=k_inside[:, None] & c_inside[None, :])


@triton.jit
def _sum_parts(
    parts, dw, count, elements, sizes, steps, AXES: tl.constexpr, ACC: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """dw = the sum of `count` dense arrays, in their order; dw lies on the axes `sizes`."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = i < elements
    acc = tl.zeros((BLOCK,), ACC)
    at = parts + i
    for _ in range(count):
        acc += tl.load(at, mask=inside, other=0.0)
        at += elements
    tl.store(dw + offset(i, sizes, steps, AXES), acc.to(dw.dtype.element_ty), mask=inside)


class Split(NamedTuple):
    """How wgrad shares the pixels out: `count` parts of `pixels`, and with which tile."""

    config: Config
    pixels: int
    count: int


def split(
    dtype: np.dtype, groups: int, rows: int, cols: int, pixels: int, layout: tuple[Any, ...]
) -> Split:
    """The split of a sum over `pixels` into (groups, rows, cols): two waves of programs or so,
    each at least eight steps long. `layout`: how the operands lie, for the tuning key."""

    def parts(config: Config) -> Split:
        tile_rows, tile_cols, step = (
            config.tiles[f"BLOCK_{name}"] for name in ("ROWS", "COLS", "DEPTH")
        )
        tiles = groups * triton.cdiv(rows, tile_rows) * triton.cdiv(cols, tile_cols)
        steps = max(triton.cdiv(pixels, step), 1)
        count = max(min(2 * 132 // max(tiles, 1), steps // 8), 1)
        part = triton.cdiv(steps, count) * step
        return Split(config, part, max(triton.cdiv(pixels, part), 1))

    def cost(config: Config) -> float:
        _, part, count = parts(config)
        # every part is written and read once more, by all processors together
        summing = 0 if count == 1 else 2000 + groups * rows * cols * count * 8 / (132 * 20)
        return tile_cost(config, dtype, groups * count, rows, cols, part) + summing

    return parts(WGRAD.choose(dtype, (groups, rows, cols, pixels, *layout), cost))


def multiply_channels(
    dy: Array,
    x: Array,
    dw: Array,
    dw_steps: tuple[int, int, int, int],
    groups: int,
    how: Split,
    stride: tuple[int, int] = (1, 1),
) -> None:
    """dw[part, k, c] = the sum over a part of the pixels of dy (N, groups*rows, P, Q) times x
    (N, groups*cols, H, W), pixels `stride` apart; dw's strides along (part, group, k, c) are
    given."""
    n, channels, p, q = dy.shape
    rows, cols, pixels = channels // groups, x.shape[1] // groups, n * p * q
    config, part, count = how
    dy_steps, x_steps = strides(dy), strides(x)
    sizes, (dy_pixel, x_pixel) = collapse((n, p, q), _pixel(dy_steps), _pixel(x_steps, stride))
    tile_rows, tile_cols, step = (
        config.tiles[f"BLOCK_{name}"] for name in ("ROWS", "COLS", "DEPTH")
    )
    tiles = triton.cdiv(rows, tile_rows) * triton.cdiv(cols, tile_cols)
    launch(
        _pointwise_wgrad, (count * groups * tiles,),
        dy, x, dw, groups, rows, cols, pixels, part, sizes, dy_pixel, x_pixel,
        (rows * dy_steps[1], dy_steps[1]), (cols * x_steps[1], x_steps[1]), dw_steps,
        AXES=len(sizes), ACC=accumulator(x.dtype), PRECISION=input_precision(x.dtype),
        WHOLE=pixels % step == 0, GROUP=GROUP, **config.tiles, **config.options,
    )  # fmt: skip


def sum_parts(parts: Array, dw: Array, sizes: tuple[int, ...], steps: tuple[int, ...]) -> None:
    """dw = parts (count, ...) summed, in their order: what lies dense in a part on the axes
    `sizes` has the strides `steps` in dw."""
    elements, block = math.prod(sizes), 512
    sizes, (_, steps) = collapse(sizes, array.contiguous_strides(sizes), steps)
    launch(
        _sum_parts, (triton.cdiv(elements, block),),
        parts, dw, parts.shape[0], elements, sizes, steps,
        AXES=len(sizes), ACC=accumulator(dw.dtype), BLOCK=block,
    )  # fmt: skip


def conv2d_wgrad_pointwise(
    x: Array, dy: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None
) -> None:
    g = geometry
    rows, cols = g.K // g.G, g.C // g.G
    layout = (g.stride, units(strides(dy), strides(x), strides(out)))
    how = split(x.dtype, g.G, rows, cols, g.N * g.P * g.Q, layout)
    if how.count == 1:
        multiply_channels(dy, x, out, (0, *_filter_steps(out, g)), g.G, how, g.stride)
        return
    shape = (how.count, g.K, cols)
    parts = array.empty(shape, accumulation_dtype(x.dtype), device=array.device_of(x))
    steps = (g.K * cols, rows * cols, cols, 1)
    multiply_channels(dy, x, parts, steps, g.G, how, g.stride)
    sum_parts(parts, out, (g.K, cols), strides(out)[:2])
