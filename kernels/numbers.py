"""The dtypes of a kernel: in which one it computes what it loaded in another."""

from __future__ import annotations

from typing import Any

import numpy as np
import triton.language as tl


def accumulator(dtype: np.dtype) -> Any:
    """Triton's dtype in which arrays of `dtype` are summed: float64 in itself, others in
    float32."""
    return tl.float64 if dtype == np.float64 else tl.float32
