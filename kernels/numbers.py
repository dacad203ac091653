"""The dtypes of a kernel: in which one it computes what it loaded in another."""

from __future__ import annotations

from typing import Any

import numpy as np
import triton
import triton.language as tl

from ..array import Array

_NARROW = 2**30  # half of what 32 bits hold: tiles reach a little past an array's end


def accumulator(dtype: np.dtype) -> Any:
    """Triton's dtype in which arrays of `dtype` are summed: float64 in itself, others in
    float32."""
    return tl.float64 if dtype == np.float64 else tl.float32


def offset_type(*arrays: Array) -> Any:
    """Triton's dtype in which offsets into these arrays are computed: int32 where that reaches
    every element, since int64 costs twice the instructions."""
    reach = max((_reach(a) for a in arrays), default=0)
    return tl.int32 if reach < _NARROW else tl.int64


@triton.jit
def counted(i, end):
    """i in the type that Triton gives `end`, an argument: 64 bits only where counting to there
    needs them, since a division of 64 bits is a call, around which registers go to memory."""
    return i + end * 0


def _reach(a: Array) -> int:
    """How many elements from its first an array's last lies, or that it has: the larger."""
    steps = sum((n - 1) * abs(step) for n, step in zip(a.shape, a.strides, strict=True))
    return max(steps // a.itemsize, a.size)
