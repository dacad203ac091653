"""Every op of the reference's table, one formula each."""

from __future__ import annotations

from typing import Any

from ...array import Array
from ...dtypes import FLOATING
from ...geometry import ElementwiseGeometry
from .extension import Extension

_BITWISE = ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not")


def register(extension: Extension) -> None:
    call = extension.functions
    ops = frozenset(extension.modules[0].elementwise_ops())

    def refuses(geometry: ElementwiseGeometry, operands: Any, epilogue: Any) -> str | None:
        if geometry.op not in ops:
            return f"no formula for the op {geometry.op!r}"
        if geometry.op in _BITWISE and operands[0].dtype in FLOATING:
            return f"{geometry.op} of floating point"
        return None

    @extension.kernel("elementwise", refuses=refuses)
    def elementwise(
        *inputs: Array, out: Array, geometry: ElementwiseGeometry, epilogue: None = None
    ) -> None:
        call.elementwise(inputs, out, geometry.op, geometry.parameters)
