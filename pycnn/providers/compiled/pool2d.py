"""Max and average pooling, "direct" and "naive": one output at a time."""

from __future__ import annotations

from typing import Any

from ...array import Array
from ...dtypes import bool_
from ...geometry import Pool2dGeometry
from .extension import Extension


def _refuses_bool(geometry: Any, operands: Any, epilogue: Any) -> str | None:
    return "bool is not pooled" if operands[0].dtype == bool_ else None


def register(extension: Extension) -> None:
    for algorithm in ("direct", "naive"):
        _register(extension, algorithm)


def _register(extension: Extension, algorithm: str) -> None:
    call = extension.functions

    @extension.kernel("max_pool2d_fprop", algorithm, _refuses_bool)
    def max_pool2d_fprop(
        x: Array, *, out: tuple[Array, Array], geometry: Pool2dGeometry, epilogue: None = None
    ) -> None:
        call.max_pool2d_fprop(x, out[0], out[1], geometry.values, algorithm)

    @extension.kernel("max_pool2d_dgrad", algorithm, floating=True)
    def max_pool2d_dgrad(
        dy: Array, offsets: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
    ) -> None:
        call.max_pool2d_dgrad(dy, offsets, out, geometry.values, algorithm)

    @extension.kernel("avg_pool2d_fprop", algorithm, _refuses_bool)
    def avg_pool2d_fprop(
        x: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
    ) -> None:
        call.avg_pool2d_fprop(x, out, geometry.values, algorithm)

    @extension.kernel("avg_pool2d_dgrad", algorithm, floating=True)
    def avg_pool2d_dgrad(
        dy: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
    ) -> None:
        call.avg_pool2d_dgrad(dy, out, geometry.values, algorithm)
