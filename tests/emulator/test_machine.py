"""Each word of cuda/machine.cuh on the emulator, against what the manuals of CUDA and PTX say."""

from __future__ import annotations

import itertools
import os
import threading

import ml_dtypes
import numpy as np
import pytest

pytestmark = pytest.mark.timeout(600)  # the first of each build compiles it

WARP = 32
FULL = 0xFFFFFFFF


def unsigned(*values: int) -> np.ndarray:
    return np.array(values, np.uint32)


# --- grids, blocks, barriers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "grid, block",
    [
        ((1, 1, 1), (1, 1, 1)),
        ((5, 3, 2), (4, 3, 5)),
        ((1, 7, 1), (33, 1, 1)),
        ((2, 1, 9), (1, 17, 2)),
        ((3, 1, 1), (1, 16, 64)),
        ((257, 1, 1), (32, 1, 1)),
    ],
)
def test_every_thread_runs_once_with_its_indices(machine, grid, block):
    threads = int(np.prod(block))
    out = np.full((int(np.prod(grid)), threads, 14), -1, np.int32)
    assert machine.indices(out, unsigned(*grid), unsigned(*block)) is None
    want = np.empty_like(out)
    blocks = itertools.product(*(range(n) for n in grid[::-1]))
    for at, (bz, by, bx) in enumerate(blocks):
        for number in range(threads):
            x, y, z = (
                number % block[0],
                number // block[0] % block[1],
                number // block[0] // block[1],
            )
            want[at, number] = (x, y, z, bx, by, bz, *block, *grid, number % WARP, number)
    assert np.array_equal(out, want)


def test_a_million_blocks(machine):
    out = np.zeros(1 << 20, np.int32)
    assert machine.limits(unsigned(1 << 20, 1, 1), unsigned(1, 1, 1), 0, out) is None
    assert (out == 1).all()


@pytest.mark.parametrize(
    "grid, block, shared, says",
    [
        ((0, 1, 1), (1, 1, 1), 0, "grid.x is 0"),
        ((1, 0, 1), (1, 1, 1), 0, "grid.y is 0"),
        ((1, 65536, 1), (1, 1, 1), 0, "grid.y is 65536; accepted: 1 to 65535"),
        ((1, 1, 65536), (1, 1, 1), 0, "grid.z is 65536"),
        ((1 << 31, 1, 1), (1, 1, 1), 0, "grid.x is 2147483648"),
        ((1, 1, 1), (0, 1, 1), 0, "block.x is 0"),
        ((1, 1, 1), (1025, 1, 1), 0, "block.x is 1025"),
        ((1, 1, 1), (1, 1, 65), 0, "block.z is 65"),
        ((1, 1, 1), (32, 33, 1), 0, "the threads of a block is 1056"),
        ((1, 1, 1), (1 << 31, 1 << 31, 4), 0, "block.x is 2147483648"),
        ((1, 1, 1), (1, 1, 1), 163 * 1024 + 1, "dynamic shared memory is 166913 bytes"),
    ],
)
def test_what_no_gpu_launches_is_refused(machine, grid, block, shared, says):
    out = np.zeros(1, np.int32)
    assert says in machine.limits(unsigned(*grid), unsigned(*block), shared, out)
    assert out[0] == 0


@pytest.mark.parametrize("threads", [1, 2, 31, 32, 96, 100, 1024])
def test_barriers(machine, threads):
    blocks, count = 7, 5
    out = np.zeros((blocks, threads), np.uint32)
    assert machine.rounds(out, blocks, threads, count) is None
    values = np.arange(blocks)[:, None] * 1000 + np.arange(threads, dtype=np.uint64) ** 2
    for _ in range(count):
        values = values + np.roll(values, -1, axis=1)
    assert np.array_equal(out, values.astype(np.uint32))


# --- warps ----------------------------------------------------------------------------------------

_SOURCES = (  # of lane i, by the argument; five bits of that count
    lambda i, n: n % 32,
    lambda i, n: i - n % 32 if i >= n % 32 else i,
    lambda i, n: i + n % 32 if i + n % 32 < WARP else i,
    lambda i, n: i ^ (n % 32),
)


@pytest.mark.parametrize("dtype", ["float32", "int64"])
@pytest.mark.parametrize("kind", range(4), ids=["lane", "up", "down", "xor"])
@pytest.mark.parametrize("mask", [FULL, 0x0000FFFF, 0xA5A5A5A5, 0x80000000])
def test_shuffles(machine, dtype, kind, mask):
    call = machine.shuffle_float if dtype == "float32" else machine.shuffle_int64
    rng = np.random.default_rng(kind)
    values = rng.permutation(64).astype(dtype)
    arguments = [np.full(64, n, np.int32) for n in (*range(WARP), 32, 33, 63)]
    arguments += [rng.integers(0, WARP, 64).astype(np.int32)]  # another one in every lane
    for argument in arguments:
        out = np.full(64, -7, dtype)
        assert call(values, argument, out, kind, mask) is None
        for i in range(64):
            lane = i % WARP
            if not mask >> lane & 1:
                want = -7
            else:
                source = _SOURCES[kind](lane, int(argument[i]))
                inside = mask >> source & 1
                nobody = np.nan if dtype == "float32" else -1  # undefined: all bits set
                want = values[i - lane + source] if inside else nobody
            assert np.array_equal(out[i], want, equal_nan=dtype == "float32"), (i, argument[i])


@pytest.mark.parametrize("mask", [FULL, 0x55555555, 0x00000001, 0x7FFFFFFF, 0xFFFF0000])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_votes_of_two_groups_of_a_warp(machine, mask, share):
    predicates = (np.random.default_rng(5).random(64) < share).astype(np.int32) * 6
    out = np.zeros((64, 3), np.uint32)
    assert machine.votes(predicates, mask, out) is None
    for i in range(64):
        group = mask if mask >> i % WARP & 1 else ~mask & FULL
        warp = predicates[i // WARP * WARP :][:WARP]
        ballot = sum(1 << lane for lane in range(WARP) if group >> lane & 1 and warp[lane])
        assert tuple(out[i]) == (ballot, ballot != 0, ballot == group)


def test_groups_of_a_warp_that_share_lanes(machine):
    out = np.zeros(96, np.int32)
    assert machine.groups(out) is None
    x = np.arange(WARP)
    x[:16] = x[:16] ^ 1
    x = np.roll(x, 16)
    x[:16] = x[:16][np.arange(16) ^ 1]
    assert np.array_equal(out, np.tile(x, 3))


# --- atomics, shared memory, workspaces -----------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int32", "uint32", "uint64", "float32", "float64"])
def test_atomics_of_all_threads_of_all_blocks(machine, dtype):
    blocks, threads = 40, 96
    out = np.zeros(3 + blocks, dtype)
    before = np.zeros(blocks * threads, np.int64)
    call = getattr(machine, f"atomics_{dtype}")
    assert call(out, before, blocks, threads) is None
    n = blocks * threads
    assert out[0] == n and (out[3:] == threads).all()
    assert np.array_equal(np.sort(before), np.arange(n)), "each value was there for one thread"
    if not dtype.startswith("float"):
        assert out[1] == (1 << 31) - 1
        assert out[2] == max(i * 7919 % 100003 for i in range(n))


@pytest.mark.parametrize("wide", [False, True], ids=["float", "double"])
def test_shared_memory_is_nan_when_a_block_begins(machine, wide):
    blocks = 50
    for _ in range(2):
        out = np.zeros((blocks, 64, 4), np.uint64)
        assert machine.fresh(out, blocks, wide) is None
        assert (out == (2**64 - 1 if wide else 2**32 - 1)).all(axis=(0, 1)).tolist() == [True] * 4


def test_workspaces(machine):
    out = np.zeros((3, 4), np.float32)
    assert machine.workspaces(out) is None
    assert np.isnan(out[0]).all()
    assert out[1:].tolist() == [[1, 2, 3, 4], [0, 0, 0, 4]]


# --- tensor cores ---------------------------------------------------------------------------------
# PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type" and "for mma.m16n8k8": where
# element i of a lane's fragment lies, as (row, column).


def _where_a(kind: int, lane: int, i: int) -> tuple[int, int]:
    group, part = lane >> 2, lane % 4
    if kind == 2:
        return group if i in (0, 2) else group + 8, part if i in (0, 1) else part + 4
    row = group if 0 <= i < 2 or 4 <= i < 6 else group + 8
    return row, part * 2 + (i & 1) + (0 if i < 4 else 8)


def _where_b(kind: int, lane: int, i: int) -> tuple[int, int]:
    group, part = lane >> 2, lane % 4
    if kind == 2:
        return part if i == 0 else part + 4, group
    return part * 2 + (i & 1) + (0 if i < 2 else 8), group


def _where_d(lane: int, i: int) -> tuple[int, int]:
    group, part = lane >> 2, lane % 4
    return group if i < 2 else group + 8, part * 2 + (i & 1)


def _fragments(values: np.ndarray, kind: int, where, elements: int) -> np.ndarray:
    """The registers of all lanes, of two halves or a float32 each."""
    out = np.zeros((WARP, elements), values.dtype)
    for lane, i in itertools.product(range(WARP), range(elements)):
        out[lane, i] = values[where(kind, lane, i)]
    return np.ascontiguousarray(out).view(np.uint32)


_TYPES = (np.float16, ml_dtypes.bfloat16, np.float32)


def _multiply(machine, kind: int, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    halves = 1 if kind == 2 else 2
    d = np.zeros((WARP, 4), np.float32)
    for lane, i in itertools.product(range(WARP), range(4)):
        d[lane, i] = c[_where_d(lane, i)]
    left = _fragments(a, kind, _where_a, 4 * halves)
    right = _fragments(b, kind, _where_b, 2 * halves)
    assert left.shape == (WARP, 4) and right.shape == (WARP, 2)
    assert machine.mma(kind, d, left, right) is None
    out = np.zeros((16, 8), np.float32)
    for lane, i in itertools.product(range(WARP), range(4)):
        out[_where_d(lane, i)] = d[lane, i]
    return out


@pytest.mark.parametrize("kind", range(3), ids=["f16", "bf16", "tf32"])
def test_mma_of_integers_is_exact(machine, kind):
    rng = np.random.default_rng(kind)
    depth = 8 if kind == 2 else 16
    for _ in range(5):
        a = rng.integers(-8, 9, (16, depth)).astype(_TYPES[kind])
        b = rng.integers(-8, 9, (depth, 8)).astype(_TYPES[kind])
        c = rng.integers(-99, 100, (16, 8)).astype(np.float32)
        want = a.astype(np.float64) @ b.astype(np.float64) + c
        assert np.array_equal(_multiply(machine, kind, a, b, c), want)


@pytest.mark.parametrize("kind", range(3), ids=["f16", "bf16", "tf32"])
def test_mma_takes_every_element_once(machine, kind):
    """One element of each operand is 1, and so is one of the product."""
    depth = 8 if kind == 2 else 16
    for k in range(depth):
        row, column = 5 * k % 16, 3 * k % 8
        a, b = np.zeros((16, depth), _TYPES[kind]), np.zeros((depth, 8), _TYPES[kind])
        a[row, k] = b[k, column] = 1
        want = np.zeros((16, 8))
        want[row, column] = 1
        assert np.array_equal(_multiply(machine, kind, a, b, np.zeros((16, 8))), want)


def test_mma_of_what_halves_hold(machine):
    """Subnormals, the largest numbers, infinity and NaN."""
    for kind, tiny, large in ((0, 2.0**-24, 65504.0), (1, 2.0**-133, 2.0**127)):
        a, b = np.zeros((16, 16), _TYPES[kind]), np.zeros((16, 8), _TYPES[kind])
        a[0, 0], a[1, 1], a[2, 2], a[3, 3] = tiny, large, np.inf, np.nan
        for i in range(4):
            b[i, i] = 1
        with np.errstate(invalid="ignore"):
            want = a.astype(np.float32) @ b.astype(np.float32)
        assert np.array_equal(
            _multiply(machine, kind, a, b, np.zeros((16, 8))), want, equal_nan=True
        )


def test_mma_tf32_ignores_the_low_bits(machine):
    a, b = np.zeros((16, 8), np.float32), np.zeros((8, 8), np.float32)
    a[0, 0], b[0, 0] = 1 + 2.0**-10 + 2.0**-11, 3
    got = _multiply(machine, 2, a, b, np.zeros((16, 8)))
    assert got[0, 0] == 3 * (1 + 2.0**-10)


def test_round_to_tf32_goes_to_the_nearest_and_from_ties_away_from_zero(machine):
    step = 2.0**-10
    values = [1.0, 1 + step / 2, 1 + step / 4, 1 + step * 3 / 4, 1 + step * 1.5, 2 - step / 2]
    wanted = [1.0, 1 + step, 1.0, 1 + step, 1 + 2 * step, 2.0]
    special = [0.0, -0.0, np.inf, -np.inf]
    x = np.array([*values, *(-v for v in values), *special, np.nan], np.float32)
    out = np.zeros(x.shape, np.uint32)
    assert machine.tf32(x, out, x.size) is None
    want = np.array([*wanted, *(-v for v in wanted), *special, np.nan], np.float32)
    assert np.array_equal(out.view(np.float32), want, equal_nan=True)


@pytest.mark.parametrize("transposed", [False, True])
def test_ldmatrix(machine, transposed):
    rng = np.random.default_rng(2)
    data = rng.permutation(1 << 16)[:1024].astype(np.uint16)
    offsets = (rng.permutation(128)[:WARP] * 8).astype(np.int32)
    out = np.zeros((WARP, 4), np.uint32)
    assert machine.ldmatrix(data, offsets, out, transposed) is None
    for lane, tile in itertools.product(range(WARP), range(4)):
        rows = np.stack([data[offsets[8 * tile + i] :][:8] for i in range(8)])
        rows = rows.T if transposed else rows
        low, high = rows[lane // 4, 2 * (lane % 4)], rows[lane // 4, 2 * (lane % 4) + 1]
        assert out[lane, tile] == int(low) | int(high) << 16


# --- copies past the registers --------------------------------------------------------------------


def test_copies_land_when_they_are_waited_for(machine):
    threads = 40
    x = np.arange(1, 3 * threads + 1, dtype=np.float32).reshape(3, threads)
    out = np.zeros((5, 3, threads), np.float32)
    assert machine.copies(x, out, threads) is None
    landed = x.copy()
    for group in range(3):
        landed[group, group::5] = 0  # zeros where the source is outside
    nothing = np.full_like(x, np.nan)
    for step, arrived in ((1, 0), (2, 1), (3, 2), (4, 3)):
        want = np.concatenate([landed[:arrived], nothing[arrived:]])
        assert np.array_equal(out[step], want, equal_nan=True)
    assert (out[0] == -1).all()


def test_copies_of_16_bytes(machine):
    x, out = np.arange(1, 41, dtype=np.float32), np.zeros(32, np.float32)
    start = (-x.ctypes.data // 4) % 4  # on a multiple of 16 bytes
    assert machine.wide_copies(x[start:], out, 0, 0) is None
    want = x[start : start + 32].copy()
    want[12:16] = 0
    assert np.array_equal(out, want)


@pytest.mark.parametrize("shifts", [(1, 0), (0, 2)], ids=["source", "destination"])
def test_copies_off_their_alignment_are_refused(machine, shifts):
    x, out = np.zeros(64, np.float32), np.zeros(32, np.float32)
    start = (-x.ctypes.data // 4) % 4
    said = machine.wide_copies(x[start:], out, *shifts)
    assert said is not None and "copies 16 bytes with cp.async" in said and "aligned" in said


# --- callers --------------------------------------------------------------------------------------


def test_callers_on_several_threads(machine):
    answers = {}

    def call(number):
        out = np.zeros((200, 64), np.uint32)
        answers[number] = (machine.rounds(out, 200, 64, 3), out)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    want = np.zeros((200, 64), np.uint32)
    assert machine.rounds(want, 200, 64, 3) is None
    for said, out in answers.values():
        assert said is None and np.array_equal(out, want)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_child_of_fork_has_an_emulator(machine):
    out = np.zeros((200, 64), np.uint32)
    assert machine.rounds(out, 200, 64, 3) is None
    child = os.fork()
    if child == 0:
        again = np.zeros_like(out)
        said = machine.rounds(again, 200, 64, 3)
        os._exit(0 if said is None and np.array_equal(again, out) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
