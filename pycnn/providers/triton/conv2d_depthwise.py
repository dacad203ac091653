"""kernels/conv2d_depthwise.py"""

from __future__ import annotations

from typing import Any

from ...geometry import Conv2dGeometry
from .registration import triton_kernel


def _refuses(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    g = geometry
    if g.C != g.G:
        return f"takes one channel per group, not {g.G} groups of {g.C} channels"
    if max(g.H * g.W, g.P * g.Q) >= 2**31:
        return f"takes planes of less than 2**31 pixels, not {g.H} x {g.W}"
    return None


for _primitive in ("conv2d_fprop", "conv2d_dgrad", "conv2d_wgrad"):
    triton_kernel(_primitive, "depthwise", "conv2d_depthwise", _refuses)
