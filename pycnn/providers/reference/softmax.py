"""Softmax and log-softmax along one axis, and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...array import Array, xp
from ...dispatch import register
from ...dtypes import accumulation_dtype
from ...geometry import SoftmaxGeometry


def shifted(x: Array, axis: int) -> tuple[Array, Array]:
    """x - max(x) along `axis` in the accumulation dtype; the float64 sum of its exponentials."""
    x = x.astype(accumulation_dtype(x.dtype))
    if x.shape[axis] == 0:
        return x, x.sum(axis, keepdims=True, dtype=np.float64)
    x = x - x.max(axis, keepdims=True)
    return x, xp(x).exp(x).sum(axis, keepdims=True, dtype=np.float64)


@register("softmax_fprop", "reference", "direct")
@np.errstate(all="ignore")
def softmax_fprop(x: Array, *, out: Array, geometry: SoftmaxGeometry, epilogue: Any = None) -> None:
    """Computes   y_i = exp(x_i - m) / s, m = max_j x_j and s = sum_j exp(x_j - m) along `axis`;
               log: y_i = x_i - m - log(s)
    Arrays     x, y of one shape with at least one dimension, any strides
    Numerics   halves in float32; sums in float64; rounded once at the store. A NaN along the axis,
               an infinite maximum, or nothing but -inf gives NaN
    Source     Blanchard, Higham, Higham 2021, "Accurately computing the log-sum-exp and softmax
               functions", IMA J. Numer. Anal. 41
    """
    x, total = shifted(x, geometry.axis)
    out[...] = x - xp(x).log(total) if geometry.log else xp(x).exp(x) / total


@register("softmax_dgrad", "reference", "direct")
@np.errstate(all="ignore")
def softmax_dgrad(
    dy: Array, y: Array, *, out: Array, geometry: SoftmaxGeometry, epilogue: Any = None
) -> None:
    """Computes   dx_i = y_i * (dy_i - sum_j dy_j * y_j) along `axis`;
               log: dx_i = dy_i - exp(y_i) * sum_j dy_j
    Arrays     dy, y, dx of one shape with at least one dimension, any strides; y is what the
               forward stored
    Numerics   halves in float32; sums in float64; rounded once at the store"""
    dtype = accumulation_dtype(y.dtype)
    dy, y = dy.astype(dtype), y.astype(dtype)
    if geometry.log:
        out[...] = dy - xp(y).exp(y) * dy.sum(geometry.axis, keepdims=True, dtype=np.float64)
    else:
        out[...] = y * (dy - (dy * y).sum(geometry.axis, keepdims=True, dtype=np.float64))
