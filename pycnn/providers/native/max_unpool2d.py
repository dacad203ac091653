"""csrc/cpu/max_unpool2d.cpp."""

from __future__ import annotations

from typing import Any

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...dispatch import register
from ...dtypes import FLOATING
from ...geometry import Pool2dGeometry


def _refuses(geometry: Any, operands: Any, epilogue: Any) -> str | None:
    dtype = operands[0].dtype
    return None if dtype in FLOATING else f"{dtype} is not a floating-point dtype"


@register("max_unpool2d_fprop", "native", "direct", _refuses, devices=("cpu",))
def max_unpool2d_fprop(
    x: Array, indices: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    _native.max_unpool2d_fprop(x, indices, out)


@register("max_unpool2d_dgrad", "native", "direct", _refuses, devices=("cpu",))
def max_unpool2d_dgrad(
    dy: Array, indices: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    _native.max_unpool2d_dgrad(dy, indices, out)
