"""csrc/cpu/concat.cpp: joining arrays along one axis, and cutting one into parts."""

from __future__ import annotations

from collections.abc import Sequence

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...dispatch import register
from ...geometry import ConcatGeometry


@register("concat", "native", "direct", devices=("cpu",))
def concat(*inputs: Array, out: Array, geometry: ConcatGeometry, epilogue: None = None) -> None:
    _native.concat(inputs, out, geometry.axis)


@register("split", "native", "direct", devices=("cpu",))
def split(
    x: Array, *, out: Sequence[Array], geometry: ConcatGeometry, epilogue: None = None
) -> None:
    _native.split(x, out, geometry.axis)
