"""Softmax cross entropy of logits with class indices, and its gradient, without storing the
probabilities.

Computes   loss[n,*] = (1-s) * w_t * (lse - x_t) + s/C * sum_c w_c * (lse - x_c),
           logsumexp[n,*] = lse = log(sum_c exp(x_c)), t = target[n,*], s = label_smoothing
           dx_c = dloss * ((1-s) * w_t * (p_c - [c = t]) + s/C * (p_c * sum_k w_k - w_c)),
           p_c = exp(x_c - lse); loss and dx are 0 where t is ignore_index
Arrays     logits, dx (N,C,*)  target (N,*) integers  class_weight (C,) or None
           loss, logsumexp, dloss (N,*); any strides; f16/bf16/f32/f64
Grid       fprop (ceil(rows / ROWS),), a row being the classes of one (n,*); dgrad
           (ceil(rows / ROWS) * ceil(C / COLS),): nothing is reduced over the classes but w
Tiling     ROWS x COLS; fprop walks the classes in blocks, each lane with its own maximum and sum;
           label smoothing walks them once more. Classes that are not innermost in memory have few
           columns and many rows
Traffic    fprop: logits read (twice with smoothing), 3 numbers a row; dgrad: logits read, dx
           written; 21 classes of 8x512x512 pixels in f32: 193 MB read, 17 written: bandwidth
Numerics   f32 (f64); differences are taken from the maximum; rounded once; a class outside [0, C)
           gives NaN
Refuses    nothing
Source     Szegedy et al. 2016, arXiv:1512.00567 (smoothing); Milakov and Gimelshein 2018,
           arXiv:1805.02867 (online maximum)
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from ..array import Array
from ..geometry import CrossEntropyGeometry
from .launch import launch
from .numbers import accumulator, offset_type
from .softmax import choose, joined, online
from .strided import collapse, offset, strides
from .tuning import Config, Configurations

FPROP = Configurations(
    "softmax_cross_entropy.fprop",
    Config({"ROWS": 1, "COLS": 1024}, 4, 1),
    Config({"ROWS": 8, "COLS": 128}, 4, 1),
    Config({"ROWS": 64, "COLS": 32}, 4, 1),
    Config({"ROWS": 128, "COLS": 8}, 4, 1),
    Config({"ROWS": 32, "COLS": 16}, 4, 1),
)
DGRAD = Configurations(
    "softmax_cross_entropy.dgrad",
    Config({"ROWS": 1, "COLS": 1024}, 4, 1),
    Config({"ROWS": 8, "COLS": 128}, 4, 1),
    Config({"ROWS": 64, "COLS": 32}, 4, 1),
    Config({"ROWS": 128, "COLS": 8}, 4, 1),
    Config({"ROWS": 32, "COLS": 16}, 4, 1),
)


@triton.jit
def _targets(target, inside, classes, ignore):
    """(class, whether it counts, whether it lies outside [0, C)) of rows."""
    t = tl.load(target, mask=inside, other=0).to(tl.int64)
    counts = t != ignore
    return t, counts, counts & ((t < 0) | (t >= classes))


@triton.jit
def _weight(class_weight, at, inside, ACC: tl.constexpr):
    """The weights there; ones without weights."""
    if class_weight is None:
        weight = tl.where(inside, 1.0, 0.0).to(ACC)
    else:
        weight = tl.load(class_weight + at, mask=inside, other=0.0).to(ACC)
    return weight


@triton.jit
def _direct_fprop(
    logits, target, class_weight, loss, logsumexp, rows, classes, ignore, keep, share, sizes,
    x_steps, target_steps, loss_steps, sum_steps, x_step, w_step,
    AXES: tl.constexpr, SMOOTHED: tl.constexpr, ACC: tl.constexpr, INDEX: tl.constexpr,
    ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(INDEX) * ROWS + tl.arange(0, ROWS)
    row_inside = row < rows
    x = logits + offset(row, sizes, x_steps, AXES)
    column = tl.arange(0, COLS)[None, :].to(INDEX)
    top = tl.full((ROWS, COLS), float("-inf"), ACC)
    total = tl.zeros((ROWS, COLS), ACC)
    for first in range(0, classes, COLS):
        inside = row_inside[:, None] & (first + column < classes)
        value_at = x[:, None] + (first + column) * x_step
        value = tl.load(value_at, mask=inside, other=float("-inf")).to(ACC)
        top, total = online(top, total, value)
    highest, sums = joined(top, total)
    # a row of nothing but -inf has no maximum to subtract; one without classes sums to 0
    sums = tl.where((highest == float("-inf")) & (classes > 0), float("nan"), sums)
    log_sum = tl.log(sums)

    at = target + offset(row, sizes, target_steps, AXES)
    t, counts, outside = _targets(at, row_inside, classes, ignore)
    known = row_inside & counts & (t >= 0) & (t < classes)
    picked = tl.load(x + t * x_step, mask=known, other=0.0).to(ACC) - highest
    result = _weight(class_weight, t * w_step, known, ACC) * (log_sum - picked)
    if SMOOTHED:
        spread = tl.zeros((ROWS, COLS), ACC)
        for first in range(0, classes, COLS):
            inside = row_inside[:, None] & (first + column < classes)
            value_at = x[:, None] + (first + column) * x_step
            w = _weight(class_weight, (first + column) * w_step, first + column < classes, ACC)
            gap = tl.load(value_at, mask=inside, other=0.0).to(ACC) - highest[:, None]
            spread += tl.where(inside, w * (log_sum[:, None] - gap), 0.0)
        result = keep * result + share * tl.sum(spread, 1)
    result = tl.where(outside, float("nan"), tl.where(counts, result, 0.0))
    at = loss + offset(row, sizes, loss_steps, AXES)
    tl.store(at, result.to(loss.dtype.element_ty), mask=row_inside)
    at = logsumexp + offset(row, sizes, sum_steps, AXES)
    tl.store(at, (log_sum + highest).to(logsumexp.dtype.element_ty), mask=row_inside)


def softmax_cross_entropy_fprop_direct(
    logits: Array,
    target: Array,
    class_weight: Array | None,
    *,
    out: tuple[Array, Array],
    geometry: CrossEntropyGeometry,
    epilogue: None = None,
) -> None:
    (loss, logsumexp), classes = out, logits.shape[1]
    sizes, (x_steps, target_steps, loss_steps, sum_steps) = collapse(
        target.shape, _of_rows(logits), strides(target), strides(loss), strides(logsumexp)
    )
    rows = target.size
    config = choose(FPROP, logits, 1, rows, classes, 1.0, *_words(geometry, class_weight, sizes))
    launch(
        _direct_fprop, (triton.cdiv(rows, config.tiles["ROWS"]),),
        logits, target, class_weight, loss, logsumexp, rows, classes, geometry.ignore_index,
        *_smoothing(geometry, classes), sizes, x_steps, target_steps, loss_steps, sum_steps,
        strides(logits)[1], _step(class_weight),
        AXES=len(sizes), SMOOTHED=geometry.label_smoothing != 0, ACC=accumulator(logits.dtype),
        INDEX=offset_type(logits, target, loss, logsumexp), **config.tiles, **config.options,
    )  # fmt: skip


def _words(
    geometry: CrossEntropyGeometry, class_weight: Array | None, sizes: tuple[int, ...]
) -> tuple[Any, ...]:
    """What a tuning key holds besides the sizes."""
    return class_weight is None, geometry.label_smoothing != 0, len(sizes)


def _of_rows(a: Array) -> tuple[int, ...]:
    """The steps of (N,C,*) between rows of classes."""
    steps = strides(a)
    return steps[:1] + steps[2:]


def _step(vector: Array | None) -> int:
    return 0 if vector is None else strides(vector)[0]


def _smoothing(geometry: CrossEntropyGeometry, classes: int) -> tuple[Any, Any]:
    """What the target's term and each class's are multiplied by."""
    s = float(geometry.label_smoothing)
    return 1.0 - s, s / max(classes, 1)


@triton.jit
def _direct_dgrad(
    dloss, logits, target, class_weight, logsumexp, dx, rows, classes, ignore, keep, share, sizes,
    dloss_steps, x_steps, target_steps, sum_steps, dx_steps, x_step, w_step, dx_step,
    AXES: tl.constexpr, SMOOTHED: tl.constexpr, ACC: tl.constexpr, INDEX: tl.constexpr,
    ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    blocks = tl.cdiv(classes, COLS)
    row = (tl.program_id(0) // blocks).to(INDEX) * ROWS + tl.arange(0, ROWS)
    column = (tl.program_id(0) % blocks).to(INDEX) * COLS + tl.arange(0, COLS)
    row_inside, column_inside = row < rows, column < classes
    inside = row_inside[:, None] & column_inside[None, :]
    at = target + offset(row, sizes, target_steps, AXES)
    t, counts, outside = _targets(at, row_inside, classes, ignore)
    at = dloss + offset(row, sizes, dloss_steps, AXES)
    gradient = tl.load(at, mask=row_inside, other=0.0).to(ACC)
    at = logsumexp + offset(row, sizes, sum_steps, AXES)
    lse = tl.load(at, mask=row_inside, other=0.0).to(ACC)
    at = logits + offset(row, sizes, x_steps, AXES)[:, None] + (column * x_step)[None, :]
    p = tl.exp(tl.load(at, mask=inside, other=0.0).to(ACC) - lse[:, None])

    known = row_inside & counts & (t >= 0) & (t < classes)
    w_t = _weight(class_weight, t * w_step, known, ACC)
    hot = tl.where(t[:, None] == column[None, :], 1.0, 0.0).to(ACC)
    result = w_t[:, None] * (p - hot)
    if SMOOTHED:
        weights = tl.zeros((COLS,), ACC)
        for first in range(0, classes, COLS):
            k = first + tl.arange(0, COLS)
            weights += _weight(class_weight, k * w_step, k < classes, ACC)
        w = _weight(class_weight, column * w_step, column_inside, ACC)
        result = keep * result + share * (p * tl.sum(weights, 0) - w[None, :])
    result = tl.where(counts[:, None], result * gradient[:, None], 0.0)
    result = tl.where(outside[:, None], float("nan"), result)
    at = dx + offset(row, sizes, dx_steps, AXES)[:, None] + (column * dx_step)[None, :]
    tl.store(at, result.to(dx.dtype.element_ty), mask=inside)


def softmax_cross_entropy_dgrad_direct(
    dloss: Array,
    logits: Array,
    target: Array,
    class_weight: Array | None,
    logsumexp: Array,
    *,
    out: Array,
    geometry: CrossEntropyGeometry,
    epilogue: None = None,
) -> None:
    classes, rows = logits.shape[1], target.size
    sizes, (dx_steps, x_steps, dloss_steps, target_steps, sum_steps) = collapse(
        target.shape, _of_rows(out), _of_rows(logits), strides(dloss), strides(target),
        strides(logsumexp),
    )  # fmt: skip
    config = choose(DGRAD, out, 1, rows, classes, 1.0, *_words(geometry, class_weight, sizes))
    tiles = triton.cdiv(rows, config.tiles["ROWS"]) * triton.cdiv(classes, config.tiles["COLS"])
    launch(
        _direct_dgrad, (tiles,),
        dloss, logits, target, class_weight, logsumexp, out, rows, classes, geometry.ignore_index,
        *_smoothing(geometry, classes), sizes, dloss_steps, x_steps, target_steps, sum_steps,
        dx_steps, strides(logits)[1], _step(class_weight), strides(out)[1],
        AXES=len(sizes), SMOOTHED=geometry.label_smoothing != 0, ACC=accumulator(logits.dtype),
        INDEX=offset_type(dloss, logits, target, logsumexp, out), **config.tiles, **config.options,
    )  # fmt: skip
