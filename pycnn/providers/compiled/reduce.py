"""Every reduction."""

from __future__ import annotations

from ...array import Array
from ...geometry import ReduceGeometry
from .extension import Extension


def register(extension: Extension) -> None:
    call = extension.functions

    @extension.kernel("reduce")
    def reduce(x: Array, *, out: Array, geometry: ReduceGeometry, epilogue: None = None) -> None:
        call.reduce(x, out, geometry.op, geometry.axes, geometry.correction)
