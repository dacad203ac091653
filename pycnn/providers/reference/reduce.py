"""Reductions over any set of axes.

Computes   out = op of x over geometry.axes, those axes dropped
Arrays     x of any shape, dtype and strides; out has x's shape without the axes
Numerics   float32 and halves are summed in float64 and rounded once at the store, integers and
           bools in int64; NaN propagates through everything but any, all and count_nonzero;
           argmax and argmin take the first of equal elements, and NaN as the extreme
Traffic    x read once (twice by var, std, logsumexp), out written once
Source     var: two passes; Chan, Golub and LeVeque 1983, "Algorithms for computing the sample
           variance", The American Statistician 37(3)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import array
from ...array import Array
from ...dispatch import register
from ...geometry import ReduceGeometry
from .elementwise import widened

Axes = tuple[int, ...]

OPS: dict[str, Callable[[Any, Array, Axes, float], Array]] = {}


def op(function: Callable[[Any, Array, Axes, float], Array]) -> Any:
    """Decorator: enter a reduction under the function's name, less a trailing underscore."""
    OPS[function.__name__.rstrip("_")] = function
    return function


@register("reduce", "reference", "direct")
def reduce(x: Array, *, out: Array, geometry: ReduceGeometry, epilogue: None = None) -> None:
    """out = OPS[geometry.op](xp, x, axes, correction)"""
    xp = array.xp(x, out)
    with np.errstate(all="ignore"):
        out[...] = OPS[geometry.op](xp, widened(x), geometry.axes, geometry.correction)


def sum_dtype(xp: Any, x: Array) -> Any:
    """float64 for floating point, else int64."""
    return xp.float64 if x.dtype.kind == "f" else xp.int64


def count(x: Array, axes: Axes) -> int:
    """How many elements each output sums."""
    number = 1
    for axis in axes:
        number *= x.shape[axis]
    return number


@op
def sum_(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    return xp.sum(x, axis=axes, dtype=sum_dtype(xp, x))


@op
def prod(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    return xp.prod(x, axis=axes, dtype=sum_dtype(xp, x))


@op
def mean(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    """NaN over no elements."""
    return sum_(xp, x, axes, correction) / np.float64(count(x, axes))


def _deviation(xp: Any, x: Array, axes: Axes) -> Array:
    total = xp.sum(x, axis=axes, dtype=xp.float64, keepdims=True)
    return x - total / np.float64(count(x, axes))


@op
def var(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    """Sum of squared deviations from the mean over max(count - correction, 0)."""
    deviation = _deviation(xp, x, axes)
    divisor = np.float64(max(count(x, axes) - correction, 0))
    return xp.sum(deviation * deviation, axis=axes) / divisor


@op
def std(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    return xp.sqrt(var(xp, x, axes, correction))


@op
def amax(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    return xp.max(x, axis=axes)


@op
def amin(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    return xp.min(x, axis=axes)


def _flat(x: Array, axes: Axes) -> Array:
    """The reduced axes moved last and joined, in order."""
    kept = [i for i in range(x.ndim) if i not in axes]
    moved = x.transpose(*kept, *axes)
    return moved.reshape(*moved.shape[: len(kept)], count(x, axes))


@op
def argmax(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    """The index within the reduced axes, flattened in row-major order."""
    return xp.argmax(_flat(x, axes), axis=-1)


@op
def argmin(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    return xp.argmin(_flat(x, axes), axis=-1)


@op
def any_(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    return xp.any(x != 0, axis=axes)


@op
def all_(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    return xp.all(x != 0, axis=axes)


@op
def count_nonzero(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    return xp.sum(x != 0, axis=axes, dtype=xp.int64)


@op
def logsumexp(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    """The largest element is taken out first, so that no exponential overflows."""
    if not count(x, axes):
        return xp.full(xp.sum(x, axis=axes).shape, -xp.inf)
    top = xp.max(x, axis=axes, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0)
    total = xp.sum(xp.exp(x - top), axis=axes, dtype=xp.float64, keepdims=True)
    return xp.squeeze(top + xp.log(total), axis=axes)


@op
def norm(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    """The Euclidean norm; squares of float32 cannot overflow in float64."""
    wide = x.astype(xp.float64, copy=False)
    return xp.sqrt(xp.sum(wide * wide, axis=axes))


@op
def norm1(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    return xp.sum(xp.abs(x), axis=axes, dtype=xp.float64)


@op
def norm_power(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    """(sum |x|^p)^(1/p), p being `correction`."""
    powers = xp.abs(x).astype(xp.float64) ** correction
    return xp.sum(powers, axis=axes) ** (1 / correction)
