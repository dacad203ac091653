"""Local response normalisation across neighbouring channels, and its gradient.

Computes   s[c] = k + alpha/size * sum of x[j]^2, c - size//2 <= j <= c + (size-1)//2, 0 <= j < C
           y[c] = x[c] * s[c]^-beta
           dx[c] = dy[c] * s[c]^-beta - 2*alpha*beta/size * x[c] * sum of dy[i]*y[i]/s[i] over the
                   i whose window holds c: c - (size-1)//2 <= i <= c + size//2
Arrays     x, y, dy, dx (N,C,*), any strides
Numerics   in accumulation dtype, the window summed in order; halves are rounded once at the store
Traffic    fprop: x read, y written; dgrad: dy, x, y read, dx written; neighbours from cache
Source     Krizhevsky, Sutskever and Hinton 2012, "ImageNet classification with deep convolutional
           neural networks", section 3.3 (there alpha is not divided by size)
"""

from __future__ import annotations

from typing import Any

from ... import array
from ...array import Array
from ...dispatch import register
from ...geometry import LocalResponseNormGeometry
from .elementwise import widened
from .quiet import quiet


def _window_sum(xp: Any, a: Array, before: int, after: int) -> Array:
    """For each channel the sum over the channels from `before` ahead of it to `after` behind it."""
    channels = a.shape[1]
    total = xp.zeros(a.shape, a.dtype)
    for shift in range(-min(before, channels), min(after, channels) + 1):
        to, source = max(-shift, 0), max(shift, 0)
        count = channels - abs(shift)
        total[:, to : to + count] += a[:, source : source + count]
    return total


def _scale(xp: Any, x: Array, geometry: LocalResponseNormGeometry) -> Array:
    """s, the base of the denominator."""
    g = geometry
    squares = _window_sum(xp, x * x, g.size // 2, (g.size - 1) // 2)
    return g.k + squares * (g.alpha / g.size)


@register("local_response_norm_fprop", "reference", "direct")
@quiet
def local_response_norm_fprop(
    x: Array, *, out: Array, geometry: LocalResponseNormGeometry, epilogue: None = None
) -> None:
    xp = array.xp(x)
    x = widened(x)
    out[...] = x / xp.power(_scale(xp, x, geometry), geometry.beta)


@register("local_response_norm_dgrad", "reference", "direct")
@quiet
def local_response_norm_dgrad(
    dy: Array,
    x: Array,
    y: Array,
    *,
    out: Array,
    geometry: LocalResponseNormGeometry,
    epilogue: None = None,
) -> None:
    xp = array.xp(dy, x, y)
    g = geometry
    dy, x, y = widened(dy), widened(x), widened(y)
    s = _scale(xp, x, g)
    through = _window_sum(xp, dy * y / s, (g.size - 1) // 2, g.size // 2)
    out[...] = dy / xp.power(s, g.beta) - x * through * (2 * g.alpha * g.beta / g.size)
