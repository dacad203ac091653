"""Softmax and log-softmax along one axis, and their gradients."""

from __future__ import annotations

from ...array import Array
from ...geometry import SoftmaxGeometry
from .extension import Extension


def register(extension: Extension) -> None:
    call = extension.functions

    @extension.kernel("softmax_fprop")
    def softmax_fprop(
        x: Array, *, out: Array, geometry: SoftmaxGeometry, epilogue: None = None
    ) -> None:
        call.softmax_fprop(x, out, geometry.axis, geometry.log)

    @extension.kernel("softmax_dgrad")
    def softmax_dgrad(
        dy: Array, y: Array, *, out: Array, geometry: SoftmaxGeometry, epilogue: None = None
    ) -> None:
        call.softmax_dgrad(dy, y, out, geometry.axis, geometry.log)
