"""Local response normalisation and its gradient."""

from __future__ import annotations

from ...array import Array
from ...geometry import LocalResponseNormGeometry
from .extension import Extension


def register(extension: Extension) -> None:
    call = extension.functions

    @extension.kernel("local_response_norm_fprop", floating=True)
    def local_response_norm_fprop(
        x: Array, *, out: Array, geometry: LocalResponseNormGeometry, epilogue: None = None
    ) -> None:
        call.local_response_norm_fprop(x, out, geometry.values)

    @extension.kernel("local_response_norm_dgrad", floating=True)
    def local_response_norm_dgrad(
        dy: Array,
        x: Array,
        y: Array,
        *,
        out: Array,
        geometry: LocalResponseNormGeometry,
        epilogue: None = None,
    ) -> None:
        call.local_response_norm_dgrad(dy, x, y, out, geometry.values)
