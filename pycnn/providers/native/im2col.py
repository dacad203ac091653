"""csrc/cpu/im2col.cpp: patches as columns, and their adjoint."""

from __future__ import annotations

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...dispatch import refuses_nothing, register
from ...geometry import Conv2dGeometry
from .refusals import floating_only

_refuses = floating_only(refuses_nothing)


@register("im2col", "native", "direct", _refuses, devices=("cpu",))
def im2col(x: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None) -> None:
    _native.im2col(x, out, geometry.values)


@register("col2im", "native", "direct", _refuses, devices=("cpu",))
def col2im(columns: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None) -> None:
    _native.col2im(columns, out, geometry.values)
