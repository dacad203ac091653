"""Max unpooling: each value back to the pixel its index names, zeros elsewhere; and its gradient.

Computes   y[n,c].flat[indices[n,c,p,q]] = x[n,c,p,q];  dx[n,c,p,q] = dy[n,c].flat[indices[n,c,p,q]]
Arrays     x, dx, indices (N,C,P,Q)  y, dy (N,C,H,W); geometry is that of the pooling undone;
           indices int64 in [0, H*W), h*W + w, checked by the caller
Numerics   exact; of equal indices in one plane the last in row-major order is stored, and each
           reads its own gradient
Source     Zeiler, Taylor and Fergus 2011, "Adaptive deconvolutional networks for mid and high level
           feature learning"
"""

from __future__ import annotations

from ... import array
from ...array import Array
from ...dispatch import register
from ...geometry import Pool2dGeometry


def _flat(a: Array) -> Array:
    """One row of pixels per image and channel."""
    n, c, h, w = a.shape
    return a.reshape(n * c, h * w)


@register("max_unpool2d_fprop", "reference", "direct")
def max_unpool2d_fprop(
    x: Array, indices: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    xp = array.xp(x, indices)
    planes = xp.arange(geometry.N * geometry.C).reshape(-1, 1)
    y = xp.zeros((geometry.N * geometry.C, geometry.H * geometry.W), x.dtype)
    y[planes, _flat(indices)] = _flat(x)
    out[...] = y.reshape(geometry.x_shape)


@register("max_unpool2d_dgrad", "reference", "direct")
def max_unpool2d_dgrad(
    dy: Array, indices: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    xp = array.xp(dy, indices)
    planes = xp.arange(geometry.N * geometry.C).reshape(-1, 1)
    out[...] = _flat(dy)[planes, _flat(indices)].reshape(geometry.y_shape)
