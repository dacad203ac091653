"""Which tile a kernel runs with: from a measured row where there is one, else from a model.

A kernel file declares the configurations of each of its kernels once,

    FPROP = Configurations(
        "conv2d_implicit_gemm.fprop",
        Config({"BLOCK_ROWS": 128, "BLOCK_COLS": 256, "BLOCK_DEPTH": 64}, 8, 3),
        ...
    )

and its launcher takes one of them:

    config = FPROP.choose(dtype, (rows, cols, depth, layout), lambda config: estimated_time)
    launch(_fprop, grid, ..., **config.tiles, **config.options)

Rows are consulted for launches on a GPU alone; where kernels are interpreted or launches only
recorded, the model decides.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from .. import array
from ..config import get_float32_precision
from ..geometry.base import Geometry
from . import launch, mode, tuning_rows
from .tuning_rows import GPU

ARCHITECTURES = (80, 90)
_RESIDENT = 4 * 132  # programs of a memory-bound kernel that an H200 runs at a time
_LATENCY = 8192  # what starting a round of them costs, in elements moved
EXACT = 8  # integers up to it are facts, a filter's size or a stride; larger ones are sizes

OFF, MEASURE, READ = "0", "1", "read"  # the values of PYCNN_AUTOTUNE


@dataclass(frozen=True)
class Config:
    """A kernel's tile: its constexpr parameters, and how many warps and pipeline stages it has."""

    tiles: Mapping[str, Any]
    num_warps: int = 4
    num_stages: int = 2
    archs: tuple[int, ...] = ARCHITECTURES  # the architectures it is shipped for
    dtypes: tuple[str, ...] = ()  # the dtypes it is for; none named: all

    @property
    def options(self) -> dict[str, int]:
        return {"num_warps": self.num_warps, "num_stages": self.num_stages}

    def __hash__(self) -> int:
        return hash((*self.tiles.items(), self.num_warps, self.num_stages))

    def __str__(self) -> str:
        tiles = " ".join(f"{name}={value}" for name, value in self.tiles.items())
        return f"{tiles} warps={self.num_warps} stages={self.num_stages}"


@dataclass(frozen=True)
class Configurations:
    """All configurations of one kernel, `<stem>.<kernel>`."""

    name: str
    configs: tuple[Config, ...] = field(default=())

    def __init__(self, name: str, *configs: Config) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "configs", configs)
        REGISTRY[name] = self

    def choose(self, dtype: Any, key: tuple[Any, ...], cost: Callable[[Config], float]) -> Config:
        """The configuration for a call: the one that is forced; that of the measured row for
        (dtype, key); or the one whose `cost`, a time in any unit, is least. One whose cost is
        infinite cannot run the call and is not taken from a row either."""
        if _local.consulted is not None:
            _local.consulted.append(self.name)
        setting = autotune()
        gpu = current_gpu()
        name = str(dtype)
        chosen = _local.forced.get(self.name)
        if chosen is None:
            arch = _local.arch if gpu is None else gpu.arch
            fitting = self.fitting(name, None if arch is None else shipped_arch(arch))
            if gpu is not None and setting != OFF:
                chosen = self.measured(gpu, name, key, fitting)
                if chosen is not None and math.isinf(cost(chosen)):
                    chosen = None
            if chosen is None:
                chosen = min(fitting or self.fitting(name), key=cost)
        if _local.asked is not None:
            _local.asked.append(Asked(self, name, key, cost, chosen))
        return chosen

    def fitting(self, dtype: str, arch: int | None = None) -> list[Config]:
        """The configurations for a dtype, and for an architecture where one is named."""
        return [
            c
            for c in self.configs
            if (not c.dtypes or dtype in c.dtypes) and (arch is None or arch in c.archs)
        ]

    def measured(
        self, gpu: GPU, dtype: str, key: tuple[Any, ...], fitting: list[Config]
    ) -> Config | None:
        """The configuration of the row for (gpu, dtype, key); None without a row, or where what it
        names is not shipped any more."""
        named = tuning_rows.find(gpu, self.name, arithmetic(dtype), bucket(self.name, key))
        return next((c for c in fitting if str(c) == named), None) if named else None


@dataclass(frozen=True)
class Asked:
    """One call of choose() and its answer."""

    kernel: Configurations
    dtype: str
    key: tuple[Any, ...]
    cost: Callable[[Config], float]
    chosen: Config

    @property
    def bucket(self) -> str:
        return bucket(self.kernel.name, self.key)


def memory_time(tiles: int, elements: float) -> float:
    """A model of how long a memory-bound kernel takes, in elements moved: `tiles` programs, each of
    which moves `elements` (those it masks out included), in rounds over the whole GPU."""
    rounds = -(-tiles // _RESIDENT)
    return rounds * (_LATENCY + elements) + 256 * min(tiles, _RESIDENT)


REGISTRY: dict[str, Configurations] = {}


class _Local(threading.local):
    """What a thread forces and listens to; another thread's calls are none of its business."""

    def __init__(self) -> None:
        self.forced: dict[str, Config] = {}
        self.consulted: list[str] | None = None
        self.asked: list[Asked] | None = None
        self.arch: int | None = None


_local = _Local()


@contextmanager
def choosing_for(arch: int) -> Iterator[None]:
    """Inside, where there is no GPU, configurations are chosen for sm_`arch`."""
    before, _local.arch = _local.arch, arch
    try:
        yield
    finally:
        _local.arch = before


@contextmanager
def consulting() -> Iterator[list[str]]:
    """Collects the names of the kernels whose configuration this thread chooses inside."""
    before, _local.consulted = _local.consulted, []
    try:
        yield _local.consulted
    finally:
        _local.consulted = before


@contextmanager
def asking() -> Iterator[list[Asked]]:
    """Collects what this thread asks choose() inside."""
    before, _local.asked = _local.asked, []
    try:
        yield _local.asked
    finally:
        _local.asked = before


@contextmanager
def forcing(name: str, config: Config) -> Iterator[None]:
    """Inside, the kernel of that name runs with this configuration, in this thread."""
    before = _local.forced
    _local.forced = {**before, name: config}
    try:
        yield
    finally:
        _local.forced = before


def is_forcing() -> bool:
    """Whether this thread forces any kernel: measuring is under way, or a test."""
    return bool(_local.forced)


# --- the setting and the machine ------------------------------------------------------------------


def autotune() -> str:
    """PYCNN_AUTOTUNE: "0", rows are not read; "read", the default, they are; "1", a call without a
    row is measured first and its row stored."""
    setting = os.environ.get("PYCNN_AUTOTUNE") or READ
    if setting not in (OFF, MEASURE, READ):
        raise ValueError(f"PYCNN_AUTOTUNE: got {setting!r}, expected {OFF}, {MEASURE} or {READ}")
    return setting


def current_gpu() -> GPU | None:
    """The GPU a launch goes to; None where kernels are interpreted or launches recorded."""
    if array.gpu_status() is not None or launch.is_recording() or mode.settle() != mode.COMPILED:
        return None
    return describe_gpu(array.import_cupy().cuda.Device().id)


@lru_cache(maxsize=16)
def describe_gpu(device: int) -> GPU:
    cupy = array.import_cupy()
    name = cupy.cuda.runtime.getDeviceProperties(device)["name"].decode()
    return GPU(name, int(cupy.cuda.Device(device).compute_capability))


def shipped_arch(arch: int) -> int:
    """The architecture whose configurations a GPU of `arch` runs: the newest not newer than it."""
    return max((a for a in ARCHITECTURES if a <= arch), default=ARCHITECTURES[0])


# --- keys -----------------------------------------------------------------------------------------


def arithmetic(dtype: str) -> str:
    """The dtype as a row spells it: "float32 tf32x3" where that is how float32 is multiplied."""
    precision = get_float32_precision() if dtype == "float32" else "ieee"
    return dtype if precision == "ieee" else f"{dtype} {precision}"


@lru_cache(maxsize=65536)
def bucket(kernel: str, key: tuple[Any, ...]) -> str:
    """A launcher's key as a row spells it: integers above 8 grow to the next power of two, so that
    calls of about one size share a row; everything else stays as it is. The kernel keeps the cache
    from taking one kernel's 1 for another's True."""
    return " ".join(_word(part) for part in key)


def _word(part: Any) -> str:
    if isinstance(part, Geometry):
        part = part.values
    if isinstance(part, tuple):
        return f"({' '.join(_word(p) for p in part)})"
    if hasattr(part, "__index__") and not isinstance(part, bool):
        part = int(part)
        if abs(part) > EXACT:
            return f"{'-' if part < 0 else ''}{1 << (abs(part) - 1).bit_length()}"
    return str(part)


# --- estimates that launchers may share -----------------------------------------------------------


def waves(tiles: int, per_wave: int = 132) -> int:
    """How often a machine that runs `per_wave` programs at a time has to start over. A last wave
    with few tiles takes as long as a full one."""
    return -(-tiles // per_wave)


def gemm_cost(
    rows: int,
    cols: int,
    depth: int,
    block_rows: int,
    block_cols: int,
    block_depth: int,
    splits: int = 1,
) -> float:
    """Cycles of a product (rows, depth) x (depth, cols) in 16-bit numbers, `splits` programs
    sharing the depth of a tile and their parts summed afterwards: for ranking tiles.

    A step multiplies a block at 2,048 multiply-adds a cycle or loads it at 64 bytes a cycle,
    whichever is slower, edges included; a wave has a fixed cost of 1,000 cycles."""
    tiles = -(-rows // block_rows) * -(-cols // block_cols) * splits
    steps = -(-depth // (block_depth * splits))
    multiply = block_rows * block_cols * block_depth / 2048
    load = (block_rows + block_cols) * block_depth * 2 / 64
    # each part is written and read once more in float32, by the whole machine
    summing = 0.0 if splits == 1 else 2000 + rows * cols * splits * 8 / (132 * 20)
    return waves(tiles) * (steps * max(multiply, load) + 1000) + summing
