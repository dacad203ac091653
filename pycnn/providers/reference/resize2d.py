"""Resampling (N,C,H,W) to (N,C,P,Q): nearest, bilinear, bicubic, and their antialiased forms.

Computes   y[n,c,p,q] = sum_{t,u} x[n, c, h(p,t), w(q,u)] * a(p,t) * b(q,u): every mode is a table
           of taps per axis. The centre of output p lies at (p + 0.5) * scale - 0.5, with corners
           aligned at p * (H - 1) / (P - 1); scale is H / P, or 1 / geometry.scale_h where one was
           given. The gradient is the transposed table.
Arrays     x (N,C,H,W), y (N,C,P,Q) of one dtype, any strides; nearest also takes integers
Numerics   tables in the accumulation dtype, nearest's in float32 for every dtype, as PyTorch's;
           halves are widened to float32 and rounded once at the store; along W first, then along H;
           a gradient is summed in output order: deterministic
Source     bicubic: Keys 1981, "Cubic convolution interpolation for digital image processing", a =
           -0.75; antialiasing (the filter stretched over the pixels it covers, a = -0.5) is
           Pillow's
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import array
from ...array import Array
from ...dispatch import register
from ...geometry import Resize2dGeometry
from ..resize_tables import Taps, tables, weight_dtype
from .elementwise import widened


def gather(xp: Any, x: Array, taps: Taps, axis: int) -> Array:
    """sum over t of weight[:, t] * x[source[:, t]] along `axis`, in x's dtype."""
    shape = [1] * x.ndim
    shape[axis] = -1
    index = xp.asarray(taps.source)
    total: Array = None
    for t in range(taps.source.shape[1]):
        term = xp.take(x, index[:, t], axis=axis)
        if taps.weight is not None:
            term *= xp.asarray(taps.weight[:, t]).astype(x.dtype).reshape(shape)
        if taps.valid is not None:
            # what does not count may hold NaN or infinity, which a weight of zero would let through
            term = xp.where(xp.asarray(taps.valid[:, t]).reshape(shape), term, 0)
        total = term if total is None else xp.add(total, term, out=total)
    if total is None:  # an input that feeds no output
        out_shape = list(x.shape)
        out_shape[axis] = taps.source.shape[0]
        total = xp.zeros(out_shape, x.dtype)
    return total


@register("resize2d_fprop", "reference", "direct")
def resize2d_fprop(
    x: Array, *, out: Array, geometry: Resize2dGeometry, epilogue: None = None
) -> None:
    """y from x; see the head of the file."""
    _resample(x, out, geometry, False)


@register("resize2d_dgrad", "reference", "direct")
def resize2d_dgrad(
    dy: Array, *, out: Array, geometry: Resize2dGeometry, epilogue: None = None
) -> None:
    """dx from dy: the transposed tables."""
    _resample(dy, out, geometry, True)


def _resample(x: Array, out: Array, geometry: Resize2dGeometry, transpose: bool) -> None:
    xp = array.xp(x, out)
    along_h, along_w = tables(geometry, weight_dtype(x.dtype), transpose)
    with np.errstate(all="ignore"):
        out[...] = gather(xp, gather(xp, widened(x), along_w, 3), along_h, 2)
