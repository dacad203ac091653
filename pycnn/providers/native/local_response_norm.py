"""csrc/cpu/local_response_norm.cpp."""

from __future__ import annotations

from typing import Any

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...dispatch import register
from ...dtypes import FLOATING
from ...geometry import LocalResponseNormGeometry


def _refuses(geometry: Any, operands: Any, epilogue: Any) -> str | None:
    dtype = operands[0].dtype
    return None if dtype in FLOATING else f"{dtype} is not a floating-point dtype"


@register("local_response_norm_fprop", "native", "direct", _refuses, devices=("cpu",))
def local_response_norm_fprop(
    x: Array, *, out: Array, geometry: LocalResponseNormGeometry, epilogue: None = None
) -> None:
    _native.local_response_norm_fprop(x, out, geometry.values)


@register("local_response_norm_dgrad", "native", "direct", _refuses, devices=("cpu",))
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
