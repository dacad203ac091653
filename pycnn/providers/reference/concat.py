"""Joining arrays along one axis, and cutting one into parts.

Computes   concat: out = the inputs one after the other along geometry.axis
           split: outputs = x cut there into geometry.sizes
Arrays     inputs and outputs agree in every other dimension; any dtype and strides
Numerics   exact
Traffic    every element read once, written once
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...array import Array
from ...dispatch import register
from ...geometry import ConcatGeometry


def _parts(a: Array, geometry: ConcatGeometry) -> Iterator[Array]:
    """The views of `a` along the axis, in order."""
    lead = (slice(None),) * geometry.axis
    start = 0
    for size in geometry.sizes:
        yield a[(*lead, slice(start, start + size))]
        start += size


@register("concat", "reference", "direct")
def concat(*inputs: Array, out: Array, geometry: ConcatGeometry, epilogue: None = None) -> None:
    for x, part in zip(inputs, _parts(out, geometry), strict=True):
        part[...] = x


@register("split", "reference", "direct")
def split(
    x: Array, *, out: Sequence[Array], geometry: ConcatGeometry, epilogue: None = None
) -> None:
    for part, y in zip(_parts(x, geometry), out, strict=True):
        y[...] = part
