"""Formulas of the losses of one element and their gradients in prediction x and target t."""

import triton
import triton.language as tl

from . import functions
from .activation import sigmoid
from .formulas import floating
from .formulas_of_activations import logsigmoid

_LOG_FLOOR = tl.constexpr(-100.0)
_PRODUCT_FLOOR = tl.constexpr(1e-12)


@triton.jit
def _clip(x, low, high):
    return functions.minimum(functions.maximum(x, low), high)


@floating
def mse(x, t):
    return (x - t) * (x - t)


@floating
def mse_dgrad_a(dy, x, t):
    return 2.0 * (x - t) * dy


@floating
def mse_dgrad_b(dy, x, t):
    return -2.0 * (x - t) * dy


@floating
def smooth_l1(x, t, beta):
    z = tl.abs(x - t)
    return tl.where(z < beta, z * z / (2.0 * beta), z - beta * 0.5)


@floating
def smooth_l1_dgrad_a(dy, x, t, beta):
    return dy * _clip((x - t) / beta, -1.0, 1.0)


@floating
def smooth_l1_dgrad_b(dy, x, t, beta):
    return dy * _clip((t - x) / beta, -1.0, 1.0)


@floating
def huber(x, t, delta):
    z = tl.abs(x - t)
    return tl.where(z < delta, z * z * 0.5, delta * (z - delta * 0.5))


@floating
def huber_dgrad_a(dy, x, t, delta):
    return dy * _clip(x - t, -delta, delta)


@floating
def huber_dgrad_b(dy, x, t, delta):
    return dy * _clip(t - x, -delta, delta)


@floating
def binary_cross_entropy(x, t):
    low = functions.maximum(functions.log1p(-x), _LOG_FLOOR)
    return (t - 1.0) * low - t * functions.maximum(tl.log(x), _LOG_FLOOR)


@floating
def binary_cross_entropy_dgrad_a(dy, x, t):
    return dy * (x - t) / functions.maximum((1.0 - x) * x, _PRODUCT_FLOOR)


@floating
def binary_cross_entropy_dgrad_b(dy, x, t):
    return dy * (functions.log1p(-x) - tl.log(x))


@floating
def binary_cross_entropy_with_logits(x, t, p=None):
    if p is None:
        loss = (1.0 - t) * x - logsigmoid(x)
    else:
        loss = (1.0 - t) * x - ((p - 1.0) * t + 1.0) * logsigmoid(x)
    return loss


@floating
def binary_cross_entropy_with_logits_dgrad_a(dy, x, t, p=None):
    s = sigmoid(x)
    if p is None:
        slope = s - t
    else:
        slope = (p * t + 1.0 - t) * s - p * t
    return dy * slope


@floating
def binary_cross_entropy_with_logits_dgrad_b(dy, x, t, p=None):
    if p is None:
        slope = -x
    else:
        slope = logsigmoid(-x) - p * logsigmoid(x)
    return dy * slope


@floating
def kl_div(x, t):
    return tl.where(t == 0, 0.0, t * tl.log(t)) - t * x


@floating
def kl_div_dgrad_a(dy, x, t):
    return -t * dy


@floating
def kl_div_dgrad_b(dy, x, t):
    return dy * (tl.log(t) + t / t - x)


@floating
def kl_div_log(x, t):
    return tl.exp(t) * (t - x)


@floating
def kl_div_log_dgrad_a(dy, x, t):
    return -tl.exp(t) * dy


@floating
def kl_div_log_dgrad_b(dy, x, t):
    return dy * (tl.exp(t) * (t - x + 1.0))
