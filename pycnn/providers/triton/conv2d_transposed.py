"""kernels/conv2d_transposed.py: input gradients with strides, by phases or by one product."""

from __future__ import annotations

from typing import Any

from ...geometry import Conv2dGeometry
from .registration import triton_kernel


def _not_a_shuffle(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    g = geometry
    if g.dilation != (1, 1):
        return "dilation"
    if g.R > g.stride_h or g.S > g.stride_w:
        return "taps overlap: the filter is larger than the stride"
    return None


def _mostly_zeros(geometry: Conv2dGeometry, operands: Any) -> str | None:
    g = geometry
    if (g.R, g.S) != g.stride:
        return "a filter under the stride: most of the product is zeros"
    return None


def _one_phase(geometry: Conv2dGeometry, operands: Any, epilogue: Any) -> str | None:
    return "stride 1 has one phase: implicit_gemm takes it" if geometry.stride == (1, 1) else None


triton_kernel(
    "conv2d_dgrad", "pixel_shuffle", "conv2d_transposed", _not_a_shuffle, slower=_mostly_zeros
)
triton_kernel("conv2d_dgrad", "phases", "conv2d_transposed", _one_phase)
