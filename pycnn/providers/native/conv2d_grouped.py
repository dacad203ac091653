"""csrc/cpu/conv2d_grouped.cpp: 4, 8, 16 or 32 channels per group."""

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


register_conv2d("grouped", _refuses, _refuses, _refuses)
