"""Excerpts of what the compilers make of a family's kernels: PTX and machine code, without a GPU.

An excerpt is where the products of tensor cores, the memory accesses and the multiply-adds of a
kernel lie densest.
Excerpts are kept under build/report.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from ...files import replacing
from .. import cubins, sass
from ..sass import Facts
from .kernels import PLACES, owner
from .results import FAMILIES, ROOT

ARCH = 90
LINES = 48  # of an excerpt


class Excerpt(NamedTuple):
    """Some lines of a compiled kernel."""

    room: str  # "Triton" or "CUDA C++"
    kernel: str
    form: str  # "PTX" or "SASS", and for which architecture
    about: str  # registers, shared memory, instructions
    text: str


def excerpts(seconds: float, say: Callable[[str], None]) -> dict[str, list[Excerpt]]:
    """Excerpts by family, as many as can be made in so many seconds; `say` is told of the rest."""
    end = time.monotonic() + seconds
    found: dict[str, list[Excerpt]] = {stem: [] for stem in FAMILIES}
    for room, why_not in (("Triton", _no_triton()), ("CUDA C++", cubins.why_not())):
        if why_not is not None:
            say(f"no machine code: {why_not}")
            continue
        late = []
        with ThreadPoolExecutor(2) as pool:
            jobs = {stem: pool.submit(_kept, room, stem, end) for stem in FAMILIES}
            for stem, job in jobs.items():
                try:
                    found[stem] += job.result()
                except TimeoutError:
                    late.append(stem)
                except RuntimeError as error:
                    say(f"no machine code of {room}'s {stem}: {str(error).strip()[-300:]}")
        if late:
            say(f"no time was left for the machine code of {room}'s {', '.join(late)}")
    return found


def _no_triton() -> str | None:
    from ...kernels import mode

    return mode.why_not()


def _files(room: str, stem: str) -> list[Path]:
    """What has to be compiled for a family; nothing where it has no kernels there."""
    if room == "Triton":
        path = PLACES["Triton"] / f"{stem}.py"
        return sorted(path.parent.glob("*.py")) if path.exists() else []
    family = [name for name in cubins.stems() if owner(name) == stem]
    folders = ("common", "cuda", "primitives") if family else ()
    return sorted(path for name in folders for path in (ROOT / "csrc" / name).iterdir())


def _kept(room: str, stem: str, end: float) -> list[Excerpt]:
    """The excerpts of one family, from build/report if nothing has changed since they were made."""
    files = _files(room, stem)
    if not files:
        return []
    digest = hashlib.sha256()
    for path in (*files, Path(__file__), Path(sass.__file__)):
        digest.update(path.read_bytes())
    prefix = f"{stem}-{room.split()[0].lower()}-sm{ARCH}"
    kept = ROOT / "build" / "report" / f"{prefix}-{digest.hexdigest()[:24]}.json"
    if not kept.exists():
        text = _apart([room, stem], end)
        kept.parent.mkdir(parents=True, exist_ok=True)
        for old in kept.parent.glob(f"{prefix}-*.json"):
            old.unlink(missing_ok=True)
        with replacing(kept) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    return [Excerpt(*row) for row in json.loads(kept.read_text(encoding="utf-8"))]


def _apart(arguments: list[str], end: float) -> str:
    """The last line that this module prints in a process of its own; compilers included it ends in
    time, else TimeoutError."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    child = subprocess.Popen(
        [sys.executable, "-m", __name__, *arguments], start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, errors = child.communicate(timeout=left)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        raise TimeoutError from None
    if child.returncode != 0:
        raise RuntimeError(errors)
    return out.splitlines()[-1]


def _compiled_by_triton(stem: str) -> Iterator[Excerpt]:
    """In Triton's compiling mode: the first configuration that a named layer runs."""
    from .. import aot

    aot.compile_mode()
    for shipped in aot.compilations(stem, "float16", every=False, arch=ARCH):
        facts, compiled = aot.measure(shipped, ARCH)
        name, about = f"{shipped.name} on {shipped.layer}", _about(facts)
        yield Excerpt("Triton", name, f"PTX, sm_{ARCH}", about, ptx_excerpt(compiled.asm["ptx"]))
        machine = sass.disassemble(compiled.asm["cubin"])[1]
        yield Excerpt("Triton", name, f"SASS, sm_{ARCH}", about, sass_excerpt(machine))
        return


def _compiled_by_nvcc(stem: str) -> Iterator[Excerpt]:
    """The family's kernel with tensor cores, half precision and a loop, as far as it has one."""
    arch = cubins.normalized(ARCH)
    best: tuple[Any, ...] | None = None
    for name in (name for name in cubins.stems() if owner(name) == stem):
        machine = dict(cubins.functions(name, arch))
        for kernel, facts in cubins.kernels(name, arch):
            tensor = any("MMA" in use for use in facts.uses)
            half = "Float16" in kernel
            rank = (
                "naive" not in kernel, tensor, half, facts.loop > 0, facts.wide_accesses, kernel
            )  # fmt: skip
            if best is None or rank > best[0]:
                best = rank, kernel, facts, machine[kernel].sass
    if best is not None:
        _, kernel, facts, text = best
        yield Excerpt("CUDA C++", kernel, f"SASS, sm_{arch}", _about(facts), sass_excerpt(text))


def _about(facts: Facts) -> str:
    return (
        f"{facts.registers} registers, {facts.shared:,} bytes shared, "
        f"{facts.instructions:,} instructions"
    )


def sass_excerpt(text: str) -> str:
    """The instructions that matter most and what is between them, without their encoding."""
    lines = re.findall(r"/\*([0-9a-f]{4,6})\*/\s+([^;]+;)", text)
    shown = [f"{int(at, 16):6x}  {' '.join(word.split())}" for at, word in lines]
    weights = {r"\b(?:HG|H|D|I)MMA\b": 50, r"\bLDG|\bSTG|UTMA": 5, r"\bFFMA|\bDFMA|\bHFMA2\b": 1}
    return _weightiest(shown, weights)


def ptx_excerpt(text: str) -> str:
    """As `sass_excerpt`, of PTX without its line numbers."""
    lines = [
        line.replace("\t", "    ").rstrip()
        for line in text.splitlines()
        if line.strip() and not re.match(r"\s*(//|\.loc|\$L__tmp|\.file|\.section)", line)
    ]
    weights = {r"mma[._]": 50, r"\b(ld|st)\.global|cp\.async": 5, r"\bfma\.": 1}
    return _weightiest(lines, weights)


def _weightiest(lines: list[str], weights: dict[str, int]) -> str:
    """The LINES lines that weigh most, each by the first of the patterns that it matches.

    A memory access outweighs several multiply-adds: the slow path of a division has many, off the
    way that most threads take."""
    heavy = [next((w for p, w in weights.items() if re.search(p, line)), 0) for line in lines]
    starts = range(max(1, len(lines) - LINES + 1))
    begin = max(starts, key=lambda i: sum(heavy[i : i + LINES]))
    cut = lines[begin : begin + LINES]
    before = [f"... {begin} lines"] if begin else []
    after = [f"... {len(lines) - begin - LINES} lines"] if len(lines) > begin + LINES else []
    return "\n".join([*before, *cut, *after])


if __name__ == "__main__":
    _make = _compiled_by_triton if sys.argv[1] == "Triton" else _compiled_by_nvcc
    print(json.dumps(list(_make(sys.argv[2]))))
