"""What the kernels refuse that copy bands of rows with their padding: csrc/cpu/conv2d_tiles.h."""

from __future__ import annotations

from ...geometry import Conv2dGeometry


def refuses_tiles(g: Conv2dGeometry) -> str | None:
    if max(g.stride) > 32:
        return f"takes strides up to 32, not {max(g.stride)}"
    down = (g.R - 1) * g.dilation_h + g.pad_top + abs(g.pad_bottom)
    across = (g.S - 1) * g.dilation_w + g.pad_left + abs(g.pad_right)
    if down > 4 * g.H + 64 or across > 4 * g.W + 64:
        return "takes padding and dilated filters of at most 4 times the image and 64 more"
    return None
