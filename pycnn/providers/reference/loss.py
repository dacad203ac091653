"""Losses of one element: ops of the primitive `elementwise`, with x the prediction and t its
target.

`<op>_dgrad_a` and `<op>_dgrad_b` are dy times the derivatives in x and in t, PyTorch's at kinks,
infinities and NaN. Source: smooth L1: Girshick 2015, arXiv:1504.08083; Huber 1964, "Robust
estimation of a location parameter"."""

from __future__ import annotations

from typing import Any

from ...array import Array
from .elementwise import OPS, op

LOG_FLOOR = -100.0  # where binary cross entropy stops its logarithms
PRODUCT_FLOOR = 1e-12  # and x*(1 - x) in its derivative


OPS |= {
    "mse": lambda xp, x, t: (x - t) * (x - t),
    "mse_dgrad_a": lambda xp, dy, x, t: 2 * (x - t) * dy,
    "mse_dgrad_b": lambda xp, dy, x, t: -2 * (x - t) * dy,
}


@op
def smooth_l1(xp: Any, x: Array, t: Array, beta: Any) -> Array:
    """z^2 / (2 beta) for z = |x - t| below beta, else z - beta/2"""
    z = xp.abs(x - t)
    return xp.where(z < beta, z * z / (2 * beta), z - beta / 2)


@op
def smooth_l1_dgrad_a(xp: Any, dy: Array, x: Array, t: Array, beta: Any) -> Array:
    return dy * xp.clip((x - t) / beta, -1, 1)


@op
def smooth_l1_dgrad_b(xp: Any, dy: Array, x: Array, t: Array, beta: Any) -> Array:
    return dy * xp.clip((t - x) / beta, -1, 1)


@op
def huber(xp: Any, x: Array, t: Array, delta: Any) -> Array:
    """z^2 / 2 for z = |x - t| below delta, else delta * (z - delta/2)"""
    z = xp.abs(x - t)
    return xp.where(z < delta, z * z / 2, delta * (z - delta / 2))


@op
def huber_dgrad_a(xp: Any, dy: Array, x: Array, t: Array, delta: Any) -> Array:
    return dy * xp.clip(x - t, -delta, delta)


@op
def huber_dgrad_b(xp: Any, dy: Array, x: Array, t: Array, delta: Any) -> Array:
    return dy * xp.clip(t - x, -delta, delta)


@op
def binary_cross_entropy(xp: Any, x: Array, t: Array) -> Array:
    """-t log(x) - (1-t) log(1-x), each logarithm no lower than -100"""
    return (t - 1) * xp.maximum(xp.log1p(-x), LOG_FLOOR) - t * xp.maximum(xp.log(x), LOG_FLOOR)


@op
def binary_cross_entropy_dgrad_a(xp: Any, dy: Array, x: Array, t: Array) -> Array:
    return dy * (x - t) / xp.maximum((1 - x) * x, PRODUCT_FLOOR)


@op
def binary_cross_entropy_dgrad_b(xp: Any, dy: Array, x: Array, t: Array) -> Array:
    """-logit(x), without the floor, as in PyTorch"""
    return dy * (xp.log1p(-x) - xp.log(x))


def _log_sigmoid(xp: Any, x: Array) -> Array:
    """log(1 / (1 + exp(-x))) = min(x, 0) - log(1 + exp(-|x|))"""
    return xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x)))


@op
def binary_cross_entropy_with_logits(xp: Any, x: Array, t: Array, p: Any = None) -> Array:
    """-p t log(s(x)) - (1-t) log(1 - s(x)), s the sigmoid and p the weight of positive targets, if
    any"""
    log_weight = 1 if p is None else (p - 1) * t + 1
    return (1 - t) * x - log_weight * _log_sigmoid(xp, x)


@op
def binary_cross_entropy_with_logits_dgrad_a(
    xp: Any, dy: Array, x: Array, t: Array, p: Any = None
) -> Array:
    sigmoid = OPS["sigmoid"](xp, x)
    return dy * (sigmoid - t if p is None else (p * t + 1 - t) * sigmoid - p * t)


@op
def binary_cross_entropy_with_logits_dgrad_b(
    xp: Any, dy: Array, x: Array, t: Array, p: Any = None
) -> Array:
    return dy * (-x if p is None else _log_sigmoid(xp, -x) - p * _log_sigmoid(xp, x))


@op
def kl_div(xp: Any, x: Array, t: Array) -> Array:
    """t (log(t) - x), x being a log-probability; t log(t) is 0 for t = 0"""
    return xp.where(t == 0, 0, t * xp.log(t)) - t * x


@op
def kl_div_dgrad_b(xp: Any, dy: Array, x: Array, t: Array) -> Array:
    """NaN at t = 0, where the logarithm has no slope."""
    return dy * (xp.log(t) + t / t - x)


OPS |= {
    "kl_div_dgrad_a": lambda xp, dy, x, t: -t * dy,
    "kl_div_log": lambda xp, x, t: xp.exp(t) * (t - x),
    "kl_div_log_dgrad_a": lambda xp, dy, x, t: -xp.exp(t) * dy,
    "kl_div_log_dgrad_b": lambda xp, dy, x, t: dy * (xp.exp(t) * (t - x + 1)),
}
