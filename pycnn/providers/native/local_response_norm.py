"""csrc/cpu/local_response_norm.cpp."""

from __future__ import annotations

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...geometry import LocalResponseNormGeometry
from .registration import native_kernel


@native_kernel("local_response_norm_fprop", floating=True)
def local_response_norm_fprop(
    x: Array, *, out: Array, geometry: LocalResponseNormGeometry, epilogue: None = None
) -> None:
    _native.local_response_norm_fprop(x, out, geometry.values)


@native_kernel("local_response_norm_dgrad", floating=True)
def local_response_norm_dgrad(
    dy: Array,
    x: Array,
    y: Array,
    *,
    out: Array,
    geometry: LocalResponseNormGeometry,
    epilogue: None = None,
) -> None:
    _native.local_response_norm_dgrad(dy, x, y, out, geometry.values)
