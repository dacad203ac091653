"""csrc/cpu/max_unpool2d.cpp."""

from __future__ import annotations

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...geometry import Pool2dGeometry
from .registration import native_kernel


@native_kernel("max_unpool2d_fprop", floating=True)
def max_unpool2d_fprop(
    x: Array, indices: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    _native.max_unpool2d_fprop(x, indices, out)


@native_kernel("max_unpool2d_dgrad", floating=True)
def max_unpool2d_dgrad(
    dy: Array, indices: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    _native.max_unpool2d_dgrad(dy, indices, out)
