"""Sum and activation in one pass."""

from __future__ import annotations

from ...array import Array
from ...geometry import ElementwiseGeometry
from .extension import Extension


def register(extension: Extension) -> None:
    call = extension.functions

    @extension.kernel("add_activation")
    def add_activation(
        a: Array, b: Array, *, out: Array, geometry: ElementwiseGeometry, epilogue: None = None
    ) -> None:
        call.add_activation(a, b, out, geometry.op)
