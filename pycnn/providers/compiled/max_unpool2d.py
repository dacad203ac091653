"""Max unpooling and its gradient."""

from __future__ import annotations

from ...array import Array
from ...geometry import Pool2dGeometry
from .extension import Extension


def register(extension: Extension) -> None:
    call = extension.functions

    @extension.kernel("max_unpool2d_fprop", floating=True)
    def max_unpool2d_fprop(
        x: Array, indices: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
    ) -> None:
        call.max_unpool2d_fprop(x, indices, out)

    @extension.kernel("max_unpool2d_dgrad", floating=True)
    def max_unpool2d_dgrad(
        dy: Array, indices: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
    ) -> None:
        call.max_unpool2d_dgrad(dy, indices, out)
