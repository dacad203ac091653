"""Sum and activation in one pass: the end of a residual block.

Computes   out = activation(a + b), the activation geometry.op names, a key of ACTIVATION_FORWARD
Arrays     a, b, out of one shape and dtype, any strides; out may be a or b
Numerics   halves are widened to float32; the sum is not rounded before the activation, out once at
           the store
Traffic    a and b read once, out written once: two thirds of an add followed by an activation
Source     He et al. 2015, arXiv:1512.03385, section 3.2
"""

from __future__ import annotations

import numpy as np

from ... import array
from ...array import Array
from ...dispatch import register
from ...geometry import ElementwiseGeometry
from .activation import ACTIVATION_FORWARD
from .elementwise import widened


@register("add_activation", "reference", "direct")
def add_activation(
    a: Array, b: Array, *, out: Array, geometry: ElementwiseGeometry, epilogue: None = None
) -> None:
    with np.errstate(all="ignore"):
        total = widened(a) + widened(b)
        out[...] = ACTIVATION_FORWARD[geometry.op](array.xp(a, b, out), total)
