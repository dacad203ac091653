"""Which tile a kernel runs with: from a measured table where it has a row, else from a model.

A kernel file declares the configurations of each of its kernels once,

    FPROP = Configurations(
        "conv2d_implicit_gemm.fprop",
        Config({"BLOCK_ROWS": 128, "BLOCK_COLS": 256, "BLOCK_DEPTH": 64}, 8, 3),
        ...
    )

and its launcher takes one of them:

    config = FPROP.choose(key, lambda config: estimated_time)
    launch(_fprop, grid, ..., **config.tiles, **config.options)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

ARCHITECTURES = (80, 90)
_RESIDENT = 4 * 132  # programs of a memory-bound kernel that an H200 runs at a time
_LATENCY = 8192  # what starting a round of them costs, in elements moved


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
        """The configuration for a call: the one that is forced, the table's row for (dtype, key),
        or the one whose `cost`, a time in any unit, is least."""
        if _consulted is not None:
            _consulted.append(self.name)
        forced = _forced.get(self.name)
        if forced is not None:
            return forced
        return min(self.fitting(str(dtype)), key=cost)

    def fitting(self, dtype: str, arch: int | None = None) -> list[Config]:
        """The configurations for a dtype, and for an architecture where one is named."""
        return [
            c
            for c in self.configs
            if (not c.dtypes or dtype in c.dtypes) and (arch is None or arch in c.archs)
        ]


def memory_time(tiles: int, elements: float) -> float:
    """A model of how long a memory-bound kernel takes, in elements moved: `tiles` programs, each of
    which moves `elements` (those it masks out included), in rounds over the whole GPU."""
    rounds = -(-tiles // _RESIDENT)
    return rounds * (_LATENCY + elements) + 256 * min(tiles, _RESIDENT)


REGISTRY: dict[str, Configurations] = {}
_forced: dict[str, Config] = {}
_consulted: list[str] | None = None


@contextmanager
def consulting() -> Iterator[list[str]]:
    """Collects the names of the kernels whose configuration is chosen inside."""
    global _consulted
    before, _consulted = _consulted, []
    try:
        yield _consulted
    finally:
        _consulted = before


@contextmanager
def forcing(name: str, config: Config) -> Iterator[None]:
    """Inside, the kernel of that name runs with this configuration."""
    before = _forced.get(name)
    _forced[name] = config
    try:
        yield
    finally:
        if before is None:
            del _forced[name]
        else:
            _forced[name] = before
