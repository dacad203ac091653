"""csrc/cpu/elementwise*.cpp: every op of the reference's table, one formula each."""

from __future__ import annotations

from typing import Any

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...dtypes import FLOATING
from ...geometry import ElementwiseGeometry
from .registration import native_kernel

_OPS = frozenset(_native.elementwise_ops())
_BITWISE = ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not")


def _refuses(geometry: ElementwiseGeometry, operands: Any, epilogue: Any) -> str | None:
    if geometry.op not in _OPS:
        return f"no formula for the op {geometry.op!r}"
    if geometry.op in _BITWISE and operands[0].dtype in FLOATING:
        return f"{geometry.op} of floating point"
    return None


@native_kernel("elementwise", refuses=_refuses)
def elementwise(
    *inputs: Array, out: Array, geometry: ElementwiseGeometry, epilogue: None = None
) -> None:
    _native.elementwise(inputs, out, geometry.op, geometry.parameters)
