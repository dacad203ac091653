"""kernels/batch_norm.py and kernels/batch_norm_sums.py"""

from __future__ import annotations

from typing import Any

from ...geometry import BatchNormGeometry
from .registration import triton_kernel


def _refuses(geometry: BatchNormGeometry, operands: Any, epilogue: Any) -> str | None:
    if epilogue is not None and any(a is not None for a in epilogue[:3]):
        return "the epilogue is a residual and an activation at most"
    return None


for _algorithm in ("direct", "naive"):
    triton_kernel("batch_norm_stats", _algorithm, "batch_norm_sums")
    triton_kernel("batch_norm_apply", _algorithm, "batch_norm", _refuses)
    triton_kernel("batch_norm_reduce", _algorithm, "batch_norm_sums")
    triton_kernel("batch_norm_dgrad", _algorithm, "batch_norm")
