"""csrc/cpu/add_activation.cpp: sum and activation in one pass."""

from __future__ import annotations

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...geometry import ElementwiseGeometry
from .registration import native_kernel


@native_kernel("add_activation")
def add_activation(
    a: Array, b: Array, *, out: Array, geometry: ElementwiseGeometry, epilogue: None = None
) -> None:
    _native.add_activation(a, b, out, geometry.op)
