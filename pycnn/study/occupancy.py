"""How many blocks of a kernel a multiprocessor of a GPU holds, and how full its last wave is.

From the limits NVIDIA publishes (CUDA C++ Programming Guide, "Technical Specifications per Compute
Capability") and the granularities of its occupancy calculator (cuda_occupancy.h).
"""

from __future__ import annotations

import math
from typing import NamedTuple

WARP = 32
PARTITIONS = 4  # of a multiprocessor, each with a quarter of the registers
REGISTERS = 65536  # 32-bit, of a multiprocessor
REGISTER_UNIT = 256  # a warp's registers are allocated in multiples of it
SHARED_UNIT = 128  # bytes
RESERVED = 1024  # bytes of shared memory that the system takes of every block
MOST_THREADS = 1024  # of a block


class Limits(NamedTuple):
    """What one multiprocessor of a compute capability holds."""

    warps: int
    blocks: int
    shared: int  # KiB; a block takes 1 KiB less at most
    gpu: str  # one with that capability
    multiprocessors: int  # it has


LIMITS = {
    80: Limits(64, 32, 164, "A100", 108),
    86: Limits(48, 16, 100, "A10", 72),
    87: Limits(48, 16, 164, "Jetson AGX Orin", 16),
    89: Limits(48, 24, 100, "L40S", 142),
    90: Limits(64, 32, 228, "H100 SXM, H200", 132),
    100: Limits(64, 32, 228, "B200", 148),
    120: Limits(48, 24, 100, "GeForce RTX 5090", 170),
}


class Occupancy(NamedTuple):
    """What a multiprocessor holds of one kernel."""

    blocks: int
    warps: int
    most_warps: int
    limit: str  # "warps", "blocks", "registers" or "shared memory"; the first of several

    @property
    def share(self) -> float:
        return self.warps / self.most_warps


def limits_of(arch: int) -> Limits:
    """The limits of sm_`arch`; ValueError for one that is not known."""
    if arch not in LIMITS:
        known = ", ".join(f"sm_{number}" for number in LIMITS)
        raise ValueError(f"arch: got sm_{arch}, whose limits are not known; accepted: {known}")
    return LIMITS[arch]


def occupancy(arch: int, threads: int, registers: int, shared: int) -> Occupancy:
    """How many blocks of `threads` threads with `registers` registers each and `shared` bytes of
    shared memory, static and dynamic, are resident on a multiprocessor of sm_`arch`.

    No block fits where that is more than one may have. ValueError for an unknown architecture or
    a count that makes no sense."""
    limits = limits_of(arch)
    if not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"threads: got {threads}, expected 1 to {MOST_THREADS}")
    if registers < 0 or shared < 0:
        raise ValueError(f"registers, shared: got {registers}, {shared}, expected 0 or more")
    warps = -(-threads // WARP)
    fitting = {
        "warps": limits.warps // warps,
        "blocks": limits.blocks,
        "registers": _by_registers(warps, registers),
        "shared memory": limits.shared * 1024 // _rounded_up(shared + RESERVED, SHARED_UNIT),
    }
    limit = min(fitting, key=fitting.__getitem__)
    blocks = fitting[limit]
    return Occupancy(blocks, blocks * warps, limits.warps, limit)


def _by_registers(warps: int, registers: int) -> int:
    if registers > 255:
        return 0
    if registers == 0:
        return MOST_THREADS
    each = _rounded_up(registers * WARP, REGISTER_UNIT)
    return REGISTERS // PARTITIONS // each * PARTITIONS // warps


def _rounded_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


class Waves(NamedTuple):
    """How a grid is spread over a GPU whose multiprocessors hold several blocks at a time."""

    blocks: int  # of the grid
    number: float  # of waves: 1.5 is one full and one half full
    efficiency: float  # blocks over the places in all waves that are begun


def waves(grid: tuple[int, ...], resident: int, multiprocessors: int) -> Waves:
    """The waves of a grid with `resident` blocks on each multiprocessor; all blocks are taken to
    last equally long. ValueError where nothing is resident."""
    places = resident * multiprocessors
    if places < 1:
        raise ValueError(f"resident: got {resident} blocks on {multiprocessors} multiprocessors")
    blocks = math.prod(grid)
    number = blocks / places
    return Waves(blocks, number, blocks / (places * max(1, math.ceil(number))))
