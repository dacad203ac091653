"""Resampling, on the tables of the reference."""

from __future__ import annotations

from typing import Any

from ...array import Array
from ...dtypes import FLOATING
from ...geometry import Resize2dGeometry
from ..resize_tables import tables, weight_dtype
from .extension import Extension


def _refuses_integers_but_nearest(geometry: Any, operands: Any, epilogue: Any) -> str | None:
    dtype = operands[0].dtype
    if dtype in FLOATING or geometry.mode in ("nearest", "nearest-exact"):
        return None
    return f"{geometry.mode} takes floating-point dtypes, not {dtype}"


def register(extension: Extension) -> None:
    call = extension.functions

    @extension.kernel("resize2d_fprop", refuses=_refuses_integers_but_nearest)
    def resize2d_fprop(
        x: Array, *, out: Array, geometry: Resize2dGeometry, epilogue: None = None
    ) -> None:
        call.resize2d(x, out, *tables(geometry, weight_dtype(x.dtype), False))

    @extension.kernel("resize2d_dgrad", floating=True)
    def resize2d_dgrad(
        dy: Array, *, out: Array, geometry: Resize2dGeometry, epilogue: None = None
    ) -> None:
        call.resize2d(dy, out, *tables(geometry, weight_dtype(dy.dtype), True))
