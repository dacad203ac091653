"""csrc/cpu/concat.cpp: joining arrays along one axis, and cutting one into parts."""

from __future__ import annotations

from collections.abc import Sequence

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...geometry import ConcatGeometry
from .registration import native_kernel


@native_kernel("concat")
def concat(*inputs: Array, out: Array, geometry: ConcatGeometry, epilogue: None = None) -> None:
    _native.concat(inputs, out, geometry.axis)


@native_kernel("split")
def split(
    x: Array, *, out: Sequence[Array], geometry: ConcatGeometry, epilogue: None = None
) -> None:
    _native.split(x, out, geometry.axis)
