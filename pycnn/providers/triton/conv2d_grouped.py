"""kernels/conv2d_grouped.py"""

from __future__ import annotations

from typing import Any

from ...geometry import Conv2dGeometry
from .registration import triton_kernel

_WIDEST = 64  # channels of a tile


def _refuses(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    g = geometry
    if g.G < 2:
        return "takes several groups, not one"
    channels, filters = g.C // g.G, g.K // g.G
    if not (0 < channels <= _WIDEST and 0 < filters <= _WIDEST):
        return f"takes 1 to {_WIDEST} channels and filters per group, not {channels} and {filters}"
    if max(g.H * g.W, g.P * g.Q) >= 2**31:
        return f"takes planes of less than 2**31 pixels, not {g.H} x {g.W}"
    return None


for _primitive in ("conv2d_fprop", "conv2d_dgrad", "conv2d_wgrad"):
    triton_kernel(_primitive, "grouped", "conv2d_grouped", _refuses)
