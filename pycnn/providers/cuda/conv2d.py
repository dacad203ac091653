"""csrc/cuda/conv2d_*.cu: the convolution algorithms, special before general, and what each
refuses."""

from __future__ import annotations

from typing import Any

from ...geometry import Conv2dGeometry
from ..compiled import conv2d
from ..compiled.extension import Extension

_WIDEST = 64  # channels of a group
_TAPS = 64  # of its filters, which lie in shared memory


def register(extension: Extension) -> None:
    def enter(algorithm: str, *passes: Any, **keywords: Any) -> None:
        conv2d.register(extension, algorithm, *passes, **keywords)

    enter("depthwise", _not_depthwise, _not_depthwise, _not_depthwise)
    enter("grouped", _not_grouped, _not_grouped, _not_grouped)
    enter("naive")


def _not_depthwise(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    g = geometry
    if g.C != g.G:
        return f"takes one channel per group, not {g.G} groups of {g.C} channels"
    return _too_large(g)


def _not_grouped(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    g = geometry
    if g.G < 2:
        return "takes several groups, not one"
    channels, filters = g.C // g.G, g.K // g.G
    if not (0 < channels <= _WIDEST and 0 < filters <= _WIDEST):
        return f"takes 1 to {_WIDEST} channels and filters per group, not {channels} and {filters}"
    if g.R * g.S > _TAPS:
        return f"takes filters of up to {_TAPS} taps, not {g.R}x{g.S}"
    return _too_large(g)


def _too_large(g: Conv2dGeometry) -> str | None:
    """What kernels refuse whose rows, columns and pixels count in 32 bits: conv2d_axis.cuh."""
    rows = max(g.H + g.pad_top, g.P, g.stride_h, g.R * g.dilation_h)
    columns = max(g.W + g.pad_left, g.Q, g.stride_w, g.S * g.dilation_w)
    if max(rows, columns) >= 2**29 or max(g.H * g.W, g.P * g.Q) >= 2**30:
        return f"takes padded images of less than 2**30 pixels, not {g.H} x {g.W}"
    return None
