"""csrc/cpu/dropout.cpp: dropout whose mask is computed from a counter."""

from __future__ import annotations

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...geometry import DropoutGeometry
from .registration import native_kernel


@native_kernel("dropout", floating=True)
def dropout(
    x: Array, key: Array, *, out: Array, geometry: DropoutGeometry, epilogue: None = None
) -> None:
    _native.dropout(x, key, out, geometry.axes, geometry.p)
