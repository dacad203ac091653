"""csrc/cpu/conv2d_depthwise.cpp: one filter per channel, vectors along the channels."""

from __future__ import annotations

from typing import Any

from ...geometry import Conv2dGeometry
from .conv2d import register_conv2d
from .tiles import refuses_tiles


def _refuses(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    g = geometry
    if g.C != g.G or g.K != g.G:
        return f"takes one filter per channel, not {g.G} groups of {g.C} channels and {g.K} filters"
    return None


def _refuses_wgrad(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    return _refuses(geometry, operands, epilogue) or refuses_tiles(geometry)


register_conv2d("depthwise", _refuses, _refuses, _refuses_wgrad)
