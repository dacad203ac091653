"""Patches as columns, and their adjoint.

Computes   columns[n, (c*R + r)*S + s, p*Q + q] = x[n, c, p*Sh - top + r*Dh, q*Sw - left + s*Dw],
           0 outside the image; col2im sums every column entry into the pixel it came from
Arrays     x (N,C,H,W)  columns (N, C*R*S, P*Q); any strides; the geometry's K and G play no part
Numerics   im2col copies; col2im sums in float32 for the halves, tap by tap, and rounds once at the
           store
Source     Chellapilla, Puri and Simard 2006, High Performance Convolutional Neural Networks for
           Document Processing
"""

from __future__ import annotations

from typing import Any

from ...array import Array, xp
from ...dispatch import register
from ...dtypes import accumulation_dtype
from ...geometry import Conv2dGeometry


def columns_of(module: Any, x: Array, g: Conv2dGeometry) -> Array:
    """The columns of images x (N,C,H,W), N read from x: (N, C*R*S, P*Q), dense."""
    n = x.shape[0]
    columns = module.zeros((n, g.C, g.R, g.S, g.P, g.Q), x.dtype)
    for r, s, (p, q), (h, w) in g.taps():
        columns[:, :, r, s, p, q] = x[:, :, h, w]
    return columns.reshape(n, g.C * g.R * g.S, g.P * g.Q)


def images_of(module: Any, columns: Array, g: Conv2dGeometry) -> Array:
    """The adjoint of `columns_of`: (N, C*R*S, P*Q) summed into images (N,C,H,W)."""
    n = columns.shape[0]
    columns = columns.reshape(n, g.C, g.R, g.S, g.P, g.Q)
    x = module.zeros((n, g.C, g.H, g.W), columns.dtype)
    for r, s, (p, q), (h, w) in g.taps():
        x[:, :, h, w] += columns[:, :, r, s, p, q]
    return x


@register("im2col", "reference", "direct")
def im2col(x: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None) -> None:
    """The module's formula, one copy per filter tap."""
    out[...] = columns_of(xp(x, out), x, geometry)


@register("col2im", "reference", "direct")
def col2im(columns: Array, *, out: Array, geometry: Conv2dGeometry, epilogue: None = None) -> None:
    """The module's adjoint, one addition per filter tap."""
    dtype = accumulation_dtype(out.dtype)
    out[...] = images_of(xp(columns, out), columns.astype(dtype, copy=False), geometry)
