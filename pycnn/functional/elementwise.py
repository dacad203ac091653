"""Elementwise arithmetic, comparisons and logic with torch's names, promotion, broadcasting and
gradients.

Operands are tensors or Python numbers, promoted as torch does (`dtypes.result_type`). Halves are
computed in float32 and rounded once. Every function is one call of the primitive `elementwise` per
direction.
"""

from __future__ import annotations

from . import _inplace  # noqa: F401  (attaches the in-place methods and the operators)
from ._arithmetic import (
    add,
    div,
    divide,
    floor_divide,
    maximum,
    minimum,
    mul,
    multiply,
    pow,
    remainder,
    rsub,
    sub,
    subtract,
    true_divide,
)
from ._comparison import (
    allclose,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    eq,
    equal,
    ge,
    gt,
    isclose,
    le,
    logical_and,
    logical_or,
    logical_xor,
    lt,
    ne,
)
from ._pointwise import unary, unary_  # noqa: F401  (for the activations)
from ._selection import (
    clamp,
    clamp_max,
    clamp_min,
    clip,
    masked_fill,
    where,
)
from ._unary import (
    abs,
    absolute,
    bitwise_not,
    ceil,
    cos,
    erf,
    exp,
    exp2,
    expm1,
    floor,
    isfinite,
    isinf,
    isnan,
    log,
    log1p,
    log2,
    log10,
    logical_not,
    neg,
    negative,
    reciprocal,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sqrt,
    square,
    tanh,
    trunc,
)

__all__ = [
    "abs", "absolute", "add", "allclose", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor",
    "ceil", "clamp", "clamp_max", "clamp_min", "clip", "cos", "div", "divide", "eq", "equal", "erf",
    "exp", "exp2", "expm1", "floor", "floor_divide", "ge", "gt", "isclose", "isfinite", "isinf",
    "isnan", "le", "log", "log10", "log1p", "log2", "logical_and", "logical_not", "logical_or",
    "logical_xor", "lt", "masked_fill", "maximum", "minimum", "mul", "multiply", "ne", "neg",
    "negative", "pow", "reciprocal", "remainder", "round", "rsqrt", "rsub", "sigmoid", "sign",
    "sin", "sqrt", "square", "sub", "subtract", "tanh", "true_divide", "trunc", "where",
]  # fmt: skip
