"""A kernel that no GPU would run as it was meant is refused, with the place and the thread; the
emulator can be used afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from .conftest import HERE, lines

pytestmark = pytest.mark.timeout(600)  # the first of each build compiles it

LINES = lines("machine.cu")
FAULTS = {
    "returned": (
        0,
        f"waits for ever in __syncthreads() at {{file}}:{LINES.returned}; "
        "thread (40, 0, 0) of block ({block}, 0, 0) has returned",
    ),
    "two barriers": (
        1,
        f"thread (33, 0, 0) of block ({{block}}, 0, 0) waits in __syncthreads() at "
        f"{{file}}:{LINES.other}, others of its block in __syncthreads() at {{file}}:{LINES.one}",
    ),
    "a lane that does not come": (
        2,
        f"thread (0, 0, 0) of block ({{block}}, 0, 0) waits for ever in __shfl_xor_sync() at "
        f"{{file}}:{LINES.absent}; thread (16, 0, 0) of block ({{block}}, 0, 0) has returned",
    ),
    "own lane": (
        3,
        f"thread (0, 0, 0) of block ({{block}}, 0, 0) calls __shfl_sync() at {{file}}:{LINES.own} "
        "with a mask without its lane 0",
    ),
    "overlapping masks": (
        4,
        f"thread (0, 0, 0) of block ({{block}}, 0, 0) waits for ever in __syncwarp() at "
        f"{{file}}:{LINES.low}; thread (16, 0, 0) of block ({{block}}, 0, 0) waits in "
        f"__syncwarp() at {{file}}:{LINES.high}",
    ),
    "a lane at the block's barrier": (
        5,
        f"thread (0, 0, 0) of block ({{block}}, 0, 0) waits for ever in __any_sync() at "
        f"{{file}}:{LINES.vote}; thread (7, 0, 0) of block ({{block}}, 0, 0) waits in "
        f"__syncthreads() at {{file}}:{LINES.barrier}",
    ),
    "one mask at two places": (
        10,
        "thread (1, 0, 0) of block ({block}, 0, 0) waits in __shfl_sync() at "
        f"{{file}}:{LINES.odd}, lanes of the same mask in __shfl_sync() at {{file}}:{LINES.even}",
    ),
    "a row off its alignment": (
        11,
        f"thread (1, 0, 0) of block ({{block}}, 0, 0) calls ldmatrix at {{file}}:{LINES.row} "
        "with a row that is not aligned to 16 bytes",
    ),
}


@pytest.mark.parametrize("blocks", [1, 6])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_reported(machine, name, blocks):
    kind, says = FAULTS[name]
    out = np.zeros(1, np.int32)
    said = machine.fault(kind, blocks, 64, out)
    assert said is not None
    short = said.replace(f"{HERE}/", "")
    assert any(says.format(file="machine.cu", block=i) in short for i in range(blocks)), said
    _works(machine)


def test_a_mask_with_lanes_that_the_warp_does_not_have(machine):
    said = machine.fault(6, 1, 48, np.zeros(1, np.int32))
    assert said is not None and f"machine.cu:{LINES.short}" in said
    assert said.startswith("thread (32, 0, 0) of block (0, 0, 0) calls __ballot_sync()")
    assert said.endswith("with a mask that names lanes its warp does not have")
    _works(machine)


@pytest.mark.parametrize(
    "kind, says",
    [
        (7, "std::bad_alloc"),
        (8, "int 8"),
        (9, "thread (0, 0, 0) of block (0, 0, 0) launches a kernel"),
    ],
    ids=["no memory", "no exception class", "a launch"],
)
def test_what_a_thread_throws_arrives(machine, kind, says):
    assert machine.fault(kind, 1, 64, np.zeros(1, np.int32)) == says
    _works(machine)


def _works(machine) -> None:
    """Blocks of the size that had the fault, and others, run as if nothing had been."""
    for threads in (64, 96, 33):
        out = np.zeros((5, threads), np.uint32)
        assert machine.rounds(out, 5, threads, 1) is None
        values = np.arange(5)[:, None] * 1000 + np.arange(threads) ** 2
        assert np.array_equal(out, values + np.roll(values, -1, axis=1))
    predicates = np.ones(64, np.int32)
    out = np.zeros((64, 3), np.uint32)
    assert machine.votes(predicates, 0xFFFFFFFF, out) is None
    assert (out[:, 0] == 0xFFFFFFFF).all()
