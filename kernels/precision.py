"""How a product of float32 operands is computed: exactly, or on tensor cores in pieces.

tl.dot multiplies float32 operands in one of five ways, which pycnn.set_float32_precision names. The
tensor cores take 16-bit or 19-bit numbers, so that every way but the first rounds each operand or
splits it into a sum of such numbers; pycnn/study/float32_precision.py models each in NumPy.

    name     operands as                 products   bits  relative error of a 576-term product
    ieee     they are, multiply-add      1          24    3e-7
    tf32     1 number of 11 bits         1          11    3e-4
    tf32x3   2 numbers of 11 bits        3          22    3e-7
    bf16x3   2 numbers of 8 bits         3          16    4.5e-6
    bf16x6   3 numbers of 8 bits         6          24    1.2e-7

Every launcher whose kernel calls tl.dot passes `PRECISION=input_precision(dtype)`.
"""

from __future__ import annotations

import numpy as np

from .. import config
from . import mode


def input_precision(dtype: np.dtype) -> str | None:
    """tl.dot's input_precision for operands of `dtype`: the one in use for float32, None for the
    others, which have one way only. Triton's interpreter multiplies float32 exactly, and knows not
    all five names."""
    if dtype != np.float32:
        return None
    return "ieee" if mode.settle() == mode.INTERPRETED else config.get_float32_precision()
