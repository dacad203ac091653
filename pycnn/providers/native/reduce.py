"""csrc/cpu/reduce.cpp: every reduction."""

from __future__ import annotations

from typing import Any

from ... import _native  # type: ignore[attr-defined]
from ...array import Array
from ...dispatch import register
from ...geometry import ReduceGeometry

_MOST_AXES = 8


def _refuses(geometry: ReduceGeometry, operands: Any, epilogue: Any) -> str | None:
    return f"more than {_MOST_AXES} axes" if operands[0].ndim > _MOST_AXES else None


@register("reduce", "native", "direct", _refuses, devices=("cpu",))
def reduce(x: Array, *, out: Array, geometry: ReduceGeometry, epilogue: None = None) -> None:
    _native.reduce(x, out, geometry.op, geometry.axes, geometry.correction)
