"""csrc/cpu/conv2d_pointwise.cpp and conv2d_pixel_shuffle.cpp: convolutions that are one matrix
product, since no two filter taps meet the same pixel."""

from __future__ import annotations

from typing import Any

from ...geometry import Conv2dGeometry
from .conv2d import register_conv2d


def _not_pointwise(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    if not geometry.is_pointwise:
        return "the filter is not 1x1 without padding"
    if geometry.G != 1:
        return "groups"
    return None


def _not_a_shuffle(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    g = geometry
    if g.G != 1:
        return "groups"
    if any(g.padding):
        return "padding"
    if g.dilation != (1, 1):
        return "dilation"
    if g.R > g.stride_h or g.S > g.stride_w:
        return "the filter reaches over its stride: pixels meet several taps"
    return None


register_conv2d("pointwise", fprop=_not_pointwise, dgrad=_not_pointwise, wgrad=_not_pointwise)
register_conv2d("pixel_shuffle", fprop=None, dgrad=_not_a_shuffle, wgrad=None)
