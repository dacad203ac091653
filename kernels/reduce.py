"""Reductions over any set of axes.

Computes   out = FINISH(combination of MAP(x) over geometry.axes), for each element of the others
Arrays     x of any shape, dtype and strides; out of any strides and dtype
Grid       (row tiles * splits,): a program combines a part of the reduced elements of ROWS outputs
Tiling     (ROWS, OUTER * INNER) accumulators in registers, each a chain of its own, folded once at
           the end. INNER lies along the reduced axis of the smallest stride, OUTER along the
           others, ROWS along the outputs, neighbours in memory first: whichever side of the tile is
           dense is read in whole sectors
Splits     where the outputs are too few to fill the machine, each is cut into parts of whole tiles;
           their accumulators go to a workspace and a second launch combines them in order
Traffic    x read once (twice by var, std and logsumexp); sum of a gradient (32,56,56,256) over all
           but the channels in bf16: 51 MB, 26 MFLOP: 0.5 FLOP/byte, bandwidth
Numerics   sums and products in f64 whatever x is, or i64, rounded once at the store; the order
           follows from the shapes and the strides alone: deterministic. NaN propagates through all
           but any, all and count_nonzero. argmax, argmin: the first of equals, NaN as the extreme
Refuses    nothing; ValueError for an extreme of no elements
Source     var in two passes: Chan, Golub and LeVeque 1983, The American Statistician 37(3)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import triton
import triton.language as tl

from .. import array, dtypes
from ..array import Array
from ..geometry import ReduceGeometry
from . import reduce_steps as steps
from .functions import narrowed
from .launch import launch
from .strided import collapse, index_dtype, offset, strides
from .tuning import Config, Configurations

_LAST = tl.constexpr(2**63 - 1)  # an index past all


@triton.jit
def _lanes(
    tile, outer, inner, inner_tiles,
    INDEX: tl.constexpr, OUTER: tl.constexpr, INNER: tl.constexpr,
):  # fmt: skip
    """(outer index, inner index, whether both are inside) of the columns of a tile."""
    lane = tl.arange(0, OUTER * INNER)
    i = (tile // inner_tiles).to(INDEX) * OUTER + lane // INNER
    j = (tile % inner_tiles).to(INDEX) * INNER + lane % INNER
    return i, j, (i < outer) & (j < inner)


@triton.jit
def _combine(
    x, center, out, number, outputs, row_tiles, outer, inner, inner_tiles, tiles, tiles_each,
    kept_sizes, x_kept, out_steps, out_split, outer_sizes, x_outer, x_inner,
    MAP: tl.constexpr, COMBINE: tl.constexpr, FINISH: tl.constexpr, BOOL: tl.constexpr,
    KEPT: tl.constexpr, OUTER_AXES: tl.constexpr, VALUE: tl.constexpr, ACC: tl.constexpr,
    INDEX: tl.constexpr, ROWS: tl.constexpr, OUTER: tl.constexpr, INNER: tl.constexpr,
    LOG_COLS: tl.constexpr,
):  # fmt: skip
    split = tl.program_id(0) // row_tiles
    row = (tl.program_id(0) % row_tiles).to(INDEX) * ROWS + tl.arange(0, ROWS)
    row_in = row < outputs
    x += offset(row, kept_sizes, x_kept, KEPT)[:, None]
    if center is None:
        middle = 0.0
    else:
        middle = tl.load(center + row, mask=row_in, other=0)[:, None]
    nothing = steps.neutral(COMBINE, ACC)
    acc = tl.broadcast_to(nothing, (ROWS, OUTER * INNER))
    for tile in range(split * tiles_each, tl.minimum((split + 1) * tiles_each, tiles)):
        i, j, col_in = _lanes(tile, outer, inner, inner_tiles, INDEX, OUTER, INNER)
        at = offset(i, outer_sizes, x_outer, OUTER_AXES) + j * x_inner
        inside = row_in[:, None] & col_in[None, :]
        value = tl.load(x + at[None, :], mask=inside, other=0).to(VALUE)
        value = tl.where(inside, MAP(value, middle, number, ACC), nothing)
        acc = steps.combined(acc, value, COMBINE)
    total = steps.folded(acc, ROWS, OUTER * INNER, LOG_COLS, COMBINE)
    if center is None:
        y = FINISH(total, 0.0, number)
    else:
        y = FINISH(total, tl.load(center + row, mask=row_in, other=0), number)
    if BOOL:
        y = (y != 0).to(tl.int8)
    at = offset(row, kept_sizes, out_steps, KEPT) + split.to(tl.int64) * out_split
    tl.store(out + at, narrowed(y, out), mask=row_in)


@triton.jit
def _locate(
    x, places, best_out, out, outputs, row_tiles, outer, inner, inner_tiles, tiles, tiles_each,
    kept_sizes, x_kept, out_steps, out_split, outer_sizes, x_outer, x_inner,
    place_outer, place_inner,
    LEAST: tl.constexpr, KEPT: tl.constexpr, OUTER_AXES: tl.constexpr, VALUE: tl.constexpr,
    INDEX: tl.constexpr, ROWS: tl.constexpr, OUTER: tl.constexpr, INNER: tl.constexpr,
):  # fmt: skip
    """Where the largest element is; with LEAST the smallest, by the order of the negated.

    `places` holds the elements' indices where they are not where the elements are."""
    split = tl.program_id(0) // row_tiles
    row = (tl.program_id(0) % row_tiles).to(INDEX) * ROWS + tl.arange(0, ROWS)
    row_in = row < outputs
    down = offset(row, kept_sizes, x_kept, KEPT)[:, None]
    nothing = steps.lowest(VALUE)
    best = tl.broadcast_to(nothing, (ROWS, OUTER * INNER))
    where = tl.full((ROWS, OUTER * INNER), _LAST, tl.int64)
    for tile in range(split * tiles_each, tl.minimum((split + 1) * tiles_each, tiles)):
        i, j, col_in = _lanes(tile, outer, inner, inner_tiles, INDEX, OUTER, INNER)
        at = down + (offset(i, outer_sizes, x_outer, OUTER_AXES) + j * x_inner)[None, :]
        inside = row_in[:, None] & col_in[None, :]
        value = tl.load(x + at, mask=inside, other=0).to(VALUE)
        if LEAST:
            value = ~value if VALUE.is_int() else -value
        if places is None:
            place = offset(i, outer_sizes, place_outer, OUTER_AXES) + j * place_inner
            place = tl.broadcast_to(place.to(tl.int64)[None, :], (ROWS, OUTER * INNER))
        else:
            place = tl.load(places + at, mask=inside, other=0)
        as_good = (value == best) | ((value != value) & (best != best))
        better = (value > best) | ((value != value) & (best == best))
        better = inside & (better | (as_good & (place < where)))
        best = tl.where(better, value, best)
        where = tl.where(better, place, where)
    nan = best != best
    known = tl.where(nan, nothing, best)
    top = tl.max(known, 1)
    any_nan = tl.max(nan.to(tl.int32), 1) != 0
    first = tl.where(any_nan[:, None], nan, known == top[:, None])
    place = tl.min(tl.where(first, where, _LAST), 1)
    at = offset(row, kept_sizes, out_steps, KEPT) + split.to(tl.int64) * out_split
    tl.store(out + at, place.to(out.dtype.element_ty), mask=row_in)
    if best_out is not None:
        if VALUE.is_floating():
            top = tl.where(any_nan, float("nan"), top)
        tl.store(best_out + at, top, mask=row_in)


# --- the plan of a launch -------------------------------------------------------------------------

DIRECT = Configurations(
    "reduce.direct",
    Config({"ROWS": 1, "OUTER": 1, "INNER": 2048}),  # long rows
    Config({"ROWS": 1, "OUTER": 1, "INNER": 512}),
    Config({"ROWS": 8, "OUTER": 1, "INNER": 256}),
    Config({"ROWS": 32, "OUTER": 1, "INNER": 64}),  # many short rows: planes of 7 x 7
    Config({"ROWS": 1, "OUTER": 32, "INNER": 64}),  # short rows of few outputs: channels' planes
    Config({"ROWS": 4, "OUTER": 64, "INNER": 8}),
    Config({"ROWS": 4, "OUTER": 1, "INNER": 256}),  # few columns
    Config({"ROWS": 32, "OUTER": 1, "INNER": 32}),
    Config({"ROWS": 128, "OUTER": 1, "INNER": 32}),  # columns: channels of channels-last
    Config({"ROWS": 256, "OUTER": 1, "INNER": 16}),
    Config({"ROWS": 64, "OUTER": 1, "INNER": 32}),
)
_NAIVE = Config({"ROWS": 64, "OUTER": 1, "INNER": 64})  # one tile for all shapes, never split
_PARTS = Config({"ROWS": 16, "OUTER": 1, "INNER": 64})
_FEW_PARTS = Config({"ROWS": 256, "OUTER": 1, "INNER": 8})
_PROGRAMS = 528  # four for each of an H100's multiprocessors: enough bytes under way to fill it
_LEAST_TILES = 2  # the fewest worth a split of their own


@dataclass(frozen=True)
class _Plan:
    """Axes of an array to reduce: the outputs', and those reduced, the smallest stride last."""

    kept: tuple[int, ...]
    x_kept: tuple[int, ...]
    out_steps: tuple[int, ...]
    reduced: tuple[int, ...]
    x_reduced: tuple[int, ...]
    places: tuple[int, ...]  # how far a step moves the row-major index
    config: Config

    @property
    def outputs(self) -> int:
        return _product(self.kept)

    @property
    def dense(self) -> tuple[int, ...]:
        return _row_major(self.kept)

    def tiles(self) -> tuple[int, int]:
        """How many tiles along the inner reduced axis, and in all."""
        tile = self.config.tiles
        inner = triton.cdiv(self.reduced[-1], tile["INNER"])
        return inner, inner * triton.cdiv(_product(self.reduced[:-1]), tile["OUTER"])

    def row_tiles(self) -> int:
        return triton.cdiv(self.outputs, self.config.tiles["ROWS"])

    def splits(self) -> int:
        """Into how many parts each output's elements are cut."""
        if self.config is _NAIVE:
            return 1
        wanted = _PROGRAMS // max(self.row_tiles(), 1)
        return max(min(wanted, self.tiles()[1] // _LEAST_TILES), 1)


def _product(sizes: Sequence[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product


def _row_major(sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(_product(sizes[i + 1 :]) for i in range(len(sizes)))


def _plan(x: Array, out: Array, op: str, axes: Sequence[int], naive: bool) -> _Plan:
    left = [i for i in range(x.ndim) if i not in axes]
    steps = strides(x)
    kept, (x_kept, out_steps) = collapse(
        [x.shape[i] for i in left], [steps[i] for i in left], strides(out)
    )
    shape = [x.shape[i] for i in axes]
    reduced, (x_reduced, places) = collapse(shape, [steps[i] for i in axes], _row_major(shape))
    plan = _Plan(kept, x_kept, out_steps, reduced, x_reduced, places, _NAIVE)
    if naive:
        return plan
    key = (op, plan.outputs, len(kept), reduced, x_reduced[-1], x_kept[-1])
    return replace(
        plan, config=DIRECT.choose(x.dtype, key, lambda config: _time(plan, config, x.itemsize))
    )


def _time(plan: _Plan, config: Config, itemsize: int) -> float:
    """Elements of the tiles, more where they lie apart, and a constant for each tile, whose loads
    the next one waits for, and for the fold."""
    tile = config.tiles
    plan = replace(plan, config=config)
    _, tiles = plan.tiles()
    elements = tile["ROWS"] * tile["OUTER"] * tile["INNER"]
    if abs(plan.x_reduced[-1]) == 1:
        elements *= 1.5 if elements > 2048 else 1.0  # the addresses of so many rows fill registers
        run = min(tile["INNER"], plan.reduced[-1])
    elif abs(plan.x_kept[-1]) == 1:
        run = min(tile["ROWS"], plan.kept[-1])
    else:
        run = 1
    apart = 1 + 128 / (max(run, 1) * itemsize)
    return plan.row_tiles() * (tiles * (elements * apart + 1024) + 512)


def _launch(
    kernel: Any, plan: _Plan, splits: int, *arrays: Any, places: bool, **constants: Any
) -> None:
    """`kernel` on a plan; `arrays` are its parameters up to `outputs`."""
    inner_tiles, tiles = plan.tiles()
    row_tiles = plan.row_tiles()
    out_steps = plan.dense if splits > 1 else plan.out_steps
    index = index_dtype(
        (*plan.kept, *plan.reduced), (*plan.x_kept, *plan.x_reduced),
        (*out_steps, *(0 for _ in plan.reduced)),
    )  # fmt: skip
    last = (plan.places[:-1], plan.places[-1]) if places else ()
    launch(
        kernel, (row_tiles * splits,),
        *arrays, plan.outputs, row_tiles, _product(plan.reduced[:-1]), plan.reduced[-1],
        inner_tiles, tiles, triton.cdiv(tiles, splits), plan.kept, plan.x_kept, out_steps,
        plan.outputs, plan.reduced[:-1], plan.x_reduced[:-1], plan.x_reduced[-1], *last,
        KEPT=len(plan.kept), OUTER_AXES=len(plan.reduced) - 1, INDEX=index,
        **constants, **plan.config.tiles, **plan.config.options,
    )  # fmt: skip


def _of_parts(plan: _Plan, splits: int) -> _Plan:
    """The plan that reduces a workspace (splits, outputs) to the same outputs."""
    return replace(
        plan, x_kept=plan.dense, reduced=(splits,), x_reduced=(plan.outputs,), places=(1,),
        config=_FEW_PARTS if splits <= 8 else _PARTS,
    )  # fmt: skip


# --- launchers ------------------------------------------------------------------------------------

_NUMPY = {
    tl.float64: dtypes.float64,
    tl.float32: dtypes.float32,
    tl.int64: dtypes.int64,
    tl.int32: dtypes.int32,
}

# op -> map, combination, finish
_STEPS = {
    "sum": (steps.itself, "sum", steps.kept),
    "mean": (steps.itself, "sum", steps.quotient),
    "prod": (steps.itself, "product", steps.kept),
    "var": (steps.squared_deviation, "sum", steps.quotient),
    "std": (steps.squared_deviation, "sum", steps.root_of_quotient),
    "amax": (steps.itself, "max", steps.kept),
    "amin": (steps.itself, "min", steps.kept),
    "any": (steps.nonzero, "max", steps.kept),
    "all": (steps.nonzero, "min", steps.kept),
    "count_nonzero": (steps.nonzero, "sum", steps.kept),
    "logsumexp": (steps.exponential, "sum", steps.logarithm),
    "norm": (steps.square, "sum", steps.root),
    "norm1": (steps.size, "sum", steps.kept),
    "norm_power": (steps.power, "sum", steps.root_of_power),
}


def reduce_direct(
    x: Array, *, out: Array, geometry: ReduceGeometry, epilogue: None = None, naive: bool = False
) -> None:
    op = geometry.op
    plan = _plan(x, out, op, geometry.axes, naive)
    count = _product(plan.reduced)
    if not count and op in ("amax", "amin", "argmax", "argmin"):
        raise ValueError("the number of reduced elements: got 0, expected at least 1")
    if op in ("argmax", "argmin"):
        _position(x, out, plan, least=op == "argmin")
        return
    value, acc = _dtypes(op, x.dtype)
    number: float = count
    center = None
    if op in ("var", "std"):
        center = _center(x, plan, (steps.itself, "sum", steps.quotient), count, value, tl.float64)
        number = max(count - geometry.correction, 0)
    elif op == "logsumexp":
        center = _center(x, plan, (steps.itself, "max", steps.finite), 0, value, value)
    elif op == "norm_power":
        number = float(geometry.correction)
    if number == int(number) and op != "norm_power":
        number = int(number)  # exact, where a float may be float32
    _total(x, center, out, plan, _STEPS[op], number, value, acc)


def reduce_naive(x: Array, *, out: Array, geometry: ReduceGeometry, epilogue: None = None) -> None:
    reduce_direct(x, out=out, geometry=geometry, naive=True)


def _dtypes(op: str, dtype: Any) -> tuple[Any, Any]:
    """(the dtype in which x is mapped, the dtype of the accumulators)."""
    floating = dtypes.is_floating_point(dtype)
    whole = op in ("sum", "prod", "mean", "amax", "amin", "count_nonzero", "any", "all")
    if not floating:
        value = tl.int64 if whole else tl.float64
    else:
        value = tl.float64 if dtype == dtypes.float64 else tl.float32
    if op in ("any", "all"):
        return value, tl.int32
    if op in ("amax", "amin"):
        return value, value
    if op == "count_nonzero" or not floating and whole:
        return value, tl.int64
    return value, tl.float64


def _total(
    x: Array, center: Array | None, out: Array, plan: _Plan, how: Any, number: float,
    value: Any, acc: Any,
) -> None:  # fmt: skip
    """out = the reduction by the steps (map, combination, finish)."""
    element, combination, finish = how
    options = {"COMBINE": combination, "ACC": acc, "places": False}
    is_bool = out.dtype == dtypes.bool_
    splits = plan.splits()
    if splits > 1:
        parts = array.empty((splits, plan.outputs), _NUMPY[acc], device=array.device_of(x))
        _launch(
            _combine, plan, splits, x, center, parts, number, MAP=element, FINISH=steps.kept,
            BOOL=False, VALUE=value, LOG_COLS=_log_cols(plan), **options,
        )  # fmt: skip
        x, plan, element, value = parts, _of_parts(plan, splits), steps.itself, acc
    _launch(
        _combine, plan, 1, x, center, out, number, MAP=element, FINISH=finish,
        BOOL=is_bool, VALUE=value, LOG_COLS=_log_cols(plan), **options,
    )  # fmt: skip


def _center(x: Array, plan: _Plan, how: Any, number: float, value: Any, acc: Any) -> Array:
    """(outputs,): what the elements of each output are taken relative to."""
    center = array.empty((plan.outputs,), _NUMPY[acc], device=array.device_of(x))
    _total(x, None, center, replace(plan, out_steps=plan.dense), how, number, value, acc)
    return center


def _log_cols(plan: _Plan) -> int:
    return (plan.config.tiles["OUTER"] * plan.config.tiles["INNER"]).bit_length() - 1


def _position(x: Array, out: Array, plan: _Plan, least: bool) -> None:
    value = _dtypes("amax", x.dtype)[0]
    splits = plan.splits()
    if splits == 1:
        _launch(_locate, plan, 1, x, None, None, out, places=True, LEAST=least, VALUE=value)
        return
    device = array.device_of(x)
    best = array.empty((splits, plan.outputs), _NUMPY[value], device=device)
    found = array.empty((splits, plan.outputs), dtypes.int64, device=device)
    _launch(_locate, plan, splits, x, None, best, found, places=True, LEAST=least, VALUE=value)
    plan = _of_parts(plan, splits)
    _launch(_locate, plan, 1, best, found, None, out, places=True, LEAST=False, VALUE=value)
