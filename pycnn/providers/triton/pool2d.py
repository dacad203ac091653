"""kernels/max_pool2d.py, kernels/avg_pool2d.py"""

from __future__ import annotations

from typing import Any

from ...dtypes import bool_
from .registration import triton_kernel


def _refuses_bool(geometry: Any, operands: Any, epilogue: Any) -> str | None:
    return "bool is not pooled" if operands[0].dtype == bool_ else None


for _algorithm in ("direct", "naive"):
    for _stem in ("max_pool2d", "avg_pool2d"):
        triton_kernel(f"{_stem}_fprop", _algorithm, _stem, _refuses_bool, floating=False)
        triton_kernel(f"{_stem}_dgrad", _algorithm, _stem)
