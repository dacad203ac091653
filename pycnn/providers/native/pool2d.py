"""csrc/cpu/{max,avg}_pool2d_{fprop,dgrad}.cpp, and pool2d_naive.cpp: one output at a time."""

from __future__ import annotations

from typing import Any

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...dtypes import bool_
from ...geometry import Pool2dGeometry
from .registration import native_kernel


def _refuses_bool(geometry: Any, operands: Any, epilogue: Any) -> str | None:
    return "bool is not pooled" if operands[0].dtype == bool_ else None


def _register(algorithm: str) -> None:
    @native_kernel("max_pool2d_fprop", algorithm, _refuses_bool)
    def max_pool2d_fprop(
        x: Array, *, out: tuple[Array, Array], geometry: Pool2dGeometry, epilogue: None = None
    ) -> None:
        _native.max_pool2d_fprop(x, out[0], out[1], geometry.values, algorithm)

    @native_kernel("max_pool2d_dgrad", algorithm, floating=True)
    def max_pool2d_dgrad(
        dy: Array, offsets: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
    ) -> None:
        _native.max_pool2d_dgrad(dy, offsets, out, geometry.values, algorithm)

    @native_kernel("avg_pool2d_fprop", algorithm, _refuses_bool)
    def avg_pool2d_fprop(
        x: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
    ) -> None:
        _native.avg_pool2d_fprop(x, out, geometry.values, algorithm)

    @native_kernel("avg_pool2d_dgrad", algorithm, floating=True)
    def avg_pool2d_dgrad(
        dy: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
    ) -> None:
        _native.avg_pool2d_dgrad(dy, out, geometry.values, algorithm)


_register("direct")
_register("naive")
