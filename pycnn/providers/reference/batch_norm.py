"""Batch normalisation: statistics, application, and the two passes of the gradient.

Computes   stats   mean[c] = sum x / M, m2[c] = sum (x - mean[c])^2 over channel c's M = N * size
           apply   y = activation((x - mean) * invstd * weight + bias + residual)
           reduce  sum_dy[c] = sum dy, sum_dy_xhat[c] = sum dy * xhat, xhat = (x - mean) * invstd
           dgrad   dx = weight * invstd * (dy - sum_dy / M - xhat * sum_dy_xhat / M); without the
                   sums, where mean and invstd were constants, dx = weight * invstd * dy
           With the geometry's relu, reduce and dgrad take for dy what relu(y) hands on: dy where
           y = (x - mean) * invstd * weight + bias is positive or NaN, else 0
Arrays     x, dy, y, dx, residual (N,C,*), any strides; the others (C,), weight and bias may be
           None; statistics and sums in accumulation dtype, weight and bias in x's dtype or that one
Numerics   m2 in two passes, never as E[x^2] - E[x]^2, which cancels; sums in float64 in "direct",
           in accumulation dtype in "naive", rounded once at the store; everything else in
           accumulation dtype; empty sums are 0
Traffic    stats reads x twice (once if it fits a cache); the others read their operands once
Source     Ioffe and Szegedy 2015, arXiv:1502.03167; naive statistics: Welford 1962, "Note on a
           method for calculating corrected sums of squares and products"
"""

from __future__ import annotations

from typing import Any

from ... import array
from ...array import Array
from ...dispatch import Epilogue, register
from ...dtypes import accumulation_dtype
from ...geometry import BatchNormGeometry
from .elementwise import op, widened
from .epilogue import store
from .quiet import quiet


@op
def invstd(xp: Any, m2: Array, count: Any, eps: Any) -> Array:
    """1 / sqrt(variance + eps) of a sum of squared deviations, or of a variance with count 1."""
    return 1 / xp.sqrt(m2 / count + eps)


@op
def running_update(xp: Any, running: Array, new: Array, momentum: Any, divisor: Any) -> Array:
    """The running average moved by `momentum` towards new / divisor."""
    return (1 - momentum) * running + momentum * (new / divisor)


def _rows(a: Array, dtype: Any = None) -> Array:
    """(C, N * size): one row per channel."""
    rows = a.swapaxes(0, 1).reshape(a.shape[1], a.size // max(a.shape[1], 1))
    return rows.astype(dtype or a.dtype)


def _columns(a: Array | None, like: Array) -> Array | None:
    """Values per channel, in the dtype and along the channels of `like`."""
    if a is None:
        return None
    return a.astype(like.dtype, copy=False).reshape(1, -1, *(1,) * (like.ndim - 2))


def _normalised(x: Array, mean: Any, invstd: Any, weight: Any, bias: Any) -> Array:
    y = (x - mean) * (invstd if weight is None else invstd * weight)
    return y if bias is None else y + bias


def _behind_relu(xp: Any, relu: bool, dy: Array, x: Array, *of_channels: Array | None) -> Array:
    """dy, of which relu(y) takes what belongs to no positive y; `x` and dy widened."""
    if not relu:
        return dy
    y = _normalised(x, *(_columns(a, x) for a in of_channels))
    return xp.where(y <= 0, xp.zeros_like(dy), dy)


# --- statistics -----------------------------------------------------------------------------------


@register("batch_norm_stats", "reference", "direct")
@quiet
def batch_norm_stats(
    x: Array, *, out: tuple[Array, Array], geometry: BatchNormGeometry, epilogue: None = None
) -> None:
    xp = array.xp(x)
    rows = _rows(x, xp.float64)
    mean = rows.sum(axis=1, keepdims=True) / max(rows.shape[1], 1)
    out[0][...] = mean[:, 0]
    out[1][...] = xp.square(rows - mean).sum(axis=1)


@register("batch_norm_stats", "reference", "naive")
@quiet
def batch_norm_stats_naive(
    x: Array, *, out: tuple[Array, Array], geometry: BatchNormGeometry, epilogue: None = None
) -> None:
    """Welford's running update, one element of every channel at a time."""
    xp = array.xp(x)
    rows = _rows(widened(x))
    mean, m2 = xp.zeros_like(rows, shape=rows.shape[:1]), xp.zeros_like(rows, shape=rows.shape[:1])
    for count in range(1, rows.shape[1] + 1):
        value = rows[:, count - 1]
        deviation = value - mean
        mean = mean + deviation / count
        m2 = m2 + deviation * (value - mean)
    out[0][...] = mean
    out[1][...] = m2


@register("batch_norm_reduce", "reference", "direct")
@quiet
def batch_norm_reduce(
    dy: Array,
    x: Array,
    mean: Array,
    invstd: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    out: tuple[Array, Array],
    geometry: BatchNormGeometry,
    epilogue: None = None,
) -> None:
    xp = array.xp(dy, x)
    dy = _behind_relu(xp, geometry.relu, widened(dy), widened(x), mean, invstd, weight, bias)
    gradients, rows = _rows(dy, xp.float64), _rows(x, xp.float64)
    mean, invstd = (a.astype(xp.float64).reshape(-1, 1) for a in (mean, invstd))
    out[0][...] = gradients.sum(axis=1)
    out[1][...] = (gradients * ((rows - mean) * invstd)).sum(axis=1)


@register("batch_norm_reduce", "reference", "naive")
@quiet
def batch_norm_reduce_naive(
    dy: Array,
    x: Array,
    mean: Array,
    invstd: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    out: tuple[Array, Array],
    geometry: BatchNormGeometry,
    epilogue: None = None,
) -> None:
    """One element of every channel at a time."""
    xp = array.xp(dy, x)
    dy = _behind_relu(xp, geometry.relu, widened(dy), widened(x), mean, invstd, weight, bias)
    gradients, rows = _rows(dy), _rows(widened(x))
    sum_dy, sum_dy_xhat = xp.zeros_like(mean), xp.zeros_like(mean)
    for i in range(rows.shape[1]):
        sum_dy = sum_dy + gradients[:, i]
        sum_dy_xhat = sum_dy_xhat + gradients[:, i] * ((rows[:, i] - mean) * invstd)
    out[0][...] = sum_dy
    out[1][...] = sum_dy_xhat


# --- application ----------------------------------------------------------------------------------


@register("batch_norm_apply", "reference", "direct")
@quiet
def batch_norm_apply(
    x: Array,
    mean: Array,
    invstd: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    out: Array,
    geometry: BatchNormGeometry,
    epilogue: Epilogue | None = None,
) -> None:
    xp = array.xp(x)
    x = widened(x)
    y = _normalised(x, *(_columns(a, x) for a in (mean, invstd, weight, bias)))
    store(xp, y, out, epilogue)


@register("batch_norm_apply", "reference", "naive")
@quiet
def batch_norm_apply_naive(
    x: Array,
    mean: Array,
    invstd: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    out: Array,
    geometry: BatchNormGeometry,
    epilogue: Epilogue | None = None,
) -> None:
    """One channel at a time."""
    xp = array.xp(x)
    dtype = accumulation_dtype(x.dtype)
    y = xp.empty(x.shape, dtype)
    for c in range(geometry.C):
        scale = invstd[c].astype(dtype) * (1 if weight is None else weight[c].astype(dtype))
        shift = 0 if bias is None else bias[c].astype(dtype)
        y[:, c] = (x[:, c].astype(dtype) - mean[c].astype(dtype)) * scale + shift
    store(xp, y, out, epilogue)


@register("batch_norm_dgrad", "reference", "direct")
@quiet
def batch_norm_dgrad(
    dy: Array,
    x: Array,
    mean: Array,
    invstd: Array,
    weight: Array | None,
    bias: Array | None,
    sum_dy: Array | None,
    sum_dy_xhat: Array | None,
    *,
    out: Array,
    geometry: BatchNormGeometry,
    epilogue: None = None,
) -> None:
    xp = array.xp(dy, x)
    dy = _behind_relu(xp, geometry.relu, widened(dy), widened(x), mean, invstd, weight, bias)
    x = widened(x)
    mean, invstd, weight, sum_dy, sum_dy_xhat = (
        _columns(a, x) for a in (mean, invstd, weight, sum_dy, sum_dy_xhat)
    )
    if sum_dy is not None and sum_dy_xhat is not None:
        count = max(geometry.N * geometry.size, 1)
        dy = dy - sum_dy / count - ((x - mean) * invstd) * (sum_dy_xhat / count)
    out[...] = dy * (invstd if weight is None else invstd * weight)


@register("batch_norm_dgrad", "reference", "naive")
@quiet
def batch_norm_dgrad_naive(
    dy: Array,
    x: Array,
    mean: Array,
    invstd: Array,
    weight: Array | None,
    bias: Array | None,
    sum_dy: Array | None,
    sum_dy_xhat: Array | None,
    *,
    out: Array,
    geometry: BatchNormGeometry,
    epilogue: None = None,
) -> None:
    """One channel at a time: dy less its mean, less its projection on xhat."""
    xp = array.xp(dy, x)
    dtype = accumulation_dtype(x.dtype)
    count = geometry.N * geometry.size
    dy = _behind_relu(xp, geometry.relu, widened(dy), widened(x), mean, invstd, weight, bias)
    for c in range(geometry.C):
        gradient = dy[:, c]
        if sum_dy is not None and sum_dy_xhat is not None:
            xhat = (x[:, c].astype(dtype) - mean[c].astype(dtype)) * invstd[c].astype(dtype)
            gradient = gradient - sum_dy[c] / count - xhat * (sum_dy_xhat[c] / count)
        scale = invstd[c].astype(dtype) * (1 if weight is None else weight[c].astype(dtype))
        out[:, c] = scale * gradient
