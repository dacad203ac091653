"""Dropout from a counter: every mask element is a word of Philox 4x32-10, found from its index.

Computes   y = x * mask, mask[i] = 1 / (1 - p) where word i is at least p * 2**32, else 0; i counts
           the elements of x's first geometry.axes axes in row-major order
Arrays     x, y of one float dtype and shape, any strides; key (2,) int64: (seed, offset)
Numerics   halves are widened to float32 and rounded once; an infinity or NaN that is dropped is NaN
Traffic    x read once, y written once, no mask
Source     Srivastava et al. 2014, JMLR 15; Salmon et al. 2011, "Parallel random numbers: as easy
           as 1, 2, 3", SC'11
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import array
from ...array import Array
from ...dispatch import register
from ...geometry import DropoutGeometry
from .elementwise import widened

_LOW = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)  # what the key grows by from round to round


@register("dropout", "reference", "direct")
def dropout(
    x: Array, key: Array, *, out: Array, geometry: DropoutGeometry, epilogue: None = None
) -> None:
    """Word i is word i % 4 of the counter (i // 4, offset) under the key `seed`, each 64 bits."""
    xp = array.xp(x, out)
    shape = x.shape[: geometry.axes]
    threshold, scale = threshold_and_scale(geometry.p)
    words = random_words(xp, math.prod(shape), int(key[0]), int(key[1]))
    wide = widened(x)
    mask = xp.where(words >= threshold, wide.dtype.type(scale), wide.dtype.type(0))
    with np.errstate(all="ignore"):
        out[...] = wide * mask.reshape(*shape, *(1,) * (x.ndim - len(shape)))


def threshold_and_scale(p: float) -> tuple[int, float]:
    """(the least word that is kept, what is kept is multiplied by)."""
    return min(round(p * 2**32), _LOW), 0.0 if p == 1 else 1 / (1 - p)


def random_words(xp: Any, count: int, seed: int, offset: int) -> Array:
    """`count` 32-bit words as uint64."""
    block = xp.arange((count + 3) // 4, dtype=xp.uint64)
    zero = xp.zeros_like(block)
    counter = [block & _LOW, block >> 32, zero + (offset & _LOW), zero + (offset >> 32 & _LOW)]
    words = philox(counter, seed & _LOW, seed >> 32 & _LOW)
    return xp.stack(words, axis=-1).reshape(-1)[:count]


def philox(counter: list[Any], low: int, high: int) -> list[Any]:
    """Ten rounds on four words, held in uint64, under a key of two."""
    a, b, c, d = counter
    for _ in range(10):
        left, right = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b = right >> 32 ^ b ^ low, right & _LOW
        c, d = left >> 32 ^ d ^ high, left & _LOW
        low, high = (low + _WEYL[0]) & _LOW, (high + _WEYL[1]) & _LOW
    return [a, b, c, d]
