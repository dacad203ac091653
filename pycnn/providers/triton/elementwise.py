"""kernels/elementwise.py: every op of the reference's table, one formula each."""

from __future__ import annotations

from typing import Any

from ...dtypes import is_floating_point
from ...geometry import ElementwiseGeometry
from .registration import triton_kernel

_BITWISE = ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not")


def _refuses(geometry: ElementwiseGeometry, operands: Any, epilogue: Any) -> str | None:
    if geometry.op in _BITWISE and is_floating_point(operands[0].dtype):
        return f"{geometry.op} of floating point"
    return None


for _algorithm in ("direct", "naive"):
    triton_kernel("elementwise", _algorithm, "elementwise", _refuses, floating=False)
