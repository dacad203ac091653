"""Arrays broadcast against each other, one formula an element.

Computes   out = FORMULA(*inputs; *parameters), the formula geometry.op names
Arrays     inputs and out of any dtypes and strides, stride 0 where an input is broadcast; out may
           be one of the inputs
Grid       (row tiles * column tiles,): columns are the innermost axis that the arrays have in
           common, rows all the others; dense arrays of one layout are a single row
Tiling     no reuse: ROWS * COLS / (32 num_warps) elements a thread, 16-byte accesses where a row is
           dense and aligned. An index is divided into coordinates once a row, not once an element
Traffic    every input read once, out written once; add of a ResNet-50 residual (32,256,56,56) in
           bf16: 51 MB each, 154 MB and 26 MFLOP: 0.17 FLOP/byte, bandwidth
Numerics   halves in f32, rounded once at the store; f32 and f64 in themselves; integers and bools
           in i64, stored modulo their range, but in f64 by a formula without integer form
Refuses    bitwise ops of floating point
Source     pycnn/providers/reference/elementwise.py is the table of what each op means
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import triton
import triton.language as tl

from .. import dtypes
from ..array import Array
from ..geometry import ElementwiseGeometry
from . import formulas_of_activations, formulas_of_losses, formulas_of_one, formulas_of_two  # noqa: F401
from .formulas import FLOATING, INTEGRAL
from .functions import narrowed
from .launch import launch
from .numbers import accumulator
from .strided import broadcast, collapse, index_dtype, offset, strides, units
from .tuning import Config, Configurations


@triton.jit
def _value(
    array, steps, row, col, row_inside, col_inside, sizes,
    SPANS: tl.constexpr, AXES: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """A tile of one input, of which only one column or one row is read where it is repeated."""
    down, along = offset(row, sizes, steps, AXES - 1), col * steps[AXES - 1]
    if SPANS == "rows":
        x = tl.load(array + down, mask=row_inside, other=0)[:, None]
    elif SPANS == "columns":
        x = tl.load(array + along, mask=col_inside, other=0)[None, :]
    else:
        inside = row_inside[:, None] & col_inside[None, :]
        x = tl.load(array + (down[:, None] + along[None, :]), mask=inside, other=0)
    return tl.broadcast_to(x.to(ACC), (row.shape[0], col.shape[0]))


@triton.jit
def _stored(y, out, BOOL: tl.constexpr, ACC: tl.constexpr):
    """y as an element of out; a truth value is stored as 0 or 1."""
    if BOOL:
        y = (y.to(ACC) != 0).to(tl.int8)
    return narrowed(y.to(ACC), out)


@triton.jit
def _direct(
    out, inputs, parameters, rows, cols, col_tiles, sizes, out_steps, steps,
    FORMULA: tl.constexpr, SPANS: tl.constexpr, BOOL: tl.constexpr, AXES: tl.constexpr,
    ACC: tl.constexpr, INDEX: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    tile = tl.program_id(0)
    row = (tile // col_tiles).to(INDEX) * ROWS + tl.arange(0, ROWS)
    col = (tile % col_tiles).to(INDEX) * COLS + tl.arange(0, COLS)
    rows_in, cols_in = row < rows, col < cols
    a = _value(inputs[0], steps[0], row, col, rows_in, cols_in, sizes, SPANS[0], AXES, ACC)
    if len(SPANS) == 1:
        y = FORMULA(a, *parameters)
    else:
        b = _value(inputs[1], steps[1], row, col, rows_in, cols_in, sizes, SPANS[1], AXES, ACC)
        if len(SPANS) == 2:
            y = FORMULA(a, b, *parameters)
        else:
            c = _value(inputs[2], steps[2], row, col, rows_in, cols_in, sizes, SPANS[2], AXES, ACC)
            if len(SPANS) == 3:
                y = FORMULA(a, b, c, *parameters)
            else:
                d = _value(
                    inputs[3], steps[3], row, col, rows_in, cols_in, sizes, SPANS[3], AXES, ACC
                )
                y = FORMULA(a, b, c, d, *parameters)
    at = offset(row, sizes, out_steps, AXES - 1)[:, None] + (col * out_steps[AXES - 1])[None, :]
    inside = rows_in[:, None] & cols_in[None, :]
    tl.store(out + at, _stored(y, out, BOOL, ACC), mask=inside)


DIRECT = Configurations(
    "elementwise.direct",
    Config({"ROWS": 1, "COLS": 2048}),  # dense: two or four 16-byte accesses a thread
    Config({"ROWS": 1, "COLS": 1024}),
    Config({"ROWS": 1, "COLS": 256}),
    Config({"ROWS": 4, "COLS": 256}),
    Config({"ROWS": 16, "COLS": 64}),
    Config({"ROWS": 64, "COLS": 16}),
    Config({"ROWS": 256, "COLS": 4}),
)


def elementwise_direct(
    *inputs: Array, out: Array, geometry: ElementwiseGeometry, epilogue: None = None
) -> None:
    formula, acc, parameters = _resolved(geometry, inputs, out)
    sizes, (out_steps, *steps) = _walk(inputs, out)
    cols = sizes[-1]
    rows = out.size // cols if cols else 0
    # a power keeps a dozen numbers of float64 an element
    itemsize = 32 if "pow" in geometry.op else max(a.itemsize for a in (out, *inputs))
    spans = tuple(_span(s) for s in steps)
    kinds = ",".join(a.dtype.name for a in inputs)
    key = (geometry.op, kinds, rows, cols, len(sizes), ",".join(spans), units(out_steps, *steps))
    config = DIRECT.choose(out.dtype, key, lambda c: _time(c, rows, cols, itemsize))
    block_rows, block_cols = config.tiles["ROWS"], config.tiles["COLS"]
    col_tiles = triton.cdiv(cols, block_cols)
    launch(
        _direct, (triton.cdiv(rows, block_rows) * col_tiles,),
        out, tuple(inputs), parameters, rows, cols, col_tiles, sizes, out_steps, tuple(steps),
        FORMULA=formula, SPANS=tuple(map(tl.constexpr, spans)), AXES=len(sizes),
        BOOL=out.dtype == dtypes.bool_, ACC=acc, INDEX=index_dtype(sizes, out_steps, *steps),
        **config.tiles, **config.options,
    )  # fmt: skip


def _span(steps: Sequence[int]) -> str:
    """Along which sides of a tile an input with these strides differs from element to element."""
    if not steps[-1]:
        return "rows"
    return "tile" if any(steps[:-1]) else "columns"


def _time(config: Config, rows: int, cols: int, itemsize: int) -> float:
    """Elements of the tiles, those outside the arrays included, and a constant for each tile and
    for each of its rows; half as much again where a thread's elements fill its registers."""
    height, width = config.tiles["ROWS"], config.tiles["COLS"]
    tiles = triton.cdiv(rows, height) * triton.cdiv(cols, width)
    full = height * width * itemsize > 8192
    return tiles * (height * width + 64 + 8 * height) * (1.5 if full else 1.0)


# --- naive ----------------------------------------------------------------------------------------


@triton.jit
def _element(array, steps, i, inside, sizes, AXES: tl.constexpr, ACC: tl.constexpr):
    return tl.load(array + offset(i, sizes, steps, AXES), mask=inside, other=0).to(ACC)


@triton.jit
def _naive(
    out, inputs, parameters, elements, sizes, out_steps, steps,
    FORMULA: tl.constexpr, INPUTS: tl.constexpr, BOOL: tl.constexpr, AXES: tl.constexpr,
    ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One element a lane, every index divided into its coordinates for every array."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = i < elements
    a = _element(inputs[0], steps[0], i, inside, sizes, AXES, ACC)
    if INPUTS == 1:
        y = FORMULA(a, *parameters)
    else:
        b = _element(inputs[1], steps[1], i, inside, sizes, AXES, ACC)
        if INPUTS == 2:
            y = FORMULA(a, b, *parameters)
        else:
            c = _element(inputs[2], steps[2], i, inside, sizes, AXES, ACC)
            if INPUTS == 3:
                y = FORMULA(a, b, c, *parameters)
            else:
                d = _element(inputs[3], steps[3], i, inside, sizes, AXES, ACC)
                y = FORMULA(a, b, c, d, *parameters)
    tl.store(out + offset(i, sizes, out_steps, AXES), _stored(y, out, BOOL, ACC), mask=inside)


def elementwise_naive(
    *inputs: Array, out: Array, geometry: ElementwiseGeometry, epilogue: None = None
) -> None:
    formula, acc, parameters = _resolved(geometry, inputs, out)
    sizes, (out_steps, *steps) = _walk(inputs, out)
    block = 128
    launch(
        _naive, (triton.cdiv(out.size, block),),
        out, tuple(inputs), parameters, out.size, sizes, out_steps, tuple(steps),
        FORMULA=formula, INPUTS=len(inputs), BOOL=out.dtype == dtypes.bool_, AXES=len(sizes),
        ACC=acc, BLOCK=block,
    )  # fmt: skip


# --- what both share ------------------------------------------------------------------------------


def _walk(inputs: Sequence[Array], out: Array) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    return collapse(out.shape, strides(out), *(broadcast(a, out.shape) for a in inputs))


def _resolved(
    geometry: ElementwiseGeometry, inputs: Sequence[Array], out: Array
) -> tuple[Any, Any, tuple[Any, ...]]:
    """(the formula, the dtype it computes in, its numbers in that dtype)."""
    first = inputs[0].dtype
    op, numbers = geometry.op, geometry.parameters
    floating = [a.dtype for a in inputs if dtypes.is_floating_point(a.dtype)]
    if floating:
        double = any(d == dtypes.float64 for d in (*floating, out.dtype))
        acc = accumulator(dtypes.float64) if double else tl.float32
        return FLOATING[op], acc, tuple(float(p) for p in numbers)
    whole = tuple(_wrapped(p, first) for p in numbers)
    if op == "bitwise_not" and first == dtypes.bool_:
        op = "logical_not"
    if op in INTEGRAL:
        return INTEGRAL[op], tl.int64, whole
    return FLOATING[op], tl.float64, tuple(float(p) for p in whole)


def _wrapped(number: float, dtype: Any) -> int:
    """A number as an integer or a bool of `dtype` would hold it."""
    if dtype == dtypes.bool_:
        return int(bool(number))
    bits = 8 * dtype.itemsize
    low = 0 if dtype.kind == "u" else -(1 << (bits - 1))
    return (int(number) - low) % (1 << bits) + low
