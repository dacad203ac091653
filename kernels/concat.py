"""Joining arrays along one axis, and cutting one into parts: every part in one launch.

Computes   concat: out = the inputs one after the other along geometry.axis
           split: outputs = x cut there into geometry.sizes
Arrays     parts and whole agree in every other dimension; any strides, any dtype
Grid       (sum over the parts of ceil(rows / ROWS) * ceil(run / COLS),): each program finds its
           part by counting the tiles of those before it; columns vary fastest
Tiling     a part is rows of `run` elements, the run along the written array's innermost axis, and
           a program copies ROWS x COLS of them: 16-byte accesses where both sides are dense
Traffic    every element read once, written once; DenseNet-121's last 28x28 concat of 480 and 32
           channels, N=32, bf16: 25.7 MB read and 25.7 MB written, no arithmetic: bandwidth
Numerics   exact: elements move as they are stored
Refuses    nothing; more than 16 parts take a launch for every 16
Source     Huang et al. 2017, arXiv:1608.06993 (what needs it fast)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import triton
import triton.language as tl

from ..array import Array
from ..geometry import ConcatGeometry
from .launch import launch
from .numbers import offset_type
from .strided import collapse, offset, strides
from .tuning import Config, Configurations, memory_time

_PARTS = 16  # in one launch: each is a branch of the kernel

COPY = Configurations(
    "concat.copy",
    Config({"ROWS": 64, "COLS": 64}, 4, 1),
    Config({"ROWS": 128, "COLS": 32}, 4, 1),
    Config({"ROWS": 16, "COLS": 256}, 4, 1),
    Config({"ROWS": 1, "COLS": 4096}, 4, 1),
    Config({"ROWS": 256, "COLS": 16}, 4, 1),
    Config({"ROWS": 16, "COLS": 32}, 4, 1),
)


@triton.jit
def _copy(
    sources, targets, rows, runs, sizes, source_steps, target_steps, source_units, target_units,
    PARTS: tl.constexpr, AXES: tl.constexpr, INDEX: tl.constexpr,
    ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    for k in tl.static_range(PARTS):
        blocks = tl.cdiv(runs[k], COLS)
        tiles = tl.cdiv(rows[k], ROWS) * blocks
        if (program >= 0) & (program < tiles):
            row = (program // blocks).to(INDEX) * ROWS + tl.arange(0, ROWS)
            column = (program % blocks).to(INDEX) * COLS + tl.arange(0, COLS)
            inside = (row < rows[k])[:, None] & (column < runs[k])[None, :]
            at = offset(row, sizes[k], source_steps[k], AXES)[:, None]
            source = sources[k] + at + (column * source_units[k])[None, :]
            at = offset(row, sizes[k], target_steps[k], AXES)[:, None]
            target = targets[k] + at + (column * target_units[k])[None, :]
            value = tl.load(source, mask=inside, other=0)
            tl.store(target, value.to(target.dtype.element_ty), mask=inside)
        program -= tiles


class _Walk(NamedTuple):
    """One part as rows of elements, in the order in which the target lies."""

    source: Array
    target: Array
    rows: int
    run: int
    sizes: tuple[int, ...]  # of the rows' axes
    source_steps: tuple[int, ...]
    target_steps: tuple[int, ...]
    source_unit: int  # the step along a run
    target_unit: int

    def padded(self, axes: int) -> tuple[Any, ...]:
        """sizes and both steps over `axes` axes."""
        more = axes - len(self.sizes)
        return (1,) * more + self.sizes, *(
            (0,) * more + s for s in (self.source_steps, self.target_steps)
        )


def _walk(source: Array, target: Array) -> _Walk:
    sizes, (to, of) = collapse(source.shape, strides(target), strides(source))
    rows = math.prod(sizes[:-1])
    return _Walk(source, target, rows, sizes[-1], sizes[:-1], of[:-1], to[:-1], of[-1], to[-1])


def _move(pairs: Sequence[tuple[Array, Array]]) -> None:
    """Copy every source to its target."""
    walks = [_walk(source, target) for source, target in pairs if source.size]
    for first in range(0, len(walks), _PARTS):
        _move_some(walks[first : first + _PARTS])


def _move_some(walks: list[_Walk]) -> None:
    def tiles(config: Config) -> int:
        rows, columns = config.tiles["ROWS"], config.tiles["COLS"]
        return sum(triton.cdiv(w.rows, rows) * triton.cdiv(w.run, columns) for w in walks)

    itemsize, longest = walks[0].target.itemsize, max(w.run for w in walks)

    def cost(config: Config) -> float:
        rows, columns = config.tiles["ROWS"], config.tiles["COLS"]
        run = itemsize * min(columns, longest)
        return memory_time(tiles(config), rows * columns * max(1.0, 64 / run))

    key = tuple((w.rows, w.run) for w in walks)
    config = COPY.choose(walks[0].target.dtype, key, cost)
    axes = max(1, *(len(w.sizes) for w in walks)) if walks else 1
    sizes, source_steps, target_steps = zip(*(w.padded(axes) for w in walks), strict=True)
    sources, targets = tuple(w.source for w in walks), tuple(w.target for w in walks)
    launch(
        _copy, (tiles(config),), sources, targets,
        tuple(w.rows for w in walks), tuple(w.run for w in walks), sizes, source_steps,
        target_steps, tuple(w.source_unit for w in walks), tuple(w.target_unit for w in walks),
        PARTS=len(walks), AXES=axes, INDEX=offset_type(*sources, *targets),
        **config.tiles, **config.options,
    )  # fmt: skip


def _slices(whole: Array, geometry: ConcatGeometry) -> list[Array]:
    """The views of `whole` that its parts are."""
    lead = (slice(None),) * geometry.axis
    views, start = [], 0
    for size in geometry.sizes:
        views.append(whole[(*lead, slice(start, start + size))])
        start += size
    return views


def concat_direct(
    *inputs: Array, out: Array, geometry: ConcatGeometry, epilogue: None = None
) -> None:
    _move(list(zip(inputs, _slices(out, geometry), strict=True)))


def split_direct(
    x: Array, *, out: Sequence[Array], geometry: ConcatGeometry, epilogue: None = None
) -> None:
    _move(list(zip(_slices(x, geometry), out, strict=True)))
