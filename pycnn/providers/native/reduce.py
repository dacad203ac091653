"""csrc/cpu/reduce.cpp: every reduction."""

from __future__ import annotations

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...geometry import ReduceGeometry
from .registration import native_kernel


@native_kernel("reduce")
def reduce(x: Array, *, out: Array, geometry: ReduceGeometry, epilogue: None = None) -> None:
    _native.reduce(x, out, geometry.op, geometry.axes, geometry.correction)
