"""csrc/cpu/conv2d_depthwise.cpp: one filter per channel, vectors along the channels."""

from __future__ import annotations

from typing import Any

from ...geometry import Conv2dGeometry
from .conv2d import register_conv2d


def _refuses(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    g = geometry
    if g.C != g.G or g.K != g.G:
        return f"takes one filter per channel, not {g.G} groups of {g.C} channels and {g.K} filters"
    return None


register_conv2d("depthwise", _refuses, _refuses, None)
