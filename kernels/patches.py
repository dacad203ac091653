"""Where outputs, inputs and taps of a convolution meet, along one axis of the image.

Row i of the output, row a of what is read (the source: x in fprop, dy in dgrad) and tap r meet
where

    a * source + r * tap = i * target + shift

with (source, tap, target, shift) = (1, -Dh, Sh, -top) in fprop and (Sh, Dh, 1, top) in dgrad. A
patch is a block of outputs that begins at a multiple of the stride. With i and a counted from its
corner the pattern is the same for every patch and known when compiling: the functions below unroll
over it. Where there are too many taps for that, a kernel loops: `looped`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import triton
import triton.language as tl

from ..geometry import Conv2dGeometry
from .numbers import counted


@dataclass(frozen=True)
class Axis:
    """Where rows of the output, rows of the source and taps meet, along one axis."""

    source: int
    tap: int
    target: int
    shift: int
    taps: int
    patch: int = 1  # outputs of a patch, a multiple of `source`

    def patched(self, outputs: int) -> Axis:
        """With patches of at least `outputs`."""
        return replace(self, patch=-(-outputs // self.source) * self.source)


@triton.constexpr_function
def outputs(axis):
    """Outputs of a patch."""
    return axis.patch


@triton.constexpr_function
def taps(axis):
    return axis.taps


@triton.constexpr_function
def origin(axis):
    """Rows of the source from one patch to the next."""
    return axis.patch * axis.target // axis.source


@triton.constexpr_function
def reach(axis):
    """The rows of the source that a patch reads, counted from its corner."""
    sums = [
        i * axis.target + axis.shift - r * axis.tap
        for i in range(axis.patch)
        for r in range(axis.taps)
    ]
    return sorted({at // axis.source for at in sums if at % axis.source == 0})


@triton.constexpr_function
def reaches(axis):
    """How many there are."""
    return len(reach(axis))


@triton.constexpr_function
def reached(axis, n):
    """The n-th of them."""
    return reach(axis)[n]


@triton.constexpr_function
def tap(axis, i, a):
    """The tap between output i of a patch and row a of the source; a negative number for none."""
    r, rest = divmod(i * axis.target + axis.shift - a * axis.source, axis.tap)
    return r if rest == 0 and r < axis.taps else -1


@triton.jit
def place(block, step, steps, per_image, columns, end, BLOCK: tl.constexpr):
    """(image, row, column) of the patches of one step of a program, the image in 64 bits; all
    programs together count to `end`."""
    first = counted(block, end) * (steps * BLOCK)
    i = (first % per_image).to(tl.int32) + step * BLOCK + tl.arange(0, BLOCK)
    rest = i % per_image
    return (first // per_image).to(tl.int64) + i // per_image, rest // columns, rest % columns


def axes_of(geometry: Conv2dGeometry, adjoint: bool) -> tuple[Axis, Axis]:
    """The two axes of fprop, or of dgrad."""
    g = geometry
    if adjoint:
        return (
            Axis(g.stride_h, g.dilation_h, 1, g.pad_top, g.R),
            Axis(g.stride_w, g.dilation_w, 1, g.pad_left, g.S),
        )
    return (
        Axis(1, -g.dilation_h, g.stride_h, -g.pad_top, g.R),
        Axis(1, -g.dilation_w, g.stride_w, -g.pad_left, g.S),
    )


def looped(axis: Axis) -> tuple[int, ...]:
    """The axis, and how `_gather` finds its taps: t - r * tap is a multiple of the source's stride
    for r = t / divisor * inverse modulo `stride`, if the divisor divides t."""
    divisor = math.gcd(axis.source, axis.tap)
    stride = axis.source // divisor
    inverse = pow(axis.tap // divisor, -1, stride) if stride > 1 else 0
    return (axis.source, axis.tap, axis.target, axis.shift, axis.taps, divisor, inverse, stride)
