"""What the CUDA launchers launch for a named layer, found out without a GPU and without running it.

The launchers of csrc/cuda choose kernel, grid and dynamic shared memory in C++. The emulated
extension is built of the same sources: told to note launches instead of running them, it says which
of its functions each would have run, and its table of symbols says what the function is called.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from . import cubins, elf
from .problems import Problem, problems
from .resources import is_of

BATCH = 32  # as Triton's kernels are compiled for


class Launch(NamedTuple):
    """One kernel that a call of a primitive launches."""

    kernel: str  # as cubins.shortened writes it
    layer: str
    primitive: str
    algorithm: str
    geometry: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared: int  # bytes of dynamic shared memory


def why_not() -> str | None:
    """None where launches can be noted here, else why they cannot."""
    from ..config import extension_status

    module, reason = extension_status("_emulated")
    if module is None:
        return f"the emulated kernels: {reason}"
    if not symbols(str(module.__file__)):
        return f"{module.__file__} was stripped of its symbols"
    return None


def launches(kernel: str, dtype: str = "float16", layer: str | None = None) -> Iterator[Launch]:
    """What the algorithms of the CUDA kernel's family launch for the named layers that they take,
    channels-last at a batch of 32, or for `layer` alone.

    RuntimeError where launches cannot be noted."""
    from .. import dispatch

    reason = why_not()
    if reason is not None:
        raise RuntimeError(reason)
    entries = [e for e in dispatch.entries() if e.provider == "cuda" and is_of(e, kernel)]
    for problem in problems(BATCH):
        if layer is not None and problem.layer.split()[0] != layer:
            continue
        for entry in entries:
            if entry.primitive == problem.primitive:
                yield from _noted(problem, entry, dtype)


def _noted(problem: Problem, entry: Any, dtype: str) -> Iterator[Launch]:
    from .. import array
    from ..config import extension_status

    inputs, out, epilogue = problem.allocate(dtype)
    operands = tuple(array.describe(a) for a in inputs if a is not None)
    described = None if epilogue is None else epilogue.describe()
    if entry.refuses(problem.geometry, operands, described) is not None:
        return
    module = extension_status("_emulated")[0]
    noted = module.launches(
        lambda: entry.function(*inputs, out=out, geometry=problem.geometry, epilogue=epilogue)
    )
    names = symbols(module.__file__)
    for offset, grid, block, shared in noted:
        yield Launch(
            names[offset], problem.layer, problem.primitive, entry.algorithm,
            str(problem.geometry), grid, block, shared,
        )  # fmt: skip


@lru_cache(maxsize=4)
def symbols(path: str) -> dict[int, str]:
    """The functions of an ELF file, by where they lie, under the names that cubins.shortened
    gives; empty if they were stripped."""
    mangled = elf.functions(Path(path).read_bytes())
    done = subprocess.run(
        ["c++filt"], input="\n".join(mangled.values()), capture_output=True, text=True, check=True
    )
    return dict(zip(mangled, map(cubins.shortened, done.stdout.splitlines())))
