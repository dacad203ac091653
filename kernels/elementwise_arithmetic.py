"""The formulas of elementwise's arithmetic, comparisons, selections and gradients of reductions.

A formula takes the inputs in the dtype it is computed in and the op's numbers, and returns that
dtype or a truth value. Its name is the op's, less a trailing underscore; what the op means is said
in the reference provider's table.
"""

import triton
import triton.language as tl

from . import functions
from .activation import sigmoid as _sigmoid
from .functions import fmod, log1p as _log1p, pow as _pow
from .tables import formula

_LN2 = tl.constexpr(0.6931471805599453)
_LN10 = tl.constexpr(2.302585092994046)
_ERF_SLOPE = tl.constexpr(1.1283791670955126)  # 2 / sqrt(pi)


# --- one operand ----------------------------------------------------------------------------------


@formula("both")
def neg(x):
    return -x


@formula("both")
def abs(x):
    return tl.where(x < 0, -x, x) + 0
