"""csrc/cpu/softmax.cpp: softmax and log-softmax along one axis, and their gradients."""

from __future__ import annotations

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...geometry import SoftmaxGeometry
from .registration import native_kernel


@native_kernel("softmax_fprop")
def softmax_fprop(
    x: Array, *, out: Array, geometry: SoftmaxGeometry, epilogue: None = None
) -> None:
    _native.softmax_fprop(x, out, geometry.axis, geometry.log)


@native_kernel("softmax_dgrad")
def softmax_dgrad(
    dy: Array, y: Array, *, out: Array, geometry: SoftmaxGeometry, epilogue: None = None
) -> None:
    _native.softmax_dgrad(dy, y, out, geometry.axis, geometry.log)
