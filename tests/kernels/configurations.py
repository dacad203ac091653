"""How a kernel may run: the native provider's with every instruction set, on one thread and two."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pycnn import dispatch
from pycnn.config import native_status

THREADS = (2, 1)


@dataclass(frozen=True)
class Kernel:
    """An entry of the table in one configuration; its attributes are the entry's."""

    entry: dispatch.Entry
    isa: str | None = None
    threads: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.entry, name)

    @property
    def name(self) -> str:
        parts = [self.entry.provider, self.entry.algorithm, self.isa, self.threads]
        return ".".join(str(part) for part in parts if part is not None)


def usable_isas() -> list[str]:
    """The instruction sets that the build and this machine share, best first."""
    native, _ = native_status()
    if native is None:
        return []
    names = []
    before = native.isa()
    for isa in native.isa_builds():
        with contextlib.suppress(ValueError):
            native.set_isa(isa)
            names.append(isa)
    native.set_isa(before)
    return names[::-1]


def kernels(entry: dispatch.Entry) -> list[Kernel]:
    """The entry in every configuration: the first is the usual one."""
    if entry.provider != "native":
        return [Kernel(entry)]
    return [Kernel(entry, isa, threads) for isa in usable_isas() for threads in THREADS]


HALVES_AND_DOUBLE = ("float64", "float16", "bfloat16")


def in_the_short_tier(
    test: str, primitive: str, name: str, exact: bool, kernel: Kernel, dtype: str
) -> bool:
    """Whether a test of a case runs in `make test`: all of the native kernels' do.

    Interpreted kernels take a tenth of a second a launch, so that each case runs in float32 and
    every other one in a half, and one in four with its canaries; what is exact on integers is
    compared with float64 one time in two. Emulated kernels take a few milliseconds, but there are
    as many cases: each runs in float32 and a half and is compared with float64 in float32, every
    other one in another dtype too; one in four runs with its canaries, another one twice. Naive
    rungs run in float32."""
    if kernel.provider == "native":
        return True
    emulated = kernel.provider == "cuda"
    turn = _turn(primitive, name)
    half = ("float16", "bfloat16")[turn % 2]
    if kernel.algorithm == "naive":
        return test == "exact" and dtype == "float32"
    if test == "exact":
        return dtype not in HALVES_AND_DOUBLE or (
            dtype == half and (emulated or turn // 2 % 2 == 0)
        )
    if test == "oracle" and emulated:
        other = HALVES_AND_DOUBLE[turn // 8 % 3]
        return dtype not in HALVES_AND_DOUBLE or (dtype == other and turn // 4 % 2 == 0)
    if test == "oracle":
        return dtype == "float32" and (not exact or turn // 4 % 2 == 0)
    if test == "repeats":
        return emulated and turn % 4 == 1
    return test == "canary" and turn % 4 == 0


def in_checked_builds(
    test: str, primitive: str, name: str, exact: bool, large: bool, kernel: Kernel, dtype: str
) -> bool:
    """Whether a test of a case runs in the sanitizers' builds (tests/sanitize.py) too.

    What these find in an emulated kernel, a race or an access out of bounds, does not depend on the
    values, and seldom on the dtype: each case runs once in float32, every fourth in a half too. A
    case of one tile and its edges has what there is to find; of the large ones, which take as long
    as all others together, one in four runs."""
    if kernel.provider != "cuda":
        return True
    turn = _turn(primitive, name)
    usual = dtype not in HALVES_AND_DOUBLE or turn // 2 % 4 == 0
    return test == ("exact" if exact else "oracle") and usual and (not large or turn // 8 % 4 == 0)


def _turn(primitive: str, name: str) -> int:
    """A number of the case's own, to let cases take turns."""
    return zlib.crc32(f"{primitive} {name}".encode())


@contextlib.contextmanager
def configured(kernel: Kernel) -> Iterator[None]:
    """Native kernels run with the instruction set and the threads; work of any size is shared, and
    workspaces are full of NaN."""
    native, _ = native_status()
    if native is None:
        yield
        return
    if kernel.isa is None:  # their workspaces come from the same allocator
        native.poison_allocations(True)
        try:
            yield
        finally:
            native.poison_allocations(False)
        return
    before = native.isa(), native.get_num_threads()
    try:
        native.set_isa(kernel.isa)
        native.set_num_threads(kernel.threads)
        native.set_least_share(0)
        native.poison_allocations(True)
        yield
    finally:
        native.poison_allocations(False)
        native.set_least_share(4000)
        native.set_isa(before[0])
        native.set_num_threads(before[1])
