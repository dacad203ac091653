"""Matrix product, batched, in tiles.

Computes   out[b,m,n] = epilogue(sum_k a[b,m,k] * b[b,k,n])
Arrays     a (B,M,K)  b (B,K,N)  out (B,M,N); f16/bf16/f32/f64; any strides, so that a transposed
           operand is a view; an epilogue's bias, scale and shift are (N,), its residual (B,M,N)
Grid       (B * row tiles * column tiles,): each program BLOCK_ROWS x BLOCK_COLS of one matrix of
           out; GROUP rows of tiles are walked column by column, so that programs that run
           together share their operands in L2
Tiling     the sums stay in registers; BLOCK_DEPTH columns of a and rows of b pass through shared
           memory, num_stages of them on the way at a time
Traffic    a is read N/BLOCK_COLS times and b M/BLOCK_ROWS times, mostly from L2; with 128 x 256
           tiles in bf16 a step does 85 FLOPs a byte; unmeasured
Numerics   sums in f32 (f64 for f64), k in ascending blocks; f32 products as
           pycnn.set_float32_precision says, exact by default; one rounding at the store
Refuses    nothing
Source     Kirk and Hwu 2016, Programming Massively Parallel Processors, chapter 4; the order of
           tiles: Tillet, Kung and Cox 2019, doi:10.1145/3315508.3329973
"""

from __future__ import annotations

import math

import numpy as np
import triton
import triton.language as tl

from ..array import Array
from ..dispatch import Epilogue
from ..geometry import GemmGeometry
from . import mode
from .epilogue import activation, arguments, finish, has_residual, word
from .launch import launch
from .numbers import accumulator
from .precision import input_precision
from .strided import strides, units
from .tuning import Config, Configurations

HALVES = ("float16", "bfloat16")
GROUP = 8  # rows of tiles that are walked together


def tile_config(
    rows: int, cols: int, depth: int, num_warps: int, num_stages: int, *dtypes: str
) -> Config:
    """A configuration of a kernel that makes BLOCK_ROWS x BLOCK_COLS tiles."""
    tiles = {"BLOCK_ROWS": rows, "BLOCK_COLS": cols, "BLOCK_DEPTH": depth}
    return Config(tiles, num_warps, num_stages, dtypes=dtypes)


LARGE = {"BLOCK_ROWS": 128, "BLOCK_COLS": 256, "BLOCK_DEPTH": 64}
MIDDLE = {"BLOCK_ROWS": 64, "BLOCK_COLS": 128, "BLOCK_DEPTH": 64}
TILES = (
    # an A100 has too few registers for it
    Config(LARGE, 8, 3, archs=(90,), dtypes=HALVES),
    tile_config(128, 128, 64, 8, 3, *HALVES),
    Config(MIDDLE, 4, 4, archs=(90,), dtypes=HALVES),
    Config(MIDDLE, 8, 3, archs=(80,), dtypes=HALVES),
    tile_config(64, 64, 64, 4, 4, *HALVES),
    tile_config(128, 128, 16, 8, 3, "float32"),
    tile_config(64, 64, 16, 4, 2, "float32"),
    tile_config(64, 64, 16, 8, 3, "float64"),
    tile_config(32, 32, 16, 4, 3, "float32", "float64"),
    tile_config(32, 32, 32, 4, 3, *HALVES),
)
TILED = Configurations("gemm.tiled", *TILES)

# multiply-adds a processor of an H100 does in a cycle, and the bytes its L2 hands it
_RATES = {"float16": 4096, "bfloat16": 4096, "float32": 128, "float64": 128}
_TENSOR_RATES = {"ieee": 128, "tf32": 2048, "tf32x3": 600, "bf16x3": 1200, "bf16x6": 550}
_L2_RATE = 48
_FIXED = 2000  # cycles to start a program, fill its pipeline and store its tile


def processors() -> int:
    """How many programs run at a time: one on each processor of an H100, one in the interpreter."""
    return 1 if mode.settle() == mode.INTERPRETED else 132


def tile_cost(
    config: Config,
    dtype: np.dtype,
    batch: int,
    rows: int,
    cols: int,
    depth: int,
    crowded: bool = False,
    spread: bool = False,
) -> float:
    """The cycles a batch of (rows x depth) times (depth x cols) takes: the waves of tiles, times
    a tile's multiply-adds or, where that is longer, its traffic with L2. `crowded`: the sums share
    the registers with more than addresses when they are stored. `spread`: each is stored at several
    places in turn, for which large tiles lack registers without tensor cores. Rows that are no
    multiple of eight numbers long are loaded one number at a time, for which a large tile has too
    few registers."""
    if crowded and config.tiles == LARGE:
        return math.inf
    size = config.tiles["BLOCK_ROWS"] * config.tiles["BLOCK_COLS"]
    if spread and dtype.itemsize == 4 and size > 64 * 64:
        return math.inf
    if depth % 8 and dtype.itemsize == 2 and size > 64 * 64:
        return math.inf
    tile_rows, tile_cols, step = (
        config.tiles[name] for name in ("BLOCK_ROWS", "BLOCK_COLS", "BLOCK_DEPTH")
    )
    steps = triton.cdiv(depth, step)
    tiles = batch * triton.cdiv(rows, tile_rows) * triton.cdiv(cols, tile_cols)
    precision = input_precision(dtype)
    rate = _RATES[dtype.name] if precision is None else _TENSOR_RATES[precision]
    rate = rate * min(1.0, tile_cols / 128)  # narrow tiles do not fill a tensor core
    arithmetic = tile_rows * tile_cols * steps * step / rate
    traffic = (tile_rows + tile_cols) * steps * step * dtype.itemsize / _L2_RATE
    return triton.cdiv(tiles, processors()) * (_FIXED + max(arithmetic, traffic))


# --- tiled ----------------------------------------------------------------------------------------


@triton.jit
def tile_of(program, row_tiles, col_tiles, GROUP: tl.constexpr):
    """(row, column) of the tile that `program` makes: down GROUP rows, then the next column."""
    band = program // (GROUP * col_tiles)
    within = program % (GROUP * col_tiles)
    height = tl.minimum(row_tiles - band * GROUP, GROUP)
    return band * GROUP + within % height, within // height


@triton.jit
def product(
    a, a_inside, a_step, b, b_inside, b_step, depth,
    ACC: tl.constexpr, PRECISION: tl.constexpr, WHOLE: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK_COLS: tl.constexpr, BLOCK_DEPTH: tl.constexpr,
):  # fmt: skip
    """sum_k a[:, k] b[k, :] over k < depth, (BLOCK_ROWS, BLOCK_COLS): `a` (BLOCK_ROWS,) points at
    the rows' elements k = 0, `b` (BLOCK_COLS,) at the columns'. WHOLE: depth is a multiple of
    BLOCK_DEPTH."""
    k = tl.arange(0, BLOCK_DEPTH)
    a_at = a[:, None] + (k.to(tl.int64) * a_step)[None, :]
    b_at = b[None, :] + (k.to(tl.int64) * b_step)[:, None]
    a_advance = tl.cast(a_step, tl.int64) * BLOCK_DEPTH
    b_advance = tl.cast(b_step, tl.int64) * BLOCK_DEPTH
    a_mask, b_mask = a_inside[:, None], b_inside[None, :]
    acc = tl.zeros((BLOCK_ROWS, BLOCK_COLS), ACC)
    for start in range(0, depth, BLOCK_DEPTH):
        if WHOLE:
            left = tl.load(a_at, mask=a_mask, other=0.0)
            right = tl.load(b_at, mask=b_mask, other=0.0)
        else:
            k_inside = k < depth - start
            left = tl.load(a_at, mask=a_mask & k_inside[None, :], other=0.0)
            right = tl.load(b_at, mask=b_mask & k_inside[:, None], other=0.0)
        acc = tl.dot(left, right, acc, input_precision=PRECISION, out_dtype=ACC)
        a_at += a_advance
        b_at += b_advance
    return acc


@triton.jit
def _gemm_tiled(
    a, b, out, rows, cols, depth, a_steps, b_steps, out_steps,
    vectors, vector_steps, residual, residual_steps,
    ACTIVATION: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr, WHOLE: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK_COLS: tl.constexpr, BLOCK_DEPTH: tl.constexpr,
):  # fmt: skip
    row_tiles, col_tiles = tl.cdiv(rows, BLOCK_ROWS), tl.cdiv(cols, BLOCK_COLS)
    program = tl.program_id(0)
    batch = (program // (row_tiles * col_tiles)).to(tl.int64)
    tile_row, tile_col = tile_of(program % (row_tiles * col_tiles), row_tiles, col_tiles, GROUP)
    m = tile_row.to(tl.int64) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    n = tile_col.to(tl.int64) * BLOCK_COLS + tl.arange(0, BLOCK_COLS)
    m_inside, n_inside = m < rows, n < cols
    acc = product(
        a + batch * a_steps[0] + m * a_steps[1], m_inside, a_steps[2],
        b + batch * b_steps[0] + n * b_steps[2], n_inside, b_steps[1],
        depth, ACC, PRECISION, WHOLE, BLOCK_ROWS, BLOCK_COLS, BLOCK_DEPTH,
    )  # fmt: skip
    inside = m_inside[:, None] & n_inside[None, :]
    first = batch * residual_steps[0] + m * residual_steps[1]
    at = first[:, None] + (n * residual_steps[2])[None, :]
    y = finish(acc, vectors, vector_steps, n, n_inside, residual, at, inside, ACTIVATION)
    first = batch * out_steps[0] + m * out_steps[1]
    at = first[:, None] + (n * out_steps[2])[None, :]
    tl.store(out + at, y.to(out.dtype.element_ty), mask=inside)


def gemm_tiled(
    a: Array, b: Array, *, out: Array, geometry: GemmGeometry, epilogue: Epilogue | None = None
) -> None:
    g, dtype = geometry, a.dtype
    config = TILED.choose(
        dtype,
        (g.B, g.M, g.N, g.K, units(strides(a), strides(b), strides(out)), word(epilogue)),
        lambda c: tile_cost(c, dtype, g.B, g.M, g.N, g.K, has_residual(epilogue)),
    )
    rows, cols, depth = (config.tiles[f"BLOCK_{name}"] for name in ("ROWS", "COLS", "DEPTH"))
    launch(
        _gemm_tiled, (g.B * triton.cdiv(g.M, rows) * triton.cdiv(g.N, cols),),
        a, b, out, g.M, g.N, g.K, strides(a), strides(b), strides(out), *arguments(epilogue),
        ACTIVATION=activation(epilogue), ACC=accumulator(dtype),
        PRECISION=input_precision(dtype), WHOLE=g.K % depth == 0, GROUP=GROUP,
        **config.tiles, **config.options,
    )  # fmt: skip


# --- naive ----------------------------------------------------------------------------------------


@triton.jit
def _gemm_naive(
    a, b, out, rows, cols, depth, a_steps, b_steps, out_steps,
    vectors, vector_steps, residual, residual_steps,
    ACTIVATION: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """BLOCK elements of one row of out, each an inner product of its own."""
    col_tiles = tl.cdiv(cols, BLOCK)
    row = (tl.program_id(0) // col_tiles).to(tl.int64)
    batch, m = row // rows, row % rows
    n = tl.program_id(0) % col_tiles * BLOCK + tl.arange(0, BLOCK).to(tl.int64)
    inside = n < cols
    acc = tl.zeros((BLOCK,), ACC)
    for k in range(depth):
        left = tl.load(a + batch * a_steps[0] + m * a_steps[1] + k * a_steps[2]).to(ACC)
        at = batch * b_steps[0] + k * b_steps[1] + n * b_steps[2]
        acc += left * tl.load(b + at, mask=inside, other=0.0).to(ACC)
    at = batch * residual_steps[0] + m * residual_steps[1] + n * residual_steps[2]
    y = finish(
        acc[None, :], vectors, vector_steps, n, inside, residual, at[None, :], inside[None, :],
        ACTIVATION,
    )  # fmt: skip
    at = batch * out_steps[0] + m * out_steps[1] + n * out_steps[2]
    tl.store(out + at[None, :], y.to(out.dtype.element_ty), mask=inside[None, :])


def gemm_naive(
    a: Array, b: Array, *, out: Array, geometry: GemmGeometry, epilogue: Epilogue | None = None
) -> None:
    g, block = geometry, 128
    launch(
        _gemm_naive, (g.B * g.M * triton.cdiv(g.N, block),),
        a, b, out, g.M, g.N, g.K, strides(a), strides(b), strides(out), *arguments(epilogue),
        ACTIVATION=activation(epilogue), ACC=accumulator(a.dtype), BLOCK=block,
    )  # fmt: skip
