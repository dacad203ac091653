"""csrc/cpu/conv2d_grouped.cpp: 4, 8, 16 or 32 channels per group, several groups in a vector."""

from __future__ import annotations

from typing import Any

from ...geometry import Conv2dGeometry
from .conv2d import register_conv2d
from .tiles import refuses_tiles


def _refuses(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    g = geometry
    channels, filters = g.C // g.G, g.K // g.G
    if channels != filters or channels not in (4, 8, 16, 32):
        return f"takes 4, 8, 16 or 32 channels and filters per group, not {channels} and {filters}"
    return refuses_tiles(g)


def _slower(geometry: Conv2dGeometry, operands: Any) -> str | None:
    channels = geometry.C // geometry.G
    if channels >= 16:
        return f"{channels} channels per group fill the vectors of the general kernels"
    return None


register_conv2d("grouped", _refuses, _refuses, _refuses, _slower)
