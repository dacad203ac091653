"""Dropout from a counter: the mask is computed where it is needed and never stored.

Computes   y = x * mask, mask[i] = 1 / (1 - p) where word i of Philox 4x32-10 is at least p * 2**32,
           else 0; i counts the elements of x's first geometry.axes axes in row-major order
Arrays     x, y of one float dtype and shape, any strides; key (2,) int64: (seed, offset)
Grid       (row tiles * column tiles,): columns are the innermost axis, rows all the others
Tiling     ten rounds give four words: four neighbours in a row share them where rows begin at a
           multiple of four, a whole row of a channel's mask shares one; else each has its own
Traffic    x read once, y written once; (32,256,56,56) in bf16: 103 MB, and some 30 integer
           instructions an element: bandwidth in f32, about even in halves
Numerics   halves in f32, rounded once; the same bits as the reference's mask
Refuses    nothing
Source     Srivastava et al. 2014, JMLR 15; Salmon et al. 2011, SC'11
"""

from __future__ import annotations

import triton
import triton.language as tl

from ..array import Array
from ..geometry import DropoutGeometry
from .functions import narrowed
from .launch import launch
from .numbers import accumulator
from .strided import collapse, index_dtype, offset, strides, units
from .tuning import Config, Configurations


@triton.jit
def _words(block, key, key_step):
    """The four words of the counter (block, offset) under the key: uint32, of block's shape."""
    seed, start = tl.load(key), tl.load(key + key_step)
    zero = block * 0
    a = (block & 0xFFFFFFFF).to(tl.uint32)
    b = (block >> 32).to(tl.uint32)
    c = (zero + (start & 0xFFFFFFFF)).to(tl.uint32)
    d = (zero + (start >> 32)).to(tl.uint32)
    low = (zero + (seed & 0xFFFFFFFF)).to(tl.uint32)
    high = (zero + (seed >> 32)).to(tl.uint32)
    even = tl.full(low.shape, 0xD2511F53, tl.uint32)
    odd = tl.full(low.shape, 0xCD9E8D57, tl.uint32)
    low_step = tl.full(low.shape, 0x9E3779B9, tl.uint32)
    high_step = tl.full(low.shape, 0xBB67AE85, tl.uint32)
    for _ in tl.static_range(10):
        from_a, from_c = tl.umulhi(even, a), tl.umulhi(odd, c)
        b, d, a, c = odd * c, even * a, from_c ^ b ^ low, from_a ^ d ^ high
        low += low_step
        high += high_step
    return a, b, c, d


@triton.jit
def _word(i, key, key_step):
    """Word i: one of its block's four."""
    a, b, c, d = _words(i >> 2, key, key_step)
    place = i & 3
    return tl.where(place < 2, tl.where(place == 0, a, b), tl.where(place == 2, c, d))


@triton.jit
def _direct(
    out, x, key, key_step, threshold, scale, rows, cols, col_tiles, sizes,
    out_steps, x_steps, mask_steps,
    SHARED: tl.constexpr, AXES: tl.constexpr, ACC: tl.constexpr, INDEX: tl.constexpr,
    ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    tile = tl.program_id(0)
    first_col = (tile % col_tiles).to(INDEX) * COLS
    row = (tile // col_tiles).to(INDEX) * ROWS + tl.arange(0, ROWS)
    col = first_col + tl.arange(0, COLS)
    inside = (row < rows)[:, None] & (col < cols)[None, :]
    at = offset(row, sizes, x_steps, AXES - 1)[:, None] + (col * x_steps[AXES - 1])[None, :]
    value = tl.load(x + at, mask=inside, other=0.0).to(ACC)
    mask_row = offset(row.to(tl.int64), sizes, mask_steps, AXES - 1)[:, None]
    if SHARED == "four":
        block = (mask_row + first_col) // 4 + tl.arange(0, COLS // 4)[None, :]
        a, b, c, d = _words(block, key, key_step)
        word = tl.reshape(tl.join(tl.join(a, c), tl.join(b, d)), (ROWS, COLS))
    elif SHARED == "row":
        word = _word(mask_row, key, key_step)
    else:
        along = (col.to(tl.int64) * mask_steps[AXES - 1])[None, :]
        word = _word(mask_row + along, key, key_step)
    kept = word.to(tl.int64) >= threshold
    y = value * tl.where(kept, scale, 0.0).to(ACC)
    at = offset(row, sizes, out_steps, AXES - 1)[:, None] + (col * out_steps[AXES - 1])[None, :]
    tl.store(out + at, narrowed(y, out), mask=inside)


DIRECT = Configurations(
    "dropout.direct",
    Config({"ROWS": 1, "COLS": 1024}),
    Config({"ROWS": 1, "COLS": 256}),
    Config({"ROWS": 16, "COLS": 64}),
    Config({"ROWS": 64, "COLS": 16}),
    Config({"ROWS": 256, "COLS": 4}),
)


def dropout_direct(
    x: Array, key: Array, *, out: Array, geometry: DropoutGeometry, epilogue: None = None
) -> None:
    sizes, (out_steps, x_steps, mask_steps) = _walk(x, out, geometry)
    cols = sizes[-1]
    rows = out.size // cols if cols else 0
    shared = _shared(mask_steps)
    key_of_row = (rows, cols, len(sizes), shared, units(out_steps, x_steps))
    config = DIRECT.choose(out.dtype, key_of_row, lambda c: _time(c, rows, cols))
    col_tiles = triton.cdiv(cols, config.tiles["COLS"])
    launch(
        _direct, (triton.cdiv(rows, config.tiles["ROWS"]) * col_tiles,),
        out, x, key, strides(key)[0], *_numbers(geometry), rows, cols, col_tiles, sizes,
        out_steps, x_steps, mask_steps,
        SHARED=shared, AXES=len(sizes), ACC=accumulator(x.dtype),
        INDEX=index_dtype(sizes, out_steps, x_steps), **config.tiles, **config.options,
    )  # fmt: skip


def _shared(mask_steps: tuple[int, ...]) -> str:
    """Which elements of a row share a block of words."""
    if mask_steps[-1] == 0:
        return "row"
    four = mask_steps[-1] == 1 and all(step % 4 == 0 for step in mask_steps[:-1])
    return "four" if four else "none"


def _time(config: Config, rows: int, cols: int) -> float:
    """Elements of the tiles and a constant for each tile and row."""
    height, width = config.tiles["ROWS"], config.tiles["COLS"]
    tiles = triton.cdiv(rows, height) * triton.cdiv(cols, width)
    return tiles * (height * width + 64 + 8 * height)


def _walk(
    x: Array, out: Array, geometry: DropoutGeometry
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """The collapsed axes with the steps of out, x and the mask's row-major index."""
    mask = [0] * x.ndim
    step = 1
    for axis in reversed(range(geometry.axes)):
        mask[axis] = step
        step *= x.shape[axis]
    return collapse(x.shape, strides(out), strides(x), mask)


def _numbers(geometry: DropoutGeometry) -> tuple[int, float]:
    """(the least word that is kept, what is kept is multiplied by)."""
    p = geometry.p
    return min(round(p * 2**32), 2**32 - 1), 0.0 if p == 1 else 1 / (1 - p)


# --- naive ----------------------------------------------------------------------------------------


@triton.jit
def _naive(
    out, x, key, key_step, threshold, scale, elements, sizes, out_steps, x_steps, mask_steps,
    AXES: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One element a lane, each with ten rounds of its own."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = i < elements
    value = tl.load(x + offset(i, sizes, x_steps, AXES), mask=inside, other=0.0).to(ACC)
    word = _word(offset(i, sizes, mask_steps, AXES), key, key_step)
    kept = word.to(tl.int64) >= threshold
    y = value * tl.where(kept, scale, 0.0).to(ACC)
    tl.store(out + offset(i, sizes, out_steps, AXES), narrowed(y, out), mask=inside)


def dropout_naive(
    x: Array, key: Array, *, out: Array, geometry: DropoutGeometry, epilogue: None = None
) -> None:
    sizes, (out_steps, x_steps, mask_steps) = _walk(x, out, geometry)
    block = 256
    launch(
        _naive, (triton.cdiv(out.size, block),),
        out, x, key, strides(key)[0], *_numbers(geometry), out.size, sizes,
        out_steps, x_steps, mask_steps, AXES=len(sizes), ACC=accumulator(x.dtype), BLOCK=block,
    )  # fmt: skip
