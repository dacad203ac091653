"""Local response normalisation across neighbouring channels, and its gradient.

Computes   s[c] = k + alpha/size * sum of x[j]^2, c - size//2 <= j <= c + (size-1)//2, 0 <= j < C
           y[c] = x[c] / s[c]^beta
           dx[c] = dy[c] / s[c]^beta - 2*alpha*beta/size * x[c] * sum of dy[i]*y[i]/s[i] over the
                   i whose window holds c: c - (size-1)//2 <= i <= c + size//2
Arrays     x, y, dy, dx (N,C,*) of one dtype (f16/bf16/f32/f64); any strides
Grid       (pixel blocks * channel blocks,), the channels' fastest
Tiling     direct: a tile of pixels x channels; the window is unrolled, its loads hit the L1 cache
           but for the first. Contiguous: 16 bytes along the pixels; channels-last: lanes along the
           channels, where a shift by one channel keeps a vector from its alignment.
           naive: an element a lane, the window a loop, s computed again for each of dgrad's terms
Traffic    fprop: x read, y written; dgrad: dy, x, y read, dx written; AlexNet's 55x55x96, size 5 in
           f32: about 3 FLOP/byte, bandwidth
Numerics   in f32 (f64 in itself), the window in order. beta = 0, 1/4 ... 2 by square roots and
           products, any other by a logarithm in f64; NaN and infinity as IEEE arithmetic has them
Refuses    direct: windows of more than 9 channels
Source     Krizhevsky, Sutskever and Hinton 2012, section 3.3 (there alpha is not divided by size)
"""

from __future__ import annotations

import triton
import triton.language as tl

from ..array import Array
from ..geometry import LocalResponseNormGeometry
from .launch import launch
from .numbers import accumulator
from .strided import collapse, offset, strides, units
from .tuning import Config, Configurations

DIRECT = Configurations(
    "local_response_norm.direct",
    Config({"BLOCK_PIXELS": 256, "BLOCK_CHANNELS": 4}, 4),
    Config({"BLOCK_PIXELS": 16, "BLOCK_CHANNELS": 64}, 4),
    Config({"BLOCK_PIXELS": 16, "BLOCK_CHANNELS": 16}, 1),
)


@triton.jit
def _power(s, beta, QUARTERS: tl.constexpr):
    """s^beta; QUARTERS is 4 * beta where that is a number from 0 to 8, else -1."""
    if QUARTERS < 0:
        return tl.exp(tl.log(s.to(tl.float64)) * beta).to(s.dtype)
    root = tl.sqrt(s)
    p = s * 0 + 1.0
    for _ in tl.static_range(QUARTERS // 4):
        p *= s
    if QUARTERS % 4 >= 2:
        p *= root
    if QUARTERS % 2 == 1:
        p *= tl.sqrt(root)
    return p


@triton.jit
def _direct_scale(
    x, at, c, step, channels, inside, alpha, k,
    SIZE: tl.constexpr, SHIFT: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """s of channel c + SHIFT; `at` is where x[c] lies."""
    squares = tl.zeros(at.shape, ACC)
    for j in tl.static_range(SIZE):
        i = c + (SHIFT + j - SIZE // 2)
        there = inside & (i >= 0) & (i < channels)
        value = tl.load(x + (at + (SHIFT + j - SIZE // 2) * step), mask=there, other=0.0).to(ACC)
        squares += value * value
    return k + squares * alpha


@triton.jit
def _tile(
    channels, PIXEL_AXIS: tl.constexpr, BLOCK_PIXELS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr
):  # fmt: skip
    """(pixels, channels) of a program, along the tile's two axes."""
    blocks = tl.cdiv(channels, BLOCK_CHANNELS)
    i = (tl.program_id(0) // blocks).to(tl.int64) * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    c = tl.program_id(0) % blocks * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    return tl.expand_dims(i, 1 - PIXEL_AXIS), tl.expand_dims(c, PIXEL_AXIS)


@triton.jit
def _direct_fprop(
    x, y, pixels, channels, sizes, x_steps, y_steps, x_step, y_step, alpha, beta, k,
    AXES: tl.constexpr, SIZE: tl.constexpr, QUARTERS: tl.constexpr, ACC: tl.constexpr,
    PIXEL_AXIS: tl.constexpr, BLOCK_PIXELS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    i, c = _tile(channels, PIXEL_AXIS, BLOCK_PIXELS, BLOCK_CHANNELS)
    inside = i < pixels
    there = inside & (c < channels)
    at = offset(i, sizes, x_steps, AXES) + c.to(tl.int64) * x_step
    value = tl.load(x + at, mask=there, other=0.0).to(ACC)
    s = _direct_scale(x, at, c, x_step, channels, inside, alpha, k, SIZE, 0, ACC)
    out = y + (offset(i, sizes, y_steps, AXES) + c.to(tl.int64) * y_step)
    tl.store(out, (value / _power(s, beta, QUARTERS)).to(y.dtype.element_ty), mask=there)


@triton.jit
def _direct_term(
    dy, x, y, dy_at, x_at, y_at, dy_step, x_step, y_step, c, channels, inside, alpha, k,
    SIZE: tl.constexpr, SHIFT: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """dy * y / s of channel c + SHIFT."""
    s = _direct_scale(x, x_at, c, x_step, channels, inside, alpha, k, SIZE, SHIFT, ACC)
    there = inside & (c + SHIFT >= 0) & (c + SHIFT < channels)
    given = tl.load(dy + (dy_at + SHIFT * dy_step), mask=there, other=0.0).to(ACC)
    result = tl.load(y + (y_at + SHIFT * y_step), mask=there, other=0.0).to(ACC)
    return tl.where(there, given * result / s, 0.0)


@triton.jit
def _direct_dgrad(
    dy, x, y, dx, pixels, channels, sizes, dy_steps, x_steps, y_steps, dx_steps,
    dy_step, x_step, y_step, dx_step, alpha, beta, k,
    AXES: tl.constexpr, SIZE: tl.constexpr, QUARTERS: tl.constexpr, ACC: tl.constexpr,
    PIXEL_AXIS: tl.constexpr, BLOCK_PIXELS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    i, c = _tile(channels, PIXEL_AXIS, BLOCK_PIXELS, BLOCK_CHANNELS)
    inside = i < pixels
    there = inside & (c < channels)
    dy_at = offset(i, sizes, dy_steps, AXES) + c.to(tl.int64) * dy_step
    x_at = offset(i, sizes, x_steps, AXES) + c.to(tl.int64) * x_step
    y_at = offset(i, sizes, y_steps, AXES) + c.to(tl.int64) * y_step
    through = tl.zeros(x_at.shape, ACC)
    for j in tl.static_range(SIZE):
        # the loads of x of neighbouring windows are the same, and the compiler merges them
        through += _direct_term(
            dy, x, y, dy_at, x_at, y_at, dy_step, x_step, y_step, c, channels, inside, alpha, k,
            SIZE, j - (SIZE - 1) // 2, ACC,
        )  # fmt: skip
    s = _direct_scale(x, x_at, c, x_step, channels, inside, alpha, k, SIZE, 0, ACC)
    given = tl.load(dy + dy_at, mask=there, other=0.0).to(ACC)
    value = tl.load(x + x_at, mask=there, other=0.0).to(ACC)
    gradient = given / _power(s, beta, QUARTERS) - value * through * (2.0 * alpha * beta)
    out = dx + (offset(i, sizes, dx_steps, AXES) + c.to(tl.int64) * dx_step)
    tl.store(out, gradient.to(dx.dtype.element_ty), mask=there)


@triton.jit
def _naive_scale(x, at, c, step, channels, inside, alpha, k, size, ACC: tl.constexpr):
    """s of channel c, which lies at `at`."""
    squares = tl.zeros(at.shape, ACC)
    for j in range(size):
        i = c + j - size // 2
        there = inside & (i >= 0) & (i < channels)
        value = tl.load(x + at + (j - size // 2) * step, mask=there, other=0.0).to(ACC)
        squares += value * value
    return k + squares * alpha


@triton.jit
def _naive_fprop(
    x, y, pixels, channels, sizes, x_steps, y_steps, x_step, y_step, alpha, beta, k, size,
    AXES: tl.constexpr, QUARTERS: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    e = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    i, c = e // channels, e % channels
    inside = i < pixels
    at = offset(i, sizes, x_steps, AXES) + c * x_step
    value = tl.load(x + at, mask=inside, other=0.0).to(ACC)
    s = _naive_scale(x, at, c, x_step, channels, inside, alpha, k, size, ACC)
    out = y + offset(i, sizes, y_steps, AXES) + c * y_step
    tl.store(out, (value / _power(s, beta, QUARTERS)).to(y.dtype.element_ty), mask=inside)


@triton.jit
def _naive_dgrad(
    dy, x, y, dx, pixels, channels, sizes, dy_steps, x_steps, y_steps, dx_steps,
    dy_step, x_step, y_step, dx_step, alpha, beta, k, size,
    AXES: tl.constexpr, QUARTERS: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    e = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    i, c = e // channels, e % channels
    inside = i < pixels
    dy_at = offset(i, sizes, dy_steps, AXES) + c * dy_step
    x_at = offset(i, sizes, x_steps, AXES) + c * x_step
    y_at = offset(i, sizes, y_steps, AXES) + c * y_step
    through = tl.zeros(x_at.shape, ACC)
    for j in range(size):
        shift = j - (size - 1) // 2
        near = inside & (c + shift >= 0) & (c + shift < channels)
        s = _naive_scale(
            x, x_at + shift * x_step, c + shift, x_step, channels, near, alpha, k, size, ACC
        )
        given = tl.load(dy + dy_at + shift * dy_step, mask=near, other=0.0).to(ACC)
        result = tl.load(y + y_at + shift * y_step, mask=near, other=0.0).to(ACC)
        through += tl.where(near, given * result / s, 0.0)
    s = _naive_scale(x, x_at, c, x_step, channels, inside, alpha, k, size, ACC)
    given = tl.load(dy + dy_at, mask=inside, other=0.0).to(ACC)
    value = tl.load(x + x_at, mask=inside, other=0.0).to(ACC)
    gradient = given / _power(s, beta, QUARTERS) - value * through * (2.0 * alpha * beta)
    out = dx + offset(i, sizes, dx_steps, AXES) + c * dx_step
    tl.store(out, gradient.to(dx.dtype.element_ty), mask=inside)


def _arguments(
    out: Array, arrays: tuple[Array, ...], geometry: LocalResponseNormGeometry
) -> tuple[tuple, dict]:
    """What every kernel here takes: positional (pixels, channels, sizes, steps along the pixels of
    the arrays and then `out`, their channel steps, alpha / size, beta, k), and constants."""
    g = geometry
    every = [strides(a) for a in (*arrays, out)]
    # the pixels: all axes but the channels', in the order in which `out` has them
    shape = (out.shape[0], *out.shape[2:])
    order = [(step[0], *step[2:]) for step in every[::-1]]
    sizes, steps = collapse(shape, *order)
    pixels = out.size // out.shape[1] if out.size else 0
    quarters = int(4 * g.beta) if 4 * g.beta in range(9) else -1
    numbers = (float(g.alpha / g.size), float(g.beta), float(g.k))
    positional = (pixels, out.shape[1], sizes, *steps[::-1], *(step[1] for step in every), *numbers)
    constants = {"AXES": len(sizes), "QUARTERS": quarters, "ACC": accumulator(out.dtype)}
    return positional, constants


def _launch_direct(
    kernel: object, arrays: tuple[Array, ...], out: Array, g: LocalResponseNormGeometry
) -> None:
    positional, constants = _arguments(out, arrays, g)
    pixels, channels, _, inner = positional[:4]
    last = abs(strides(out)[1]) <= abs(inner[-1])  # channels lie closer than pixels

    def lanes(config: Config) -> float:
        along = config.tiles["BLOCK_CHANNELS" if last else "BLOCK_PIXELS"]
        programs = _programs(config, pixels, channels)
        elements = config.tiles["BLOCK_PIXELS"] * config.tiles["BLOCK_CHANNELS"]
        return programs * (elements * max(1.0, 128 / (along * out.itemsize)) + 512)

    every = units(strides(out), *map(strides, arrays))
    key = g, "dgrad" if len(arrays) > 1 else "fprop", pixels, channels, last, every
    config = DIRECT.choose(out.dtype, key, lanes)
    launch(
        kernel, (_programs(config, pixels, channels),), *arrays, out, *positional,
        SIZE=g.size, PIXEL_AXIS=0 if last else 1, **constants, **config.tiles, **config.options,
    )  # fmt: skip


def _programs(config: Config, pixels: int, channels: int) -> int:
    return triton.cdiv(pixels, config.tiles["BLOCK_PIXELS"]) * triton.cdiv(
        channels, config.tiles["BLOCK_CHANNELS"]
    )


def local_response_norm_fprop_direct(
    x: Array, *, out: Array, geometry: LocalResponseNormGeometry, epilogue: None = None
) -> None:
    _launch_direct(_direct_fprop, (x,), out, geometry)


def local_response_norm_dgrad_direct(
    dy: Array, x: Array, y: Array, *, out: Array, geometry: LocalResponseNormGeometry,
    epilogue: None = None,
) -> None:  # fmt: skip
    _launch_direct(_direct_dgrad, (dy, x, y), out, geometry)


def _launch_naive(
    kernel: object, arrays: tuple[Array, ...], out: Array, g: LocalResponseNormGeometry
) -> None:
    positional, constants = _arguments(out, arrays, g)
    launch(
        kernel, (triton.cdiv(out.size, 256),), *arrays, out, *positional, g.size,
        **constants, BLOCK=256,
    )  # fmt: skip


def local_response_norm_fprop_naive(
    x: Array, *, out: Array, geometry: LocalResponseNormGeometry, epilogue: None = None
) -> None:
    _launch_naive(_naive_fprop, (x,), out, geometry)


def local_response_norm_dgrad_naive(
    dy: Array, x: Array, y: Array, *, out: Array, geometry: LocalResponseNormGeometry,
    epilogue: None = None,
) -> None:  # fmt: skip
    _launch_naive(_naive_dgrad, (dy, x, y), out, geometry)
