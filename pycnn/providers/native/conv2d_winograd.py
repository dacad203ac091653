"""csrc/cpu/conv2d_winograd.cpp: Winograd's F(4x4, 3x3), a quarter of the multiplications."""

from __future__ import annotations

from typing import Any

from ...geometry import Conv2dGeometry
from .conv2d import register_conv2d


def _refuses(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    if (geometry.R, geometry.S) != (3, 3):
        return f"the filter is {geometry.R}x{geometry.S}, not 3x3"
    if geometry.stride != (1, 1) or geometry.dilation != (1, 1) or geometry.G != 1:
        return "stride, dilation and groups must be 1"
    dtype = operands[0].dtype
    if dtype != "float32":
        return f"{dtype}: its error is too large for halves, and float64 asks for the exact sum"
    return None


register_conv2d("winograd", fprop=_refuses, dgrad=_refuses, wgrad=None)
