"""Softmax and log-softmax along one axis, and their gradients.

Computes   y_i = exp(x_i - m) / s, m = max_j x_j, s = sum_j exp(x_j - m); log: x_i - m - log(s)
           dx_i = y_i * (dy_i - sum_j dy_j y_j); log: dx_i = dy_i - exp(y_i) * sum_j dy_j
Arrays     x, y, dy, dx of one shape with at least one dimension, any strides; f16/bf16/f32/f64
Grid       (ceil(rows / ROWS),): a row is what one softmax runs along
Tiling     ROWS x COLS. A row of at most COLS elements stays in registers; a longer one is walked
           in blocks, every lane with its own maximum and sum, joined once at the end (online
           softmax), and read again. An axis that is not the innermost in memory has few columns
           and many rows, so that the lanes of a warp still lie side by side
Traffic    fprop: x read, y written (rows beyond COLS: x read twice); dgrad: y and dy read, dx
           written; 32x1000 logits in bf16: 64 KB each way, 1 exponential per 4 bytes: latency
Numerics   f32 (f64); an all -inf row, +inf or NaN gives NaN, as x - m does; rounded once
Refuses    nothing
Source     Milakov and Gimelshein 2018, arXiv:1805.02867 (online); Blanchard, Higham, Higham 2021,
           IMA J. Numer. Anal. 41 (accuracy)
"""

from __future__ import annotations

import math
from typing import Any

import triton
import triton.language as tl

from ..array import Array
from ..geometry import SoftmaxGeometry
from .launch import launch
from .numbers import accumulator, offset_type
from .strided import collapse, offset, strides
from .tuning import Config, Configurations, memory_time

FPROP = Configurations(
    "softmax.fprop",
    Config({"ROWS": 1, "COLS": 4096}, 8, 1),
    Config({"ROWS": 1, "COLS": 1024}, 4, 1),
    Config({"ROWS": 8, "COLS": 128}, 4, 1),
    Config({"ROWS": 64, "COLS": 32}, 4, 1),
    Config({"ROWS": 32, "COLS": 16}, 4, 1),
)
DGRAD = Configurations(
    "softmax.dgrad",
    Config({"ROWS": 1, "COLS": 4096}, 8, 1),
    Config({"ROWS": 1, "COLS": 1024}, 4, 1),
    Config({"ROWS": 8, "COLS": 128}, 4, 1),
    Config({"ROWS": 64, "COLS": 32}, 4, 1),
    Config({"ROWS": 32, "COLS": 16}, 4, 1),
)


def choose(
    table: Configurations, a: Array, axis: int, rows: int, length: int, passes: float, *words: Any
) -> Config:
    """The configuration for `rows` rows of `length` elements along `axis` of `a`; rows longer than
    a block take `passes` times as long."""
    inner = all(
        abs(a.strides[axis]) <= abs(step)
        for step, size in zip(a.strides, a.shape, strict=True)
        if size > 1
    )

    def cost(config: Config) -> float:
        tile_rows, columns = config.tiles["ROWS"], config.tiles["COLS"]
        blocks = triton.cdiv(length, columns)
        run = a.itemsize * max(min(columns, length) if inner else min(tile_rows, rows), 1)
        elements = blocks * tile_rows * columns * (1.0 if blocks == 1 else passes)
        return memory_time(triton.cdiv(rows, tile_rows), elements * max(1.0, 64 / run))

    return table.choose(a.dtype, (rows, length, inner, *words), cost)


@triton.jit
def online(top, total, value):
    """(top, total) of every lane after one more value: total is sum(exp(value - top))."""
    higher = tl.maximum(top, value)
    base = tl.where(higher == float("-inf"), 0.0, higher)  # nothing but -inf so far: add zeros
    return higher, total * tl.exp(top - base) + tl.exp(value - base)


@triton.jit
def joined(top, total):
    """(maximum, sum) of every row from those of its lanes; of nothing but -inf the sum is 0."""
    highest = tl.max(top, 1)
    base = tl.where(highest == float("-inf"), 0.0, highest)
    return highest, tl.sum(total * tl.exp(top - base[:, None]), 1)


@triton.jit
def _direct_fprop(
    x, y, rows, length, sizes, x_steps, y_steps, x_step, y_step,
    AXES: tl.constexpr, LOG: tl.constexpr, WHOLE: tl.constexpr, ACC: tl.constexpr,
    INDEX: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(INDEX) * ROWS + tl.arange(0, ROWS)
    row_inside = (row < rows)[:, None]
    x += offset(row, sizes, x_steps, AXES)[:, None]
    y += offset(row, sizes, y_steps, AXES)[:, None]
    column = tl.arange(0, COLS)[None, :].to(INDEX)
    if WHOLE:
        inside = row_inside & (column < length)
        value = tl.load(x + column * x_step, mask=inside, other=float("-inf")).to(ACC)
        value = value - tl.max(value, 1)[:, None]
        power = tl.exp(value)
        total = tl.sum(power, 1)
        value = value - tl.log(total)[:, None] if LOG else power * (1.0 / total)[:, None]
        tl.store(y + column * y_step, value.to(y.dtype.element_ty), mask=inside)
    else:
        top = tl.full((ROWS, COLS), float("-inf"), ACC)
        total = tl.zeros((ROWS, COLS), ACC)
        for first in range(0, length, COLS):
            inside = row_inside & (first + column < length)
            at = x + (first + column) * x_step
            value = tl.load(at, mask=inside, other=float("-inf")).to(ACC)
            top, total = online(top, total, value)
        highest, sums = joined(top, total)
        for first in range(0, length, COLS):
            inside = row_inside & (first + column < length)
            at = x + (first + column) * x_step
            value = tl.load(at, mask=inside, other=float("-inf")).to(ACC) - highest[:, None]
            value = value - tl.log(sums)[:, None] if LOG else tl.exp(value) * (1.0 / sums)[:, None]
            tl.store(y + (first + column) * y_step, value.to(y.dtype.element_ty), mask=inside)


def softmax_fprop_direct(
    x: Array, *, out: Array, geometry: SoftmaxGeometry, epilogue: None = None
) -> None:
    axis, length = geometry.axis, x.shape[geometry.axis]
    if out.size == 0:
        return
    sizes, (y_steps, x_steps), (y_step, x_step) = _rows(axis, out, x)
    rows = math.prod(sizes)
    config = choose(FPROP, out, axis, rows, length, 3.0, geometry.log, len(sizes), x_step, y_step)
    launch(
        _direct_fprop, (triton.cdiv(rows, config.tiles["ROWS"]),),
        x, out, rows, length, sizes, x_steps, y_steps, x_step, y_step,
        AXES=len(sizes), LOG=geometry.log, WHOLE=length <= config.tiles["COLS"],
        ACC=accumulator(out.dtype), INDEX=offset_type(x, out), **config.tiles, **config.options,
    )  # fmt: skip


def _rows(axis: int, *arrays: Array) -> tuple[Any, Any, Any]:
    """(sizes, steps of each array) of a walk over the rows, and each array's step along them."""
    axis %= arrays[0].ndim

    def without(values: tuple[int, ...]) -> tuple[int, ...]:
        return values[:axis] + values[axis + 1 :]

    walks = [strides(a) for a in arrays]
    sizes, steps = collapse(without(arrays[0].shape), *(without(walk) for walk in walks))
    return sizes, steps, [walk[axis] for walk in walks]


@triton.jit
def _direct_dgrad(
    dy, y, dx, rows, length, sizes, dy_steps, y_steps, dx_steps, dy_step, y_step, dx_step,
    AXES: tl.constexpr, LOG: tl.constexpr, WHOLE: tl.constexpr, ACC: tl.constexpr,
    INDEX: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(INDEX) * ROWS + tl.arange(0, ROWS)
    row_inside = (row < rows)[:, None]
    dy += offset(row, sizes, dy_steps, AXES)[:, None]
    y += offset(row, sizes, y_steps, AXES)[:, None]
    dx += offset(row, sizes, dx_steps, AXES)[:, None]
    column = tl.arange(0, COLS)[None, :].to(INDEX)
    if WHOLE:
        inside = row_inside & (column < length)
        gradient = tl.load(dy + column * dy_step, mask=inside, other=0.0).to(ACC)
        value = tl.load(y + column * y_step, mask=inside, other=0.0).to(ACC)
        total = tl.sum(gradient if LOG else gradient * value, 1)[:, None]
        result = gradient - tl.exp(value) * total if LOG else value * (gradient - total)
        tl.store(dx + column * dx_step, result.to(dx.dtype.element_ty), mask=inside)
    else:
        sums = tl.zeros((ROWS, COLS), ACC)
        for first in range(0, length, COLS):
            inside = row_inside & (first + column < length)
            gradient = tl.load(dy + (first + column) * dy_step, mask=inside, other=0.0).to(ACC)
            if not LOG:
                gradient *= tl.load(y + (first + column) * y_step, mask=inside, other=0.0).to(ACC)
            sums += gradient
        total = tl.sum(sums, 1)[:, None]
        for first in range(0, length, COLS):
            inside = row_inside & (first + column < length)
            gradient = tl.load(dy + (first + column) * dy_step, mask=inside, other=0.0).to(ACC)
            value = tl.load(y + (first + column) * y_step, mask=inside, other=0.0).to(ACC)
            result = gradient - tl.exp(value) * total if LOG else value * (gradient - total)
            at = dx + (first + column) * dx_step
            tl.store(at, result.to(dx.dtype.element_ty), mask=inside)


def softmax_dgrad_direct(
    dy: Array, y: Array, *, out: Array, geometry: SoftmaxGeometry, epilogue: None = None
) -> None:
    axis, length = geometry.axis, y.shape[geometry.axis]
    if out.size == 0:
        return
    sizes, (dx_steps, dy_steps, y_steps), (dx_step, dy_step, y_step) = _rows(axis, out, dy, y)
    rows = math.prod(sizes)
    config = choose(DGRAD, out, axis, rows, length, 2.0, geometry.log, len(sizes), dy_step, dx_step)
    launch(
        _direct_dgrad, (triton.cdiv(rows, config.tiles["ROWS"]),),
        dy, y, out, rows, length, sizes, dy_steps, y_steps, dx_steps, dy_step, y_step, dx_step,
        AXES=len(sizes), LOG=geometry.log, WHOLE=length <= config.tiles["COLS"],
        ACC=accumulator(out.dtype), INDEX=offset_type(dy, y, out),
        **config.tiles, **config.options,
    )  # fmt: skip
