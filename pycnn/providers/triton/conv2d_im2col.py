"""kernels/conv2d_im2col.py"""

from __future__ import annotations

from typing import Any

from ...geometry import Conv2dGeometry
from .conv2d_pointwise import PIXELS
from .registration import triton_kernel


def _large(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    g = geometry
    return "a plane of 2**30 pixels or more" if max(g.H * g.W, g.P * g.Q) >= PIXELS else None


for _pass in ("fprop", "dgrad", "wgrad"):
    triton_kernel(f"conv2d_{_pass}", "im2col", "conv2d_im2col", _large)
