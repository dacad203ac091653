"""csrc/cpu/im2col.cpp: patches as columns, and their adjoint."""

from __future__ import annotations

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...dispatch import register
from ...geometry import Conv2dGeometry


@register("im2col", "native", "direct", devices=("cpu",))
def im2col(x: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None) -> None:
    _native.im2col(x, out, geometry.values)


@register("col2im", "native", "direct", devices=("cpu",))
def col2im(columns: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None) -> None:
    _native.col2im(columns, out, geometry.values)
