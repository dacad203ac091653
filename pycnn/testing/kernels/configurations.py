"""How a kernel may run: the native provider's with every instruction set, on one thread and two."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ... import dispatch
from ...config import native_status

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
