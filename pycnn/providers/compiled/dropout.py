"""Dropout whose mask is computed from a counter."""

from __future__ import annotations

from ...array import Array
from ...geometry import DropoutGeometry
from .extension import Extension


def register(extension: Extension) -> None:
    call = extension.functions

    @extension.kernel("dropout", floating=True)
    def dropout(
        x: Array, key: Array, *, out: Array, geometry: DropoutGeometry, epilogue: None = None
    ) -> None:
        call.dropout(x, key, out, geometry.axes, geometry.p)
