"""Comparing pycnn with PyTorch, by the two rules that "equal" means here.

Per primitive (`parity`, `compare_op`): against float64 PyTorch on the same inputs, the error is at
most twice the worse of PyTorch's two memory layouts in the same dtype, or a floor of 4 roundings of
the sums behind it. Whole networks (`compare_torch`): in float64 logits, loss and every gradient
within 1e-9; in float32 the logits' error is at most four times the worse of PyTorch's two layouts,
and gradient errors are printed but not judged, because one flipped ReLU moves them by percents
between PyTorch's own layouts.

PyTorch is imported by the functions that need it.
"""

from __future__ import annotations

from .networks import compare_torch
from .ops import compare_op, parity
from .report import Report, Row
from .sides import copy_weights, to_numpy, to_torch

__all__ = [
    "Report",
    "Row",
    "compare_op",
    "compare_torch",
    "copy_weights",
    "parity",
    "to_numpy",
    "to_torch",
]
