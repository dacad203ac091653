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


def worthwhile(geometry: Conv2dGeometry) -> bool:
    """Whether a 3x3 convolution of stride 1 takes at most 0.8 of the time of a direct one.

    Counted in cycles per pair of channels, on a Zen 5 core with AVX-512: 32 multiplications a cycle
    in both; 11 to transform a filter; 20 / C and 20 / K to transform a tile's inputs and outputs,
    which is what few channels do not pay for. Within 20 % of what was measured on maps of 7x7 to
    112x112 with 16 to 512 channels, N = 1 and 8: a 7x7 map alone is not worthwhile, 14x14 is."""
    g = geometry
    if min(g.N, g.C, g.K) < 1:
        return False
    tiles = g.N * -(-g.P // 4) * -(-g.Q // 4)
    winograd = tiles * 36 / 32 + 11 + tiles * 20 * (1 / g.C + 1 / g.K)
    direct = g.N * g.P * g.Q * 9 / 30
    return winograd < 0.8 * direct


register_conv2d("winograd", fprop=_refuses, dgrad=_refuses, wgrad=None)
