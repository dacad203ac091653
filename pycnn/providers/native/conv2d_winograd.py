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
        return f"{dtype}: its error is too large for halves, and float64 asks for the strict sum"
    return None


def _slower(geometry: Conv2dGeometry, operands: Any) -> str | None:
    """A reason where the transforms cost what the multiplications save.

    Counted in cycles per pair of channels, on a Zen 5 core with AVX-512: 32 multiplications a cycle
    in both; 11 to transform a filter; 20 / C and 20 / K to transform a tile's inputs and outputs,
    which is what few channels do not pay for."""
    g = geometry
    if min(g.N, g.C, g.K) < 1:
        return "there is nothing to compute"
    tiles = g.N * -(-g.P // 4) * -(-g.Q // 4)
    winograd = tiles * 36 / 32 + 11 + tiles * 20 * (1 / g.C + 1 / g.K)
    direct = g.N * g.P * g.Q * 9 / 30
    if winograd < 0.8 * direct:
        return None
    return f"its transforms leave {winograd / direct:.2f} of the direct convolution's cycles"


register_conv2d("winograd", fprop=_refuses, dgrad=_refuses, wgrad=None, slower=_slower)
