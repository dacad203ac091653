"""csrc/cpu/im2col.cpp: patches as columns, and their adjoint."""

from __future__ import annotations

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...geometry import Conv2dGeometry
from .registration import native_kernel


@native_kernel("im2col", floating=True)
def im2col(x: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None) -> None:
    _native.im2col(x, out, geometry.values)


@native_kernel("col2im", floating=True)
def col2im(columns: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None) -> None:
    _native.col2im(columns, out, geometry.values)
