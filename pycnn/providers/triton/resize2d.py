"""kernels/resize2d.py"""

from __future__ import annotations

from typing import Any

from ...dtypes import is_floating_point
from ...geometry import Resize2dGeometry
from ..resize_tables import tables, weight_dtype
from .registration import Refuses, triton_kernel

_MOST_TAPS = (
    25  # of an output, over both axes, that are unrolled: bilinear 2x, turned round, has 25
)


def _refuses_integers_but_nearest(geometry: Any, operands: Any, epilogue: Any) -> str | None:
    dtype = operands[0].dtype
    if is_floating_point(dtype) or geometry.mode in ("nearest", "nearest-exact"):
        return None
    return f"{geometry.mode} takes floating-point dtypes, not {dtype}"


def _refuses_many_taps(transpose: bool) -> Refuses:
    def refuses(geometry: Resize2dGeometry, operands: Any, epilogue: Any) -> str | None:
        dtype = weight_dtype(operands[0].dtype)
        rows, columns = (taps.source.shape[1] for taps in tables(geometry, dtype, transpose))
        if rows * columns > _MOST_TAPS:
            return f"takes up to {_MOST_TAPS} taps per output, not {rows} x {columns}"
        return _refuses_integers_but_nearest(geometry, operands, epilogue)

    return refuses


for _primitive, _transpose in (("resize2d_fprop", False), ("resize2d_dgrad", True)):
    triton_kernel(
        _primitive, "direct", "resize2d", _refuses_many_taps(_transpose), floating=_transpose
    )
    triton_kernel(
        _primitive, "separable", "resize2d", _refuses_integers_but_nearest, floating=_transpose
    )
