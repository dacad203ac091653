"""The activations an epilogue may end with, as device functions on accumulators.

Each takes and returns float32 or float64 and propagates NaN. The exponentials never see a positive
argument, so that none of them overflows.
"""

import triton
import triton.language as tl


@triton.jit
def sigmoid(x):
    """1 / (1 + exp(-x)), from exp(-|x|)."""
    e = tl.exp(-tl.abs(x))
    return tl.where(x < 0, e, 1.0) / (1.0 + e)


@triton.jit
def expm1(x):
    """exp(x) - 1 without the cancellation near zero. For x <= 0."""
    # (e - 1) * x / log(e) is exact to a few units (Kahan's form); at e = 1 its limit is x
    e = tl.exp(x)
    small = e == 1.0
    safe = tl.where(small | (e == 0.0), 2.0, e)
    return tl.where(small, x, tl.where(e == 0.0, -1.0, (e - 1.0) * x / tl.log(safe)))


@triton.jit
def tanh(x):
    """-m / (2 + m) with m = exp(-2|x|) - 1, and the sign of x."""
    m = expm1(-2.0 * tl.abs(x))
    t = -m / (2.0 + m)
    return tl.where(x < 0, -t, t)


@triton.jit
def activate(x, NAME: tl.constexpr):
    """NAME of pycnn.dispatch.ACTIVATIONS applied to x; None leaves x as it is."""
    if NAME == "relu":
        x = tl.where(x < 0, 0.0, x)
    elif NAME == "relu6":
        x = tl.where(x < 0, 0.0, tl.where(x > 6, 6.0, x))
    elif NAME == "leaky_relu":
        x = tl.where(x < 0, x * 0.01, x)
    elif NAME == "sigmoid":
        x = sigmoid(x)
    elif NAME == "tanh":
        x = tanh(x)
    elif NAME == "silu":
        x = x * sigmoid(x)
    elif NAME == "hardswish":
        x = x * tl.where(x < -3, 0.0, tl.where(x > 3, 6.0, x + 3.0)) / 6.0
    elif NAME == "hardsigmoid":
        x = tl.where(x < -3, 0.0, tl.where(x > 3, 6.0, x + 3.0)) / 6.0
    elif NAME == "gelu":
        x = 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))
    elif NAME == "elu":
        x = tl.where(x > 0, x, expm1(tl.where(x > 0, 0.0, x)))
    else:
        tl.static_assert(NAME is None, "no such activation")
    return x
