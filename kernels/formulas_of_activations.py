"""Formulas of the activations and their gradients, which take dy and x or y."""

import triton.language as tl

from . import functions
from .activation import sigmoid
from .formulas import either, floating

_ROOT_HALF = tl.constexpr(0.7071067811865476)
_DENSITY = tl.constexpr(0.3989422804014327)  # 1 / sqrt(2 pi)
_ROOT_2_OVER_PI = tl.constexpr(0.7978845608028654)
_CUBIC = tl.constexpr(0.044715)


@either
def relu(x):
    return tl.where(x < 0, 0, x)


@either
def relu_dgrad(dy, y):
    return tl.where(y <= 0, 0, dy)


@either
def hardtanh(x, low=-1, high=1):
    return functions.minimum(functions.maximum(x, low), high)


@either
def hardtanh_dgrad(dy, y, low=-1, high=1):
    return tl.where((y > low) & (y < high), dy, 0)


@either
def relu6(x):
    return hardtanh(x, 0, 6)


@either
def relu6_dgrad(dy, y):
    return hardtanh_dgrad(dy, y, 0, 6)


@floating
def leaky_relu(x, slope=0.01):
    return tl.where(x > 0, x, x * slope)


@floating
def leaky_relu_dgrad(dy, saved, slope=0.01):
    return tl.where(saved > 0, dy, dy * slope)


@floating
def elu(x, alpha=1.0, scale=1.0, input_scale=1.0):
    negative = functions.expm1(functions.minimum(x, 0.0) * input_scale) * (alpha * scale)
    return tl.where(x > 0, x * scale, negative)


@floating
def elu_dgrad(dy, x, alpha=1.0, scale=1.0, input_scale=1.0):
    negative = tl.exp(functions.minimum(x, 0.0) * input_scale) * (alpha * scale * input_scale)
    return dy * tl.where(x > 0, scale, negative)


@floating
def silu(x):
    return x * sigmoid(x)


@floating
def silu_dgrad(dy, x):
    s = sigmoid(x)
    return dy * s * (1.0 + x * (1.0 - s))


@floating
def hardsigmoid(x):
    return relu6(x + 3.0) / 6.0


@floating
def hardsigmoid_dgrad(dy, x):
    return tl.where((x > -3) & (x < 3), dy / 6.0, 0.0)


@floating
def hardswish(x):
    return x * relu6(x + 3.0) / 6.0


@floating
def hardswish_dgrad(dy, x):
    return tl.where(x <= -3, 0.0, tl.where(x >= 3, dy, dy * (x / 3.0 + 0.5)))


@floating
def gelu(x):
    return x * (0.5 * (1.0 + tl.erf(x * _ROOT_HALF)))


@floating
def gelu_dgrad(dy, x):
    phi = 0.5 * (1.0 + tl.erf(x * _ROOT_HALF))
    return dy * (phi + x * tl.exp(-0.5 * x * x) * _DENSITY)


@floating
def gelu_tanh(x):
    t = functions.tanh(_ROOT_2_OVER_PI * (x + _CUBIC * x * x * x))
    return 0.5 * x * (1.0 + t)


@floating
def gelu_tanh_dgrad(dy, x):
    t = functions.tanh(_ROOT_2_OVER_PI * (x + _CUBIC * x * x * x))
    slope = _ROOT_2_OVER_PI * (1.0 + 3.0 * _CUBIC * x * x)
    return dy * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope)


@floating
def softplus(x, beta=1.0, threshold=20.0):
    z = x * beta
    return tl.where(z > threshold, x, functions.log1p_exp(z) / beta)


@floating
def softplus_dgrad(dy, x, beta=1.0, threshold=20.0):
    z = x * beta
    return tl.where(z > threshold, dy, dy * sigmoid(z))


@floating
def mish(x):
    return x * functions.tanh(functions.log1p_exp(x))


@floating
def mish_dgrad(dy, x):
    t = functions.tanh(functions.log1p_exp(x))
    return dy * (t + x * sigmoid(x) * (1.0 - t * t))


@floating
def logsigmoid(x):
    return functions.minimum(x, 0.0) - functions.log1p(tl.exp(-tl.abs(x)))


@floating
def logsigmoid_dgrad(dy, x):
    return dy * sigmoid(-x)


@floating
def softsign(x):
    return x / (1.0 + tl.abs(x))


@floating
def softsign_dgrad(dy, x):
    d = 1.0 + tl.abs(x)
    return dy / d / d


@either
def prelu(x, weight):
    return tl.where(x > 0, x, weight * x)


@either
def prelu_dgrad(dy, x, weight):
    return tl.where(x > 0, dy, weight * dy)


@either
def prelu_wgrad(dy, x):
    return tl.where(x > 0, 0, x * dy)


@floating
def glu(a, gate):
    return a * sigmoid(gate)


@floating
def glu_gate_dgrad(dy, a, gate):
    s = sigmoid(gate)
    return dy * a * s * (1.0 - s)
