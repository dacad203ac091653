"""Max unpooling: each value back to the pixel its index names, zeros elsewhere; and its gradient.

Computes   y[n,c].flat[indices[n,c,p,q]] = x[n,c,p,q], 0 in every other pixel; of equal indices in
           one plane the last in row-major order is stored
           dx[n,c,p,q] = dy[n,c].flat[indices[n,c,p,q]]
Arrays     x, dx, indices (N,C,P,Q)  y, dy (N,C,H,W); any strides; f16/bf16/f32/f64, indices int64
Grid       clear: blocks of y; scatter, verify, gather: (N * ceil(P*Q / PIXELS) * ceil(C /
           CHANNELS),); repair: (N * ceil(C / CHANNELS),)
Tiling     PIXELS x CHANNELS elements: channels-last has channels in the vectors, else pixels
Traffic    fprop writes y twice where values land (zeros, values), reads x and the 8 bytes of an
           index twice and what landed once; dgrad reads an index and dy where it points, writes dx
Numerics   exact. fprop scatters without looking, then reads back: where every index of a plane
           finds its own bits, the order of the stores made no difference. Planes in which one does
           not are stored again in order, by one program. No atomics; the same bits in every run
Refuses    integers; what an index outside [0, H*W) names is neither written nor read (dx is 0)
Source     Zeiler, Taylor and Fergus 2011, "Adaptive deconvolutional networks for mid and high level
           feature learning"
"""

from __future__ import annotations

import triton
import triton.language as tl

from .. import array
from ..array import Array
from ..dtypes import as_dtype
from ..geometry import Pool2dGeometry
from .launch import launch
from .numbers import offset_type
from .pool2d_windows import tile
from .strided import collapse, offset, strides, units
from .tuning import Config, Configurations

TILES = Configurations(
    "max_unpool2d.tiles",
    Config({"PIXELS": 32, "CHANNELS": 64}, 8, 1),
    Config({"PIXELS": 16, "CHANNELS": 64}, 4, 1),
    Config({"PIXELS": 128, "CHANNELS": 8}, 8, 1),
    Config({"PIXELS": 512, "CHANNELS": 1}, 4, 1),
    Config({"PIXELS": 16, "CHANNELS": 16}, 4, 1),
)
_COMPARED = 4096  # pairs of indices that one step of a repair compares


@triton.jit
def _tile(pixels, channels, INDEX: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr):
    """(image, pixels, channels, which exist) of this program."""
    blocks, tiles = tl.cdiv(channels, CHANNELS), tl.cdiv(pixels, PIXELS)
    n = (tl.program_id(0) // blocks // tiles).to(INDEX)
    i = (tl.program_id(0) // blocks % tiles).to(INDEX) * PIXELS + tl.arange(0, PIXELS)
    c = (tl.program_id(0) % blocks).to(INDEX) * CHANNELS + tl.arange(0, CHANNELS)
    return n, i, c, (i < pixels)[:, None] & (c < channels)[None, :]


@triton.jit
def _small(n, i, c, width, steps):
    """Where pixels i of channels c of the small image lie."""
    pixel = n * steps[0] + i // width * steps[2] + i % width * steps[3]
    return pixel[:, None] + (c * steps[1])[None, :]


@triton.jit
def _named(n, index, c, width, steps, FLAT: tl.constexpr):
    """Where the pixels that indices name lie, of channels c of the large image."""
    if FLAT:
        pixel = index * steps[3]
    else:
        pixel = index // width * steps[2] + index % width * steps[3]
    return n * steps[0] + pixel + (c * steps[1])[None, :]


@triton.jit
def _clear(y, elements, sizes, steps, AXES: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    zero = tl.zeros((BLOCK,), y.dtype.element_ty)
    tl.store(y + offset(i, sizes, steps, AXES), zero, mask=i < elements)


@triton.jit
def _scatter(
    x, indices, y, pixels, channels, small_width, large_width, large_pixels,
    x_steps, index_steps, y_steps,
    FLAT: tl.constexpr, INDEX: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    n, i, c, exists = _tile(pixels, channels, INDEX, PIXELS, CHANNELS)
    at = _small(n, i, c, small_width, index_steps)
    index = tl.load(indices + at, mask=exists, other=-1)
    value = tl.load(x + _small(n, i, c, small_width, x_steps), mask=exists, other=0.0)
    named = (index >= 0) & (index < large_pixels)
    to = _named(n, index.to(INDEX), c, large_width, y_steps, FLAT)
    tl.store(y + to, value, mask=named)


@triton.jit
def _verify(
    x, indices, y, lost, pixels, channels, small_width, large_width, large_pixels,
    x_steps, index_steps, y_steps,
    FLAT: tl.constexpr, BITS: tl.constexpr, INDEX: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """lost[program] = how many of its values are not where their index wants them."""
    n, i, c, exists = _tile(pixels, channels, INDEX, PIXELS, CHANNELS)
    at = _small(n, i, c, small_width, index_steps)
    index = tl.load(indices + at, mask=exists, other=-1)
    named = (index >= 0) & (index < large_pixels)
    value = tl.load(x + _small(n, i, c, small_width, x_steps), mask=named, other=0.0)
    at = _named(n, index.to(INDEX), c, large_width, y_steps, FLAT)
    found = tl.load(y + at, mask=named, other=0.0)
    differs = value.to(BITS, bitcast=True) != found.to(BITS, bitcast=True)
    tl.store(lost + tl.program_id(0), tl.sum(tl.sum(differs.to(tl.int32), 1), 0))


@triton.jit
def _repair(
    x, indices, y, lost, pixels, channels, small_width, large_width, large_pixels, tiles,
    x_steps, index_steps, y_steps,
    FLAT: tl.constexpr, INDEX: tl.constexpr, RUN: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """The values of one image's CHANNELS channels in row-major order, RUN at a time, if any of them
    was lost. Of a run's equal indices only the last is stored."""
    blocks = tl.cdiv(channels, CHANNELS)
    image, block = tl.program_id(0) // blocks, tl.program_id(0) % blocks
    n = image.to(INDEX)
    c = block.to(INDEX) * CHANNELS + tl.arange(0, CHANNELS)
    missing = 0
    for t in range(tiles):
        missing += tl.load(lost + (n * tiles + t) * blocks + block)
    if missing > 0:
        order = tl.arange(0, RUN)
        later = (order[None, :] > order[:, None])[:, :, None]
        for first in range(0, pixels, RUN):
            i = first + order.to(INDEX)
            exists = (i < pixels)[:, None] & (c < channels)[None, :]
            at = _small(n, i, c, small_width, index_steps)
            index = tl.load(indices + at, mask=exists, other=-1)
            value = tl.load(x + _small(n, i, c, small_width, x_steps), mask=exists, other=0.0)
            again = (index[:, None, :] == index[None, :, :]) & later
            last = tl.max(again.to(tl.int32), 1) == 0
            named = (index >= 0) & (index < large_pixels) & last
            to = _named(n, index.to(INDEX), c, large_width, y_steps, FLAT)
            tl.store(y + to, value, mask=named)
            tl.debug_barrier()  # the next run's stores come after these


def max_unpool2d_fprop_direct(
    x: Array, indices: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    g, y = geometry, out
    block = 1024
    sizes, (y_walk,) = collapse(y.shape, strides(y))
    launch(
        _clear, (triton.cdiv(y.size, block),),
        y, y.size, sizes, y_walk, AXES=len(sizes), BLOCK=block,
    )  # fmt: skip
    config = tile(
        TILES,
        x,
        g.P * g.Q,
        g.C,
        "scatter",
        units(strides(x), strides(indices), strides(y)),
        images=g.N,
    )
    channels = config.tiles["CHANNELS"]
    tiles, blocks = triton.cdiv(g.P * g.Q, config.tiles["PIXELS"]), triton.cdiv(g.C, channels)
    sizes = (g.P * g.Q, g.C, g.Q, g.W, g.H * g.W)
    steps = (strides(x), strides(indices), strides(y))
    lost = array.empty((g.N * tiles * blocks,), as_dtype("int32"), device=array.device_of(x))
    shared = {"FLAT": _flat(g, y), "INDEX": offset_type(x, indices, y)}
    bits = {2: tl.int16, 4: tl.int32, 8: tl.int64}[x.itemsize]
    launch(
        _scatter, (lost.size,), x, indices, y, *sizes, *steps,
        **shared, **config.tiles, **config.options,
    )  # fmt: skip
    launch(
        _verify, (lost.size,), x, indices, y, lost, *sizes, *steps, BITS=bits,
        **shared, **config.tiles, **config.options,
    )  # fmt: skip
    run = 1
    while (2 * run) ** 2 * channels <= _COMPARED:
        run *= 2
    launch(
        _repair, (g.N * blocks,), x, indices, y, lost, *sizes, tiles, *steps,
        RUN=run, CHANNELS=channels, **shared, **config.options,
    )  # fmt: skip


def _flat(g: Pool2dGeometry, large: Array) -> bool:
    """Whether an index times one step is where its pixel lies."""
    steps = strides(large)
    return g.H == 1 or steps[2] == g.W * steps[3]


@triton.jit
def _gather(
    dy, indices, dx, pixels, channels, small_width, large_width, large_pixels,
    dy_steps, index_steps, dx_steps,
    FLAT: tl.constexpr, INDEX: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    n, i, c, exists = _tile(pixels, channels, INDEX, PIXELS, CHANNELS)
    at = _small(n, i, c, small_width, index_steps)
    index = tl.load(indices + at, mask=exists, other=-1)
    named = (index >= 0) & (index < large_pixels)
    at = _named(n, index.to(INDEX), c, large_width, dy_steps, FLAT)
    value = tl.load(dy + at, mask=named, other=0.0)
    tl.store(dx + _small(n, i, c, small_width, dx_steps), value, mask=exists)


def max_unpool2d_dgrad_direct(
    dy: Array, indices: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    g = geometry
    config = tile(TILES, out, g.P * g.Q, g.C, "gather", units(strides(out)), images=g.N)
    tiles = triton.cdiv(g.P * g.Q, config.tiles["PIXELS"])
    launch(
        _gather, (g.N * tiles * triton.cdiv(g.C, config.tiles["CHANNELS"]),),
        dy, indices, out, g.P * g.Q, g.C, g.Q, g.W, g.H * g.W,
        strides(dy), strides(indices), strides(out),
        FLAT=_flat(g, dy), INDEX=offset_type(dy, indices, out), **config.tiles, **config.options,
    )  # fmt: skip
