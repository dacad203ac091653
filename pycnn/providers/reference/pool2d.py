"""Max and average pooling over windows of an image, and their gradients.

Computes   max: y[n,c,p,q] = max of x over the window of (p,q), offsets the tap taken, r*S + s
           avg: y[n,c,p,q] = sum of x over the window / divisor(p,q)
           dx: every dy[n,c,p,q] sent to the tap taken (max), or dy / divisor to all of them (avg)
Arrays     x, dx (N,C,H,W)  y, dy, offsets (N,C,P,Q); any strides; offsets in
           geometry.offset_dtype
Numerics   halves are compared and summed in float32, taps in row-major order, rounded once at the
           store; integer averages are truncated; ties go to the first tap, NaN is larger than
           everything and the last NaN is taken; a max over no pixel at all (dilation can jump
           across the image) is -inf or the dtype's least integer, its gradient goes nowhere
Traffic    x read once per tap, y written once; 1 byte of offsets per output up to 256 taps
Source     LeCun et al. 1998 (average); Ranzato et al. 2007 (max)

A window is geometry.windows(axis): (start, end) along height and width, of which the pixels
outside the image are not read. "naive" walks outputs and taps one by one; "direct" takes one tap
of all outputs at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ... import array
from ...array import Array
from ...dispatch import register
from ...dtypes import FLOATING, accumulation_dtype
from ...geometry import Pool2dGeometry, tap_span
from .elementwise import widened
from .quiet import quiet

# (tap, the outputs it feeds, the inputs it reads)
AxisTap = tuple[int, Any, Any]


def _axis_taps(xp: Any, geometry: Pool2dGeometry, axis: str) -> list[AxisTap]:
    """The taps along one axis, in order. No entry reads an input twice: it may be added to."""
    g = geometry
    if not g.adaptive:
        size, outputs, taps, stride, pad, dilation = (
            (g.H, g.P, g.R, g.stride_h, g.pad_h, g.dilation_h)
            if axis == "h"
            else (g.W, g.Q, g.S, g.stride_w, g.pad_w, g.dilation_w)
        )
        # taps that meet no pixel of any window: a filter may be far larger than the image
        first = max(0, -(((outputs - 1) * stride - pad) // dilation))
        last = min(taps - 1, (size - 1 + pad) // dilation)
        return [
            (t, *tap_span(size, outputs, t, stride, pad, dilation)) for t in range(first, last + 1)
        ]
    groups: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
    seen: Counter[tuple[int, int]] = Counter()
    for output, (start, end) in enumerate(g.windows(axis)):
        for tap in range(end - start):
            # windows share a start where there are more outputs than inputs
            fed, read = groups.setdefault((tap, seen[tap, start]), ([], []))
            seen[tap, start] += 1
            fed.append(output)
            read.append(start + tap)
    shape = (-1, 1) if axis == "h" else (1, -1)
    return [
        (tap, *(xp.asarray(indices).reshape(shape) for indices in groups[tap, repeat]))
        for tap, repeat in sorted(groups)
    ]


def _taps(xp: Any, geometry: Pool2dGeometry) -> Iterator[tuple[int, Any, Any]]:
    """(offset, index of its outputs, index of its distinct inputs) of every tap, row-major."""
    columns = _axis_taps(xp, geometry, "w")
    for r, p, h in _axis_taps(xp, geometry, "h"):
        for s, q, w in columns:
            yield r * geometry.S + s, (..., p, q), (..., h, w)


def _first_taps(geometry: Pool2dGeometry, axis: str) -> list[int]:
    """For each output the first tap at or right of the image's edge."""
    dilation = geometry.dilation_h if axis == "h" else geometry.dilation_w
    return [-(min(start, 0) // dilation) for start, _ in geometry.windows(axis)]


def _least(dtype: Any, xp: Any) -> Any:
    return -xp.inf if dtype in FLOATING else xp.iinfo(dtype).min


@register("max_pool2d_fprop", "reference", "direct")
@quiet
def max_pool2d_fprop(
    x: Array, *, out: tuple[Array, Array], geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    xp = array.xp(x)
    x = widened(x)
    best = xp.full(geometry.y_shape, _least(x.dtype, xp), x.dtype)
    rows = xp.asarray(_first_taps(geometry, "h"), "int32").reshape(-1, 1)
    columns = xp.asarray(_first_taps(geometry, "w"), "int32")
    taken = xp.empty(geometry.y_shape, "int32")
    taken[...] = rows * geometry.S + columns
    for offset, outputs, inputs in _taps(xp, geometry):
        value, known = x[inputs], best[outputs]
        better = (value > known) | (value != value)  # the latter for NaN
        best[outputs] = xp.where(better, value, known)
        taken[outputs] = xp.where(better, offset, taken[outputs])
    y, offsets = out
    y[...] = best
    offsets[...] = taken


@register("max_pool2d_fprop", "reference", "naive")
@quiet
def max_pool2d_fprop_naive(
    x: Array, *, out: tuple[Array, Array], geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    xp = array.xp(x)
    x = widened(x)
    y, offsets = out
    first_rows, first_columns = _first_taps(geometry, "h"), _first_taps(geometry, "w")
    for p, q, window in _windows(geometry):
        best = xp.full((geometry.N, geometry.C), _least(x.dtype, xp), x.dtype)
        taken = xp.full(best.shape, first_rows[p] * geometry.S + first_columns[q], "int32")
        for offset, h, w in window:
            value = x[:, :, h, w]
            better = (value > best) | (value != value)
            best = xp.where(better, value, best)
            taken = xp.where(better, offset, taken)
        y[:, :, p, q] = best
        offsets[:, :, p, q] = taken


@register("max_pool2d_dgrad", "reference", "direct")
@quiet
def max_pool2d_dgrad(
    dy: Array, offsets: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    xp = array.xp(dy, offsets)
    dy = widened(dy)
    dx = xp.zeros(geometry.x_shape, dy.dtype)
    for offset, outputs, inputs in _taps(xp, geometry):
        dx[inputs] += xp.where(offsets[outputs] == offset, dy[outputs], 0)
    out[...] = dx


@register("max_pool2d_dgrad", "reference", "naive")
@quiet
def max_pool2d_dgrad_naive(
    dy: Array, offsets: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    xp = array.xp(dy, offsets)
    dx = xp.zeros(geometry.x_shape, accumulation_dtype(dy.dtype))
    for p, q, window in _windows(geometry):
        for offset, h, w in window:
            taken = offsets[:, :, p, q] == offset
            dx[:, :, h, w] += xp.where(taken, dy[:, :, p, q].astype(dx.dtype), 0)
    out[...] = dx


def _windows(geometry: Pool2dGeometry) -> Iterator[tuple[int, int, list[tuple[int, int, int]]]]:
    """(p, q, [(offset, h, w)]): each output with its pixels inside the image, row-major."""
    g = geometry
    columns = [list(_pixels(window, g.dilation_w, g.W)) for window in g.windows("w")]
    for p, window in enumerate(g.windows("h")):
        rows = list(_pixels(window, g.dilation_h, g.H))
        for q in range(g.Q):
            yield p, q, [(r * g.S + s, h, w) for r, h in rows for s, w in columns[q]]


def _pixels(window: tuple[int, int], dilation: int, size: int) -> Iterator[tuple[int, int]]:
    """(tap, position) of a window along one axis, where the position lies inside the image."""
    for tap, position in enumerate(range(*window, dilation)):
        if 0 <= position < size:
            yield tap, position


# --- averages -------------------------------------------------------------------------------------


def _divisors(xp: Any, geometry: Pool2dGeometry, dtype: Any) -> Array:
    """What each output's sum is divided by, (P, Q)."""
    g = geometry
    if g.divisor_override is not None:
        return xp.full((g.P, g.Q), g.divisor_override, dtype)
    rows, columns = (
        [
            end - start if g.count_include_pad else min(end, size) - max(start, 0)
            for start, end in g.windows(axis)
        ]
        for axis, size in (("h", g.H), ("w", g.W))
    )
    return xp.asarray(rows, dtype).reshape(-1, 1) * xp.asarray(columns, dtype)


def _divide(xp: Any, total: Array, divisors: Array) -> Array:
    """The quotient; that of integers is truncated, as C truncates it."""
    if total.dtype in FLOATING:
        return total / divisors
    return xp.sign(total) * xp.sign(divisors) * (abs(total) // abs(divisors))


@register("avg_pool2d_fprop", "reference", "direct")
@quiet
def avg_pool2d_fprop(
    x: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    xp = array.xp(x)
    x = widened(x)
    total = xp.zeros(geometry.y_shape, x.dtype)
    for _, outputs, inputs in _taps(xp, geometry):
        total[outputs] += x[inputs]
    out[...] = _divide(xp, total, _divisors(xp, geometry, x.dtype))


@register("avg_pool2d_fprop", "reference", "naive")
@quiet
def avg_pool2d_fprop_naive(
    x: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    xp = array.xp(x)
    x = widened(x)
    divisors = _divisors(xp, geometry, x.dtype)
    for p, q, window in _windows(geometry):
        total = xp.zeros((geometry.N, geometry.C), x.dtype)
        for _, h, w in window:
            total += x[:, :, h, w]
        out[:, :, p, q] = _divide(xp, total, divisors[p, q])


@register("avg_pool2d_dgrad", "reference", "direct")
@quiet
def avg_pool2d_dgrad(
    dy: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    xp = array.xp(dy)
    dy = widened(dy)
    share = dy / _divisors(xp, geometry, dy.dtype)
    dx = xp.zeros(geometry.x_shape, dy.dtype)
    for _, outputs, inputs in _taps(xp, geometry):
        dx[inputs] += share[outputs]
    out[...] = dx


@register("avg_pool2d_dgrad", "reference", "naive")
@quiet
def avg_pool2d_dgrad_naive(
    dy: Array, *, out: Array, geometry: Pool2dGeometry, epilogue: None = None
) -> None:
    xp = array.xp(dy)
    dx = xp.zeros(geometry.x_shape, accumulation_dtype(dy.dtype))
    divisors = _divisors(xp, geometry, dx.dtype)
    for p, q, window in _windows(geometry):
        share = dy[:, :, p, q].astype(dx.dtype) / divisors[p, q]
        for _, h, w in window:
            dx[:, :, h, w] += share
    out[...] = dx
