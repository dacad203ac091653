"""Grouped convolution as dense tiles: neighbouring groups, side by side, in one matrix product.

Computes   fprop  y[n,k,p,q] = sum_{c,r,s} x[n, g*C/G + c, p*Sh - top + r*Dh, q*Sw - left + s*Dw]
                               * w[k,c,r,s], g = k / (K/G) the group of k
           dgrad  dx, wgrad  dw: its adjoints in x and in w; fprop and dgrad end in an epilogue
Arrays     x, dx (N,C,H,W)  w, dw (K,C/G,R,S)  y, dy (N,K,P,Q); f16/bf16/f32/f64; any strides,
           fastest channels-last
Grid       fprop, dgrad: (row blocks * phases * super-groups,), super-groups fastest; rows are
           N*P*Q, in dgrad the pixels of one phase. wgrad: (slices of rows * taps * super-groups,)
Tiling     a super-group is as many groups as fit in a tile BLOCK wide, 16 to 64 channels in and
           out; weights off the diagonal blocks are masked to zero as they are loaded. One product
           BLOCK_ROWS x BLOCK x BLOCK a tap
Traffic    x read, y written, w from the caches; ResNeXt-50's 56x56x128 in 32 groups, bf16: 18
           FLOP/byte, bandwidth. The tile multiplies BLOCK/(C/G) times as much as it must, which
           tensor cores hide under the traffic
Numerics   sums in f32 (f64 in itself), one product a tap, in order; wgrad: rows in order within a
           slice, then slices in order: deterministic. Zeros off the diagonal multiply the channels
           of neighbouring groups: where these hold NaN or infinity, their super-group turns to NaN;
           so does an infinite or NaN filter where it lies over padding
Refuses    one group; more than 64 channels or filters in a group
Source     Krizhevsky et al. 2012; Xie et al. 2017, arXiv:1611.05431
"""

from __future__ import annotations

import triton
import triton.language as tl

from ..array import Array, device_of, empty
from ..dispatch import Epilogue
from ..dtypes import accumulation_dtype
from ..geometry import Conv2dGeometry
from . import epilogue as ending
from .launch import launch
from .numbers import accumulator, counted
from .partial_sums import add_slices
from .patches import axes_of, looped
from .strided import strides, units
from .tuning import Config, Configurations

PROGRAMS = 132 * 4  # how many programs wgrad splits its rows among


HALVES, SINGLE, DOUBLE = ("float16", "bfloat16"), ("float32",), ("float64",)


def _tile(
    rows: int, block: int, warps: int, stages: int = 3, dtypes: tuple[str, ...] = ()
) -> Config:
    return Config({"BLOCK_ROWS": rows, "BLOCK": block}, warps, stages, dtypes=dtypes)


PRODUCT = Configurations(
    "conv2d_grouped.product",
    # a thread has 256 bytes of sums on tensor cores, 128 without: more does not fit its registers
    _tile(128, 32, 4, dtypes=HALVES + SINGLE),
    _tile(128, 64, 4, dtypes=HALVES),
    _tile(64, 32, 4),
    _tile(64, 64, 4, dtypes=HALVES + SINGLE),
    _tile(64, 64, 8, dtypes=DOUBLE),
    _tile(64, 16, 4, dtypes=HALVES + SINGLE),
    _tile(128, 16, 4, dtypes=DOUBLE),
    _tile(16, 16, 1, 2),
)
WGRAD = Configurations(
    "conv2d_grouped.wgrad",
    _tile(64, 32, 4, dtypes=HALVES + SINGLE),
    _tile(64, 32, 8, dtypes=DOUBLE),
    _tile(64, 64, 8),
    _tile(64, 16, 4, dtypes=HALVES + SINGLE),
    _tile(64, 16, 2, dtypes=DOUBLE),
    _tile(16, 16, 1, 2),
)


@triton.jit
def _pixels(i, height, width):
    """(image, row, column) of pixels; the image in 64 bits."""
    rest = (i % (height * width)).to(tl.int32)
    return (i // (height * width)).to(tl.int64), rest // width, rest % width


@triton.jit
def _product(
    source, w, out, source_steps, w_steps, out_steps, source_height, source_width,
    images, height, width, end, h_axis, w_axis, groups, packed,
    vectors, vector_steps, residual, residual_steps,
    DEEP: tl.constexpr, WIDE: tl.constexpr, TRANSPOSED: tl.constexpr, ACTIVATION: tl.constexpr,
    ACC: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    # DEEP channels a group of the source, WIDE of the output; `packed` groups in a tile
    h_source, h_tap, h_target, h_shift, R, h_divisor, h_inverse, h_stride = h_axis
    w_source, w_tap, w_target, w_shift, S, w_divisor, w_inverse, w_stride = w_axis
    super_groups = tl.cdiv(groups, packed)
    first_group = tl.program_id(0) % super_groups * packed
    phase = tl.program_id(0) // super_groups % (h_source * w_source)
    block = tl.program_id(0) // (super_groups * h_source * w_source)
    # the pixels of a phase: every h_source-th row from phase_h on, every w_source-th column
    phase_h, phase_w = phase // w_source, phase % w_source
    i = counted(block, end) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    n, h, q = _pixels(i, tl.cdiv(height, h_source), tl.cdiv(width, w_source))
    h, q = h * h_source + phase_h, q * w_source + phase_w
    inside = (n < images) & (h < height) & (q < width)
    # depth and columns of the tile: (group, channel of the group)
    deep, wide = tl.arange(0, BLOCK), tl.arange(0, BLOCK)
    deep_inside = (deep < packed * DEEP) & (first_group * DEEP + deep < groups * DEEP)
    wide_inside = (wide < packed * WIDE) & (first_group * WIDE + wide < groups * WIDE)
    source_channel, channel = first_group * DEEP + deep, first_group * WIDE + wide
    diagonal = (deep // DEEP)[:, None] == (wide // WIDE)[None, :]
    diagonal = diagonal & deep_inside[:, None] & wide_inside[None, :]
    if TRANSPOSED:  # dgrad: a row of w is a channel of the source
        f_at = source_channel[:, None] * w_steps[0] + (wide % WIDE)[None, :] * w_steps[1]
    else:
        f_at = channel[None, :] * w_steps[0] + (deep % DEEP)[:, None] * w_steps[1]
    x = (
        source
        + n[:, None] * source_steps[0]
        + source_channel.to(tl.int64)[None, :] * source_steps[1]
    )
    # the taps that reach this phase: the first, and every stride-th after it
    h_at, w_at = phase_h * h_target + h_shift, phase_w * w_target + w_shift
    first_r = h_at // h_divisor * h_inverse % h_stride
    first_s = w_at // w_divisor * w_inverse % w_stride
    rows, columns = tl.cdiv(R - first_r, h_stride), tl.cdiv(S - first_s, w_stride)
    if (h_at % h_divisor != 0) | (w_at % w_divisor != 0):
        rows = rows * 0
    acc = tl.zeros((BLOCK_ROWS, BLOCK), ACC)
    for t in range(rows * columns):
        r, s = first_r + t // columns * h_stride, first_s + t % columns * w_stride
        a = (h * h_target + (h_shift - r * h_tap)) // h_source
        b = (q * w_target + (w_shift - s * w_tap)) // w_source
        there = inside & (a >= 0) & (a < source_height) & (b >= 0) & (b < source_width)
        at = a.to(tl.int64) * source_steps[2] + b.to(tl.int64) * source_steps[3]
        value = tl.load(x + at[:, None], mask=there[:, None] & deep_inside[None, :], other=0.0)
        f = tl.load(w + f_at + (r * w_steps[2] + s * w_steps[3]), mask=diagonal, other=0.0)
        acc = tl.dot(value, f, acc, input_precision="ieee", out_dtype=ACC)
    there = inside[:, None] & wide_inside[None, :]
    c = channel.to(tl.int64)[None, :]
    h, q = h.to(tl.int64), q.to(tl.int64)
    at = (n * residual_steps[0] + h * residual_steps[2] + q * residual_steps[3])[:, None]
    y = ending.finish(
        acc, vectors, vector_steps, channel, wide_inside, residual, at + c * residual_steps[1],
        there, ACTIVATION,
    )  # fmt: skip
    at = (n * out_steps[0] + h * out_steps[2] + q * out_steps[3])[:, None]
    tl.store(out + (at + c * out_steps[1]), y.to(out.dtype.element_ty), mask=there)


@triton.jit
def _wgrad(
    source, dy, partial, source_steps, dy_steps, source_height, source_width,
    images, height, width, end, h_axis, w_axis, groups, packed, steps,
    DEEP: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    R, S = h_axis[4], w_axis[4]
    super_groups = tl.cdiv(groups, packed)
    first_group = tl.program_id(0) % super_groups * packed
    tap = tl.program_id(0) // super_groups % (R * S)
    slice = tl.program_id(0) // (super_groups * R * S)
    deep, wide = tl.arange(0, BLOCK), tl.arange(0, BLOCK)
    deep_inside = (deep < packed * DEEP) & (first_group * DEEP + deep < groups * DEEP)
    wide_inside = (wide < packed * WIDE) & (first_group * WIDE + wide < groups * WIDE)
    c, k = first_group * DEEP + deep, first_group * WIDE + wide
    x_at, dy_at = c.to(tl.int64) * source_steps[1], k.to(tl.int64) * dy_steps[1]
    top, left = h_axis[3] - tap // S * h_axis[1], w_axis[3] - tap % S * w_axis[1]
    acc = tl.zeros((BLOCK, BLOCK), ACC)
    for step in range(steps):
        i = (counted(slice, end) * steps + step) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
        n, h, q = _pixels(i, height, width)
        inside = n < images
        a, b = h * h_axis[2] + top, q * w_axis[2] + left
        there = inside & (a >= 0) & (a < source_height) & (b >= 0) & (b < source_width)
        at = a.to(tl.int64) * source_steps[2] + b.to(tl.int64) * source_steps[3]
        at += n * source_steps[0]
        x = tl.load(
            source + (at[None, :] + x_at[:, None]), mask=there[None, :] & deep_inside[:, None],
            other=0.0,
        )  # fmt: skip
        at = n * dy_steps[0] + h.to(tl.int64) * dy_steps[2] + q.to(tl.int64) * dy_steps[3]
        # a row that this tap does not meet is no part of the sum, whatever dy holds there
        given = tl.load(
            dy + (at[:, None] + dy_at[None, :]), mask=there[:, None] & wide_inside[None, :],
            other=0.0,
        )  # fmt: skip
        acc = tl.dot(x, given, acc, input_precision="ieee", out_dtype=ACC)
    # only the diagonal blocks are weights: partial[slice, r, s, channel of the group, k]
    at = (slice.to(tl.int64) * R * S + tap) * DEEP + (deep % DEEP)[:, None]
    at = at * (groups * WIDE) + k[None, :]
    diagonal = (deep // DEEP)[:, None] == (wide // WIDE)[None, :]
    tl.store(partial + at, acc, mask=diagonal & deep_inside[:, None] & wide_inside[None, :])


def _packed(config: Config, deep: int, wide: int, groups: int) -> int:
    """How many groups a tile holds; 0 where it holds none."""
    return min(config.tiles["BLOCK"] // max(deep, wide), groups)


def _time(
    config: Config, deep: int, wide: int, groups: int, rows: int, taps: int, others: int,
    itemsize: int,
) -> float:  # fmt: skip
    """An estimate in bytes: waves of programs; their loads, most of which hit a cache, or their
    products where these last longer. Per byte a tensor core multiplies 64 pairs, the rest 8."""
    packed = _packed(config, deep, wide, groups)
    if packed == 0:
        return float("inf")
    block_rows, block = config.tiles["BLOCK_ROWS"], config.tiles["BLOCK"]
    programs = triton.cdiv(rows, block_rows) * triton.cdiv(groups, packed) * others
    product = block_rows * block * block / (64 if itemsize == 2 else 8)
    loads = (block_rows + block) * block * itemsize / 4
    work = taps * max(product, loads) + block_rows * block * itemsize
    return triton.cdiv(programs, PROGRAMS) * (4096 + work) + 1024 * min(programs, 64)


def _run(
    source: Array, w: Array, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None,
    adjoint: bool,
) -> None:  # fmt: skip
    g = geometry
    h, q = (looped(axis) for axis in axes_of(g, adjoint))
    deep, wide = (g.K // g.G, g.C // g.G) if adjoint else (g.C // g.G, g.K // g.G)
    n, _, height, width = out.shape
    phases = h[0] * q[0]
    rows = n * triton.cdiv(height, h[0]) * triton.cdiv(width, q[0])
    taps = triton.cdiv(g.R * g.S, phases)
    config = PRODUCT.choose(
        out.dtype,
        (g, adjoint, units(strides(source), strides(w), strides(out)), ending.word(epilogue)),
        lambda c: _time(c, deep, wide, g.G, rows, taps, phases, out.itemsize),
    )  # fmt: skip
    packed = _packed(config, deep, wide, g.G)
    blocks = triton.cdiv(rows, config.tiles["BLOCK_ROWS"])
    launch(
        _product, (blocks * phases * triton.cdiv(g.G, packed),),
        source, w, out, strides(source), strides(w), strides(out), *source.shape[2:],
        n, height, width, blocks * config.tiles["BLOCK_ROWS"], h, q, g.G, packed,
        *ending.arguments(epilogue),
        DEEP=deep, WIDE=wide, TRANSPOSED=adjoint, ACTIVATION=ending.activation(epilogue),
        ACC=accumulator(out.dtype), **config.tiles, **config.options,
    )  # fmt: skip


def conv2d_fprop_grouped(
    x: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    _run(x, w, out, geometry, epilogue, adjoint=False)


def conv2d_dgrad_grouped(
    dy: Array, w: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: Epilogue | None = None
) -> None:
    _run(dy, w, out, geometry, epilogue, adjoint=True)


def conv2d_wgrad_grouped(
    x: Array, dy: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None
) -> None:
    g = geometry
    h, q = (looped(axis) for axis in axes_of(g, adjoint=False))
    deep, wide = g.C // g.G, g.K // g.G
    rows, taps = g.N * g.P * g.Q, g.R * g.S
    config = WGRAD.choose(
        out.dtype,
        (g, units(strides(x), strides(dy))),
        lambda c: _time(c, deep, wide, g.G, rows, 1, taps, x.itemsize),
    )
    packed = _packed(config, deep, wide, g.G)
    others = taps * triton.cdiv(g.G, packed)
    blocks = triton.cdiv(rows, config.tiles["BLOCK_ROWS"])
    # a slice is at least four blocks long: its partial sums have to be added once more
    steps = max(min(4, blocks), blocks * others // PROGRAMS, 1)
    slices = triton.cdiv(blocks, steps)
    partial = empty((slices, g.R, g.S, deep, g.K), accumulation_dtype(out.dtype),
                    device=device_of(x))  # fmt: skip
    launch(
        _wgrad, (slices * others,),
        x, dy, partial, strides(x), strides(dy), g.H, g.W, g.N, g.P, g.Q,
        slices * steps * config.tiles["BLOCK_ROWS"], h, q, g.G, packed, steps,
        DEEP=deep, WIDE=wide, ACC=accumulator(out.dtype), **config.tiles, **config.options,
    )  # fmt: skip
    add_slices(partial, out.transpose(2, 3, 1, 0))
