"""kernels/local_response_norm.py"""

from __future__ import annotations

from typing import Any

from ...geometry import LocalResponseNormGeometry
from .registration import triton_kernel

_WIDEST = 9  # channels of a window that are unrolled


def _refuses(geometry: LocalResponseNormGeometry, operands: Any, epilogue: Any) -> str | None:
    if geometry.size > _WIDEST:
        return f"takes windows of up to {_WIDEST} channels, not {geometry.size}"
    return None


for _primitive in ("local_response_norm_fprop", "local_response_norm_dgrad"):
    triton_kernel(_primitive, "direct", "local_response_norm", _refuses)
    triton_kernel(_primitive, "naive", "local_response_norm")
