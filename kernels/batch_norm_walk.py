"""What the kernels of batch normalisation share: tiles of channels and pixels, and the formula.

A pixel is what one channel is summed over: an index into N and all axes behind C. Every kernel
walks tiles of (CHANNELS, PIXELS), whichever of the two lies next to each other in memory: channels
of a channels-last array, pixels of a contiguous one. A program takes one tile of channels and a
slab of pixels, `tiles_each` tiles in a row, so that what belongs to its channels stays in registers

    pixels    slab 0           slab 1           slab 2
    channels  [tile][tile]     [tile][tile]     [tile][ ]      programs 0, 2, 4
              [tile][tile]     [tile][tile]     [tile][ ]      programs 1, 3, 5
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import triton
import triton.language as tl

from ..array import Array
from .launch import launch
from .numbers import accumulator, offset_type
from .strided import collapse, offset, strides
from .tuning import Config, Configurations

# --- on the device --------------------------------------------------------------------------------


@triton.jit
def channels_of(
    program, channels, channel_tiles, INDEX: tl.constexpr, CHANNELS: tl.constexpr
):  # fmt: skip
    """(channels of the program's tiles, which of them there are)."""
    channel = (program % channel_tiles).to(INDEX) * CHANNELS + tl.arange(0, CHANNELS)
    return channel, channel < channels


@triton.jit
def slab_of(
    program, channel_tiles, tiles, tiles_each, INDEX: tl.constexpr
):  # fmt: skip
    """The program's tiles along the pixels: the first, and the one behind the last."""
    first = (program // channel_tiles).to(INDEX) * tiles_each
    return first, tl.minimum(first + tiles_each, tiles)


@triton.jit
def places(
    channel, pixel, sizes, channel_step, pixel_steps,
    AXES: tl.constexpr, GRAIN_C: tl.constexpr, GRAIN_P: tl.constexpr,
):  # fmt: skip
    """Where the elements of a tile lie. They come in groups of GRAIN_C channels or GRAIN_P pixels,
    one beside the other and each group at a multiple of its size, which the compiler is told."""
    at = (channel * channel_step)[:, None] + offset(pixel, sizes, pixel_steps, AXES)[None, :]
    if GRAIN_C * GRAIN_P > 1:
        at = tl.multiple_of(tl.max_contiguous(at, [GRAIN_C, GRAIN_P]), [GRAIN_C, GRAIN_P])
    return at


@triton.jit
def both(channel_in, pixel_in, GRAIN_C: tl.constexpr, GRAIN_P: tl.constexpr):
    """Which elements of a tile there are: all or none of a group."""
    inside = channel_in[:, None] & pixel_in[None, :]
    if GRAIN_C * GRAIN_P > 1:
        inside = tl.max_constancy(inside, [GRAIN_C, GRAIN_P])
    return inside


@triton.jit
def column(vector, step, channel, channel_in, ACC: tl.constexpr):
    """The channels' values of a vector, to be broadcast along the pixels of a tile."""
    return tl.load(vector + channel * step, mask=channel_in, other=0.0).to(ACC)


@triton.jit
def affine(vectors, steps, channel, channel_in, ACC: tl.constexpr):
    """(mean, invstd, scale, shift) of the channels: y = (x - mean) * scale + shift. `vectors` are
    mean, invstd, weight, bias; of the last two each may be None."""
    mean = column(vectors[0], steps[0], channel, channel_in, ACC)
    invstd = column(vectors[1], steps[1], channel, channel_in, ACC)
    scale = invstd
    if vectors[2] is not None:
        scale = invstd * column(vectors[2], steps[2], channel, channel_in, ACC)
    shift = tl.zeros_like(mean)
    if vectors[3] is not None:
        shift = column(vectors[3], steps[3], channel, channel_in, ACC)
    return mean, invstd, scale, shift


# --- on the host ----------------------------------------------------------------------------------

PROGRAMS = 1056  # eight for each of an H100's multiprocessors: enough bytes under way to fill it
_SINGLE, _DOUBLE = ("float16", "bfloat16", "float32"), ("float64",)
_LEAST_TILES = 2  # the fewest worth a slab of their own, where slabs are merged afterwards


def tiles(name: str) -> Configurations:
    """The configurations of one kernel. In float64 tiles are smaller: they take the same
    registers."""
    return Configurations(
        name,
        Config({"CHANNELS": 64, "PIXELS": 32}, dtypes=_SINGLE),  # channels-last
        Config({"CHANNELS": 32, "PIXELS": 64}, dtypes=_SINGLE),
        Config({"CHANNELS": 4, "PIXELS": 512}, dtypes=_SINGLE),  # few channels; contiguous
        Config({"CHANNELS": 1, "PIXELS": 2048}, dtypes=_SINGLE),
        Config({"CHANNELS": 64, "PIXELS": 16}, dtypes=_DOUBLE),
        Config({"CHANNELS": 32, "PIXELS": 32}, dtypes=_DOUBLE),
        Config({"CHANNELS": 4, "PIXELS": 128}, dtypes=_DOUBLE),
        Config({"CHANNELS": 1, "PIXELS": 1024}, dtypes=_DOUBLE),
        Config({"CHANNELS": 1, "PIXELS": 512}),
        Config({"CHANNELS": 16, "PIXELS": 16}),  # next to nothing
    )


class Walk(NamedTuple):
    """Arrays (N,C,*) as channels and pixels: what `walk` finds."""

    channels: int
    pixels: int
    sizes: tuple[int, ...]  # of the pixels' axes, collapsed: the last is the innermost
    channel_steps: tuple[int, ...]  # of each array
    pixel_steps: tuple[tuple[int, ...], ...]
    itemsizes: tuple[int, ...]
    index: Any
    acc: Any

    @property
    def steps(self) -> tuple[Any, ...]:
        """Each array's step along the channels and along the pixels' axes, as kernels take them."""
        pairs = zip(self.channel_steps, self.pixel_steps, strict=True)
        return tuple(step for pair in pairs for step in pair)

    def grains(self, tiles: Mapping[str, int]) -> dict[str, int]:
        """The largest groups, up to 16 and within a tile, of neighbours that every array starts at
        a multiple of their size and that no edge cuts."""
        along_c = [step for steps in self.pixel_steps for step in steps]
        along_p = [step for steps in self.pixel_steps for step in steps[:-1]]
        along_p += self.channel_steps if self.channels > 1 else ()
        grain_c = grain_p = 1
        if all(step == 1 for step in self.channel_steps):
            grain_c = math.gcd(16, self.channels, tiles["CHANNELS"], *along_c)
        elif all(steps[-1] == 1 for steps in self.pixel_steps):
            grain_p = math.gcd(16, self.sizes[-1], tiles["PIXELS"], *along_p)
        return {"GRAIN_C": grain_c, "GRAIN_P": grain_p}

    def run(self, i: int, config: Config) -> int:
        """How many elements of a tile of array i lie beside each other."""
        if abs(self.channel_steps[i]) == 1:
            return min(config.tiles["CHANNELS"], self.channels)
        if abs(self.pixel_steps[i][-1]) == 1:
            return min(config.tiles["PIXELS"], self.sizes[-1])
        return 1


def walk(*arrays: Array) -> Walk:
    """Arrays of one shape (N,C,*); the first decides in which order the pixels are walked."""
    first = arrays[0]
    steps = [strides(a) for a in arrays]
    shape = (first.shape[0], *first.shape[2:])
    sizes, pixel_steps = collapse(shape, *((s[0], *s[2:]) for s in steps))
    return Walk(
        first.shape[1], math.prod(shape), sizes, tuple(s[1] for s in steps), tuple(pixel_steps),
        tuple(a.itemsize for a in arrays), offset_type(*arrays), accumulator(first.dtype),
    )  # fmt: skip


def vectors_and_steps(*vectors: Array | None) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """The vectors along the channels, and their strides in elements."""
    return vectors, tuple(0 if v is None else strides(v)[0] for v in vectors)


class Plan(NamedTuple):
    """How a walk is cut: channel tiles x slabs of `tiles_each` of the `tiles` along the pixels."""

    walk: Walk
    config: Config
    channel_tiles: int
    tiles: int
    tiles_each: int
    slabs: int

    @property
    def pixels_each(self) -> int:
        return self.tiles_each * self.config.tiles["PIXELS"]

    def arguments(self) -> tuple[Any, ...]:
        """What `channels_of` and `slab_of` take, and the pixels."""
        w = self.walk
        return w.channels, w.pixels, self.channel_tiles, self.tiles, self.tiles_each, w.sizes

    def launch(self, kernel: Any, *arguments: Any, **constants: Any) -> None:
        w = self.walk
        launch(
            kernel, (self.channel_tiles * self.slabs,), *arguments, AXES=len(w.sizes), ACC=w.acc,
            INDEX=w.index, **w.grains(self.config.tiles), **constants, **self.config.tiles,
            **self.config.options,
        )  # fmt: skip


def plan(
    w: Walk, dtype: Any, configurations: Configurations, *flags: Any, least_tiles: int = 1
) -> Plan:
    """The cheapest plan; a slab has `least_tiles` tiles or more, if there are as many. `flags` are
    what else the kernel is compiled for, in the tuning key."""
    config = configurations.choose(
        dtype, (*w[:5], *flags), lambda config: _time(w, _cut(w, config, least_tiles))
    )
    return _cut(w, config, least_tiles)


def merged_plan(w: Walk, dtype: Any, configurations: Configurations, *flags: Any) -> Plan:
    """The plan of a sum over the pixels: its slabs are merged by a second launch."""
    return plan(w, dtype, configurations, *flags, least_tiles=_LEAST_TILES)


def _cut(w: Walk, config: Config, least_tiles: int) -> Plan:
    channel_tiles = triton.cdiv(w.channels, config.tiles["CHANNELS"])
    tiles = triton.cdiv(w.pixels, config.tiles["PIXELS"])
    wanted = max(PROGRAMS // max(channel_tiles, 1), 1)
    tiles_each = max(triton.cdiv(tiles, wanted), min(least_tiles, tiles))
    slabs = triton.cdiv(tiles, tiles_each) if tiles else 1  # one, to write the sums of nothing
    return Plan(w, config, channel_tiles, tiles, tiles_each, slabs)


def _time(w: Walk, p: Plan) -> float:
    """In bytes that a program moves while all run: a constant for each tile, whose loads the next
    one waits for, and for each program, over the waves of programs; and the bytes of all tiles,
    more where they lie apart, shared by all programs the machine holds."""
    elements = p.config.tiles["CHANNELS"] * p.config.tiles["PIXELS"]
    bytes_of_tile = sum(elements * (b + 64 / w.run(i, p.config)) for i, b in enumerate(w.itemsizes))
    programs = p.channel_tiles * p.slabs
    waves = triton.cdiv(programs, PROGRAMS)
    waiting = waves * (p.tiles_each * 2048 + 4096) + 96 * programs
    return waiting + programs * p.tiles_each * bytes_of_tile / PROGRAMS
