"""Activations and their derivatives: ops of `elementwise`, and the tail of every epilogue.

Computes   op <name>(x) and <name>_dgrad(dy, saved), saved being x or y as
           pycnn.functional.activation.SAVES says; parameters follow the arrays, their defaults are
           the functionals'
Arrays     in accumulation dtype; elementwise.py converts, broadcasts and stores
Numerics   derivatives at a kink and at NaN are PyTorch's; NaN propagates through every forward
Source     GELU: Hendrycks and Gimpel 2016, arXiv:1606.08415; ELU: Clevert et al. 2015,
           arXiv:1511.07289; SiLU: Ramachandran et al. 2017, arXiv:1710.05941; hard-swish: Howard et
           al. 2019, arXiv:1905.02244; Mish: Misra 2019, arXiv:1908.08681; PReLU: He et al. 2015,
           arXiv:1502.01852; GLU: Dauphin et al. 2016, arXiv:1612.08083
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...array import Array
from .elementwise import OPS, erf

sigmoid, tanh = OPS["sigmoid"], OPS["tanh"]


def relu(xp: Any, x: Array) -> Array:
    """max(x, 0)"""
    return xp.maximum(x, 0)


def relu_dgrad(xp: Any, dy: Array, y: Array) -> Array:
    return xp.where(y <= 0, 0, dy)


def hardtanh(xp: Any, x: Array, low: float = -1.0, high: float = 1.0) -> Array:
    """x kept between low and high"""
    return xp.minimum(xp.maximum(x, low), high)


def hardtanh_dgrad(xp: Any, dy: Array, y: Array, low: float = -1.0, high: float = 1.0) -> Array:
    return xp.where((y > low) & (y < high), dy, 0)


def relu6(xp: Any, x: Array) -> Array:
    """min(max(x, 0), 6)"""
    return hardtanh(xp, x, 0, 6)


def relu6_dgrad(xp: Any, dy: Array, y: Array) -> Array:
    return hardtanh_dgrad(xp, dy, y, 0, 6)


def leaky_relu(xp: Any, x: Array, slope: float = 0.01) -> Array:
    """x where x > 0, else slope * x"""
    return xp.where(x > 0, x, x * slope)


def leaky_relu_dgrad(xp: Any, dy: Array, saved: Array, slope: float = 0.01) -> Array:
    """`saved` is y, or x where a negative slope hides the sign of x."""
    return xp.where(saved > 0, dy, dy * slope)


def elu(
    xp: Any, x: Array, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0
) -> Array:
    """scale * x where x > 0, else scale * alpha * (exp(input_scale * x) - 1)"""
    negative = xp.expm1(xp.minimum(x, 0) * input_scale) * (alpha * scale)
    return xp.where(x > 0, x * scale, negative)


def elu_dgrad(
    xp: Any, dy: Array, x: Array, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0
) -> Array:
    negative = xp.exp(xp.minimum(x, 0) * input_scale) * (alpha * scale * input_scale)
    return dy * xp.where(x > 0, x.dtype.type(scale), negative)


def silu(xp: Any, x: Array) -> Array:
    """x * sigmoid(x)"""
    return x * sigmoid(xp, x)


def silu_dgrad(xp: Any, dy: Array, x: Array) -> Array:
    s = sigmoid(xp, x)
    return dy * s * (1 + x * (1 - s))


def hardsigmoid(xp: Any, x: Array) -> Array:
    """relu6(x + 3) / 6"""
    return relu6(xp, x + 3) / 6


def hardsigmoid_dgrad(xp: Any, dy: Array, x: Array) -> Array:
    return xp.where((x > -3) & (x < 3), dy / 6, 0)


def hardswish(xp: Any, x: Array) -> Array:
    """x * relu6(x + 3) / 6"""
    return x * relu6(xp, x + 3) / 6


def hardswish_dgrad(xp: Any, dy: Array, x: Array) -> Array:
    return xp.where(x <= -3, 0, xp.where(x >= 3, dy, dy * (x / 3 + 0.5)))


def gelu(xp: Any, x: Array) -> Array:
    """x * Phi(x), Phi the distribution function of the standard normal"""
    return x * (0.5 * (1 + erf(xp, x * math.sqrt(0.5))))


def gelu_dgrad(xp: Any, dy: Array, x: Array) -> Array:
    phi = 0.5 * (1 + erf(xp, x * math.sqrt(0.5)))
    return dy * (phi + x * xp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi)))


_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


def gelu_tanh(xp: Any, x: Array) -> Array:
    """0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3)))"""
    return 0.5 * x * (1 + xp.tanh(_SQRT_2_OVER_PI * (x + _CUBIC * x * x * x)))


def gelu_tanh_dgrad(xp: Any, dy: Array, x: Array) -> Array:
    t = xp.tanh(_SQRT_2_OVER_PI * (x + _CUBIC * x * x * x))
    slope = _SQRT_2_OVER_PI * (1 + 3 * _CUBIC * x * x)
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope)


def softplus(xp: Any, x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """log(1 + exp(beta * x)) / beta; x itself where beta * x > threshold"""
    z = x * beta
    return xp.where(z > threshold, x, xp.log1p(xp.exp(xp.minimum(z, threshold))) / beta)


def softplus_dgrad(
    xp: Any, dy: Array, x: Array, beta: float = 1.0, threshold: float = 20.0
) -> Array:
    z = x * beta
    return xp.where(z > threshold, dy, dy * sigmoid(xp, z))


def mish(xp: Any, x: Array) -> Array:
    """x * tanh(log(1 + exp(x)))"""
    return x * xp.tanh(softplus(xp, x))


def mish_dgrad(xp: Any, dy: Array, x: Array) -> Array:
    t = xp.tanh(softplus(xp, x))
    return dy * (t + x * sigmoid(xp, x) * (1 - t * t))


def logsigmoid(xp: Any, x: Array) -> Array:
    """-log(1 + exp(-x))"""
    return xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x)))


def logsigmoid_dgrad(xp: Any, dy: Array, x: Array) -> Array:
    return dy * sigmoid(xp, -x)


def softsign(xp: Any, x: Array) -> Array:
    """x / (1 + |x|)"""
    return x / (1 + xp.abs(x))


def softsign_dgrad(xp: Any, dy: Array, x: Array) -> Array:
    d = 1 + xp.abs(x)
    return dy / d / d


def prelu(xp: Any, x: Array, weight: Array) -> Array:
    """x where x > 0, else weight * x; `weight` broadcasts against x"""
    return xp.where(x > 0, x, weight * x)


def prelu_dgrad(xp: Any, dy: Array, x: Array, weight: Array) -> Array:
    return xp.where(x > 0, dy, weight * dy)


def prelu_wgrad(xp: Any, dy: Array, x: Array) -> Array:
    """Each element's share of the weight's gradient, still to be summed."""
    return xp.where(x > 0, 0, x * dy)


def glu(xp: Any, a: Array, gate: Array) -> Array:
    """a * sigmoid(gate); also da, given dy for a"""
    return a * sigmoid(xp, gate)


def glu_gate_dgrad(xp: Any, dy: Array, a: Array, gate: Array) -> Array:
    s = sigmoid(xp, gate)
    return dy * a * s * (1 - s)


_OWN: tuple[Callable[..., Array], ...] = (
    relu,
    relu_dgrad,
    relu6,
    relu6_dgrad,
    hardtanh,
    hardtanh_dgrad,
    leaky_relu,
    leaky_relu_dgrad,
    elu,
    elu_dgrad,
    silu,
    silu_dgrad,
    hardsigmoid,
    hardsigmoid_dgrad,
    hardswish,
    hardswish_dgrad,
    gelu,
    gelu_dgrad,
    gelu_tanh,
    gelu_tanh_dgrad,
    softplus,
    softplus_dgrad,
    mish,
    mish_dgrad,
    logsigmoid,
    logsigmoid_dgrad,
    softsign,
    softsign_dgrad,
    prelu,
    prelu_dgrad,
    prelu_wgrad,
    glu,
    glu_gate_dgrad,
)
OPS.update({function.__name__: function for function in _OWN})

# what an epilogue applies: f(xp, x) with default parameters, for the names of dispatch.ACTIVATIONS
ACTIVATION_FORWARD: dict[str, Callable[..., Array]] = {
    "relu": relu,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "silu": silu,
    "hardswish": hardswish,
    "hardsigmoid": hardsigmoid,
    "gelu": gelu,
    "elu": elu,
}
