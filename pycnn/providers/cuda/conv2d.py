"""csrc/cuda/conv2d_*.cu: the convolution algorithms, special before general, and what each
refuses."""

from __future__ import annotations

from typing import Any

from ...geometry import Conv2dGeometry
from ..compiled import conv2d
from ..compiled.extension import Extension, Refuses
from .gemm import not_halves, not_tf32

_WIDEST = 64  # channels of a group
_TAPS = 64  # of its filters, which lie in shared memory


def register(extension: Extension) -> None:
    def enter(algorithm: str, *passes: Any, **keywords: Any) -> None:
        conv2d.register(extension, algorithm, *passes, **keywords)

    tf32 = _on_tensor_cores(not_tf32, 4)
    enter("depthwise", _not_depthwise, _not_depthwise, _not_depthwise)
    enter("grouped", _not_grouped, _not_grouped, _not_grouped)
    enter("pointwise", *map(_not_pointwise, tf32))
    enter("pixel_shuffle", None, _not_a_shuffle, None)
    enter("tensor_core", *_on_tensor_cores(not_halves, 8))
    enter("tf32", *tf32)
    enter("implicit_gemm", _uncountable, _uncountable, _uncountable)
    enter("im2col", _uncountable, _uncountable, _uncountable)
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


def _not_pointwise(tf32: Refuses) -> Refuses:
    """What a pass refuses, given what the same one in tf32 does."""

    def refuses(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
        if not geometry.is_pointwise:
            return "the filter is not 1x1 without padding"
        if geometry.G != 1:
            return "groups"
        if tf32(geometry, operands, epilogue) is None:
            return "it multiplies float32 exactly, and tf32 is asked for"
        return _uncountable(geometry, operands, epilogue)

    return refuses


def _not_a_shuffle(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    g = geometry
    if g.dilation != (1, 1):
        return "dilation"
    if g.R > g.stride_h or g.S > g.stride_w:
        return "the filter reaches over its stride: pixels meet several taps"
    if g.stride == (1, 1):
        return "stride 1: there is nothing to shuffle"
    return _uncountable(geometry, operands, epilogue)


def _on_tensor_cores(not_taken: Any, width: int) -> tuple[Refuses, Refuses, Refuses]:
    """What the passes of an algorithm refuse that reads vectors of `width` channels."""

    def refuses(geometry: Conv2dGeometry, images: Any, filters: bool, channels: bool) -> str | None:
        g = geometry
        counts = [("filters", g.K)] * filters + [("channels", g.C)] * channels
        for what, count in counts:
            if count == 0 or count // g.G % width:
                return f"{count // g.G} {what} per group are no multiple of {width}"
        for image in images:
            if not (image.channels_last and image.aligned):
                return "an image that is not channels-last, dense and aligned to 16 bytes"
        return _uncountable(g, images, None)

    def fprop(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
        return not_taken(operands) or refuses(geometry, operands[:1], False, True)

    def dgrad(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
        return not_taken(operands) or refuses(geometry, operands[:1], True, True)

    def wgrad(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
        return not_taken(operands) or refuses(geometry, operands, True, True)

    return fprop, dgrad, wgrad


def _uncountable(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    """What check_countable of csrc/cuda/conv2d_implicit_gemm.cuh refuses."""
    g = geometry
    pixels = max(g.N, 1) * max(g.P * g.Q, g.H * g.W)
    if pixels >= 2**31 or (g.C + g.K) * g.R * g.S >= 2**31:
        return "2**31 pixels, or channels and taps, or more"
    reach = max(g.H + g.pad_top + abs(g.pad_bottom), g.W + g.pad_left + abs(g.pad_right))
    return "a padded image of 2**28 rows or columns or more" if reach >= 2**28 else None
