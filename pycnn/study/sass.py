"""What a compiled GPU kernel is made of, read from its machine code without a GPU.

The numbers that predict speed: registers and spills, the instructions that matter, how wide memory
accesses are, and how long the main loop is for the tensor-core work it does.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

_RESOURCES = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")
_LINE = re.compile(r"/\*([0-9a-f]{4,6})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Za-z0-9_.]*)\s*([^;]*);")
_MMA = ("HGMMA", "HMMA", "DMMA", "IMMA")
_GLOBAL = ("LDG", "STG")
_SPECIAL = (*_MMA, "LDGSTS", "LDSM", "UTMALDG")
# multiply-adds a tensor-core instruction of a warp (HGMMA: of four warps) does, per k of the tile
_HGMMA = re.compile(r"HGMMA\.64x(\d+)x(\d+)")


@dataclass(frozen=True)
class Facts:
    """What the compiler made of one configuration of a kernel."""

    registers: int
    spills: int  # bytes of local memory, and instructions that touch it
    shared: int  # bytes
    instructions: int
    counts: dict[str, int] = field(default_factory=dict)  # of the instructions that matter
    wide_accesses: float = 0.0  # share of global loads and stores that move 16 bytes a thread
    loop: int = 0  # instructions of the loop that does most of the arithmetic
    issue_ratio: float = 0.0  # issue slots of that loop for each slot its tensor cores need
    hgmma_columns: int = 0  # the widest HGMMA's N
    uses: list[str] = field(default_factory=list)  # instructions that a kernel may be written for

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@functools.lru_cache(maxsize=1)
def cuobjdump() -> str:
    """The disassembler in Triton's wheel; RuntimeError without it."""
    spec = importlib.util.find_spec("triton")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "backends/nvidia/bin/cuobjdump"
        if path.exists():
            return str(path)
    raise RuntimeError("cuobjdump is not there: it comes with Triton's wheel (pip install triton)")


class Function(NamedTuple):
    """One kernel of a cubin, as cuobjdump prints it."""

    resources: str
    sass: str


def disassemble(cubin: bytes) -> tuple[str, str]:
    """(resource usage, SASS) of a cubin, as cuobjdump prints them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)

        def dump(option: str) -> str:
            command = [cuobjdump(), option, str(path)]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        return dump("--dump-resource-usage"), dump("--dump-sass")


def functions(cubin: bytes) -> dict[str, Function]:
    """The kernels of a cubin, by their mangled names."""
    resources, sass = disassemble(cubin)
    _, *parts = re.split(r"^\s*Function : (\S+)\n", sass, flags=re.M)
    bodies = dict(zip(parts[::2], parts[1::2], strict=True))
    return {
        name: Function(line, bodies[name])
        for name, line in re.findall(r"^ *Function (\S+):\n(.*)", resources, re.M)
    }


def facts(cubin: bytes, num_warps: int, shared: int | None = None) -> Facts:
    """Read a cubin of one kernel; `shared` is the dynamic shared memory, which the cubin does not
    know."""
    return facts_of(Function(*disassemble(cubin)), num_warps, shared)


def facts_of(function: Function, num_warps: int, shared: int | None = None) -> Facts:
    """Read one kernel."""
    found = _RESOURCES.search(function.resources)
    if found is None:
        raise RuntimeError("cuobjdump reported no resources for the kernel")
    registers, stack, static, local = map(int, found.groups())
    lines = [(int(at, 16), op, rest) for at, op, rest in _LINE.findall(function.sass)]
    names = Counter(op.split(".")[0] for _, op, _ in lines)
    spilling = names["STL"] + names["LDL"]
    accesses = [op for _, op, _ in lines if op.startswith(_GLOBAL)]
    wide = sum(".128" in op for op in accesses)
    body = _main_loop(lines)
    widest = max((int(m[1]) for _, op, _ in lines if (m := _HGMMA.match(op))), default=0)
    kept = (*_MMA, "FFMA", "DFMA", "LDGSTS", "LDSM", "LDS", "STS", "UTMALDG", "LDG", "STG", "BAR")
    whole = {f"{name}.E.128" for name in _GLOBAL for op in accesses if _is_wide(name, op)}
    return Facts(
        registers=registers,
        spills=stack + local + spilling,
        shared=static if shared is None else shared,
        instructions=len(lines),
        counts={name: names[name] for name in kept if names[name]},
        wide_accesses=round(wide / len(accesses), 3) if accesses else 1.0,
        loop=len(body),
        issue_ratio=_issue_ratio(body, num_warps),
        hgmma_columns=widest,
        uses=sorted(whole | {name for name in _SPECIAL if names[name]}),
    )


def _is_wide(name: str, op: str) -> bool:
    """Whether `op` is a LDG or STG, as `name` says, of 16 bytes a thread."""
    base, *flags = op.split(".")
    return base == name and "128" in flags


def _main_loop(lines: list[tuple[int, str, str]]) -> list[str]:
    """The opcodes between a backward branch and its target: of the loop with most arithmetic, the
    innermost of several."""
    index = {at: i for i, (at, _, _) in enumerate(lines)}
    best: tuple[int, int, list[str]] = (-1, 0, [])
    for i, (at, op, rest) in enumerate(lines):
        target = re.search(r"0x([0-9a-f]+)", rest) if op.startswith("BRA") else None
        if target is None or int(target[1], 16) >= at or int(target[1], 16) not in index:
            continue
        body = [name for _, name, _ in lines[index[int(target[1], 16)] : i + 1]]
        work = sum(name.startswith((*_MMA, "FFMA", "DFMA")) for name in body)
        if (work, -len(body)) > best[:2]:
            best = (work, -len(body), body)
    return best[2]


def _issue_ratio(body: list[str], num_warps: int) -> float:
    """Warps per scheduler times the loop's instructions, for each cycle its HGMMAs keep the tensor
    cores busy; 0 for a loop without them."""
    cycles = 0.0
    for name in body:
        if found := _HGMMA.match(name):
            columns, depth = int(found[1]), int(found[2])
            rate = {16: 2048, 8: 1024, 32: 4096}.get(depth, 2048)
            # each of the num_warps / 4 warp groups issues it
            cycles += 64 * columns * depth / rate * num_warps / 4
    return round(num_warps / 4 * len(body) / cycles, 3) if cycles else 0.0
