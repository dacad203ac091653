"""Joining arrays along one axis, and cutting one into parts."""

from __future__ import annotations

from collections.abc import Sequence

from ...array import Array
from ...geometry import ConcatGeometry
from .extension import Extension


def register(extension: Extension) -> None:
    call = extension.functions

    @extension.kernel("concat")
    def concat(*inputs: Array, out: Array, geometry: ConcatGeometry, epilogue: None = None) -> None:
        call.concat(inputs, out, geometry.axis)

    @extension.kernel("split")
    def split(
        x: Array, *, out: Sequence[Array], geometry: ConcatGeometry, epilogue: None = None
    ) -> None:
        call.split(x, out, geometry.axis)
