"""Patches as columns, and their adjoint."""

from __future__ import annotations

from ...array import Array
from ...geometry import Conv2dGeometry
from .extension import Extension


def register(extension: Extension) -> None:
    call = extension.functions

    @extension.kernel("im2col", floating=True)
    def im2col(x: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None) -> None:
        call.im2col(x, out, geometry.values)

    @extension.kernel("col2im", floating=True)
    def col2im(
        columns: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None
    ) -> None:
        call.col2im(columns, out, geometry.values)
