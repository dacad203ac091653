"""Softmax cross entropy of logits with class indices, and its gradient, without storing the
probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...array import Array, xp
from ...dispatch import register
from ...dtypes import accumulation_dtype
from ...geometry import CrossEntropyGeometry
from .softmax import shifted


def _targets(
    logits: Array, target: Array, geometry: CrossEntropyGeometry
) -> tuple[Array, Array, Array]:
    """The target classes with a class axis, made safe to index with; which of them count; which lie
    outside."""
    module = xp(logits)
    target = module.expand_dims(target.astype(np.int64), 1)
    counts = target != geometry.ignore_index
    outside = counts & ((target < 0) | (target >= logits.shape[1]))
    return module.where(counts & ~outside, target, 0), counts, outside


def _weights(class_weight: Array | None, logits: Array, dtype: np.dtype) -> Array:
    """w_c as (1, C, 1, ...); ones where no class is weighted."""
    shape = (1, logits.shape[1]) + (1,) * (logits.ndim - 2)
    if class_weight is None:
        return xp(logits).ones(shape, dtype)
    return class_weight.astype(dtype).reshape(shape)


@register("softmax_cross_entropy_fprop", "reference", "direct")
@np.errstate(all="ignore")
def softmax_cross_entropy_fprop(
    logits: Array,
    target: Array,
    class_weight: Array | None,
    *,
    out: tuple[Array, Array],
    geometry: CrossEntropyGeometry,
    epilogue: Any = None,
) -> None:
    """Computes   loss[n,*] = (1-s) * w_t * (lse - x_t) + s/C * sum_c w_c * (lse - x_c),
               logsumexp[n,*] = lse = log(sum_c exp(x_c)), with t = target[n,*] and
               s = label_smoothing; the loss is 0 where t is ignore_index
    Arrays     logits (N,C,*)  target (N,*) integers  class_weight (C,) or None  loss (N,*)
               logsumexp (N,*); any strides; loss and logsumexp in any floating dtype, logsumexp at
               least as wide as the accumulation's
    Numerics   halves in float32; differences are taken from the maximum; sums in float64; a class
               outside [0, C) gives NaN"""
    loss, logsumexp = out
    module = xp(logits)
    dtype = accumulation_dtype(logits.dtype)
    classes = logits.shape[1]
    index, counts, outside = _targets(logits, target, geometry)
    if classes == 0:
        loss[...] = module.where(counts, np.nan, 0).squeeze(1)
        logsumexp[...] = -np.inf
        return
    x, total = shifted(logits, 1)
    log_sum = module.log(total)
    w = _weights(class_weight, logits, dtype)
    s = geometry.label_smoothing
    picked = module.take_along_axis(x, index, 1)
    w_t = module.take_along_axis(module.broadcast_to(w, x.shape), index, 1)
    value = w_t * (log_sum - picked)
    if s:
        value = (1 - s) * value + s / classes * (w * (log_sum - x)).sum(1, keepdims=True)
    value = module.where(counts, value, 0)
    loss[...] = module.where(outside, np.nan, value).squeeze(1)
    logsumexp[...] = (log_sum + logits.astype(dtype).max(1, keepdims=True)).squeeze(1)


@register("softmax_cross_entropy_dgrad", "reference", "direct")
@np.errstate(all="ignore")
def softmax_cross_entropy_dgrad(
    dloss: Array,
    logits: Array,
    target: Array,
    class_weight: Array | None,
    logsumexp: Array,
    *,
    out: Array,
    geometry: CrossEntropyGeometry,
    epilogue: Any = None,
) -> None:
    """Computes   dx_c = dloss * ((1-s) * w_t * (p_c - [c = t]) + s/C * (p_c * sum_k w_k - w_c)),
               p_c = exp(x_c - lse); 0 where t is ignore_index
    Arrays     dloss (N,*)  logits (N,C,*)  target (N,*)  class_weight (C,) or None
               logsumexp (N,*)  dx (N,C,*); any strides
    Numerics   halves in float32, rounded once; a class outside [0, C) gives NaN"""
    module = xp(logits)
    dtype = accumulation_dtype(logits.dtype)
    classes = logits.shape[1]
    if logits.size == 0:
        return
    index, counts, outside = _targets(logits, target, geometry)
    axes = (1, classes) + (1,) * (logits.ndim - 2)
    hot = module.arange(classes).reshape(axes) == index
    p = module.exp(logits.astype(dtype) - module.expand_dims(logsumexp.astype(dtype), 1))
    w = _weights(class_weight, logits, dtype)
    s = geometry.label_smoothing
    w_t = module.take_along_axis(module.broadcast_to(w, p.shape), index, 1)
    dx = w_t * (p - hot)
    if s:
        dx = (1 - s) * dx + s / classes * (p * w.sum() - w)
    dx = module.where(counts, dx * module.expand_dims(dloss.astype(dtype), 1), 0)
    out[...] = module.where(outside, np.nan, dx)
