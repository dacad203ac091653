"""csrc/cpu/conv2d_*.cpp: the convolution algorithms, special before general, and what each
refuses."""

from __future__ import annotations

from typing import Any

from ...geometry import Conv2dGeometry
from ..compiled import conv2d
from ..compiled.extension import Extension


def register(extension: Extension) -> None:
    def enter(algorithm: str, *passes: Any, **keywords: Any) -> None:
        conv2d.register(extension, algorithm, *passes, **keywords)

    enter("winograd", _not_winograd, _not_winograd, None, slower=_winograd_slower)
    enter("depthwise", _not_depthwise, _not_depthwise, _not_depthwise_wgrad)
    enter("grouped", _not_grouped, _not_grouped, _not_grouped)
    enter("pointwise", _not_pointwise, _not_pointwise, _not_pointwise)
    enter("pixel_shuffle", None, _not_a_shuffle, None)
    enter("direct")
    enter("im2col")
    enter("naive")


def _not_winograd(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    if (geometry.R, geometry.S) != (3, 3):
        return f"the filter is {geometry.R}x{geometry.S}, not 3x3"
    if geometry.stride != (1, 1) or geometry.dilation != (1, 1) or geometry.G != 1:
        return "stride, dilation and groups must be 1"
    dtype = operands[0].dtype
    if dtype != "float32":
        return f"{dtype}: its error is too large for halves, and float64 asks for the strict sum"
    return None


def _winograd_slower(geometry: Conv2dGeometry, operands: Any) -> str | None:
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


def _not_depthwise(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    g = geometry
    if g.C != g.G or g.K != g.G:
        return f"takes one filter per channel, not {g.G} groups of {g.C} channels and {g.K} filters"
    return None


def _not_depthwise_wgrad(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    return _not_depthwise(geometry, operands, epilogue) or _not_in_bands(geometry)


def _not_grouped(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    g = geometry
    channels, filters = g.C // g.G, g.K // g.G
    if channels != filters or channels not in (4, 8, 16, 32):
        return f"takes 4, 8, 16 or 32 channels and filters per group, not {channels} and {filters}"
    return _not_in_bands(g)


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


def _not_in_bands(g: Conv2dGeometry) -> str | None:
    """What the kernels refuse that copy bands of rows with their padding: conv2d_tiles.h."""
    if max(g.stride) > 32:
        return f"takes strides up to 32, not {max(g.stride)}"
    down = (g.R - 1) * g.dilation_h + g.pad_top + abs(g.pad_bottom)
    across = (g.S - 1) * g.dilation_w + g.pad_left + abs(g.pad_right)
    if down > 4 * g.H + 64 or across > 4 * g.W + 64:
        return "takes padding and dilated filters of at most 4 times the image and 64 more"
    return None
