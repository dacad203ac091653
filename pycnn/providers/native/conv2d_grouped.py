"""csrc/cpu/conv2d_grouped.cpp: 4, 8, 16 or 32 channels per group, several groups in a vector."""

from __future__ import annotations

from typing import Any

from ...geometry import Conv2dGeometry
from .conv2d import register_conv2d


def _refuses(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    g = geometry
    channels, filters = g.C // g.G, g.K // g.G
    if channels != filters or channels not in (4, 8, 16, 32):
        return f"takes 4, 8, 16 or 32 channels and filters per group, not {channels} and {filters}"
    if max(g.stride) > 4:
        return f"takes strides up to 4, not {max(g.stride)}"
    down = (g.R - 1) * g.dilation_h + g.pad_top + abs(g.pad_bottom)
    across = (g.S - 1) * g.dilation_w + g.pad_left + abs(g.pad_right)
    if down > 4 * g.H + 64 or across > 4 * g.W + 64:
        return "takes padding and dilated filters of at most 4 times the image and 64 more"
    return None


register_conv2d("grouped", _refuses, _refuses, None)
