"""kernels/conv2d_pointwise.py"""

from __future__ import annotations

from typing import Any

from ...geometry import Conv2dGeometry
from .registration import triton_kernel

PIXELS = 2**30  # a kernel counts them in 32 bits, a tile past the last one included


def _not_pointwise(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    g = geometry
    if not g.is_pointwise:
        return "the filter is not 1x1 without padding"
    if g.N * g.P * g.Q >= PIXELS:
        return "2**30 pixels or more"
    return None


for _pass in ("fprop", "dgrad", "wgrad"):
    triton_kernel(f"conv2d_{_pass}", "pointwise", "conv2d_pointwise", _not_pointwise)
