"""How a product of float32 operands is computed: as float32."""

from __future__ import annotations

import numpy as np


def input_precision(dtype: np.dtype) -> str | None:
    """tl.dot's input_precision for operands of `dtype`; None where there is only one way."""
    return "ieee" if dtype == np.float32 else None
