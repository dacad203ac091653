"""What one launch of a kernel takes of a GPU's multiprocessor, read without a GPU.

`of_triton` compiles what the named layers launch, `of_cuda` the files of csrc/cuda; both say what a
multiprocessor then holds (occupancy.py) and has under way (in_flight.py). A Triton launch names its
grid; that of a CUDA kernel is decided by its C++ launcher: launches.py finds it out.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from . import aot, cubins, elf, sass
from .in_flight import bytes_in_flight
from .occupancy import RESERVED, Occupancy, Waves, limits_of, occupancy, waves
from .sass import Facts

IRS = ("ttir", "ttgir", "llir")  # Triton's, from the source down
CUDA_TYPES = {
    "float16": "Float16", "bfloat16": "BFloat16", "float32": "float", "float64": "double",
}  # fmt: skip


class Resources(NamedTuple):
    """One compiled kernel and what it takes."""

    name: str
    facts: Facts
    threads: int  # of a block; CUDA: the most its launch bounds allow
    held: Occupancy
    in_flight: int  # bytes of global memory that a multiprocessor has under way at most
    texts: dict[str, Any]  # sass; Triton's also ptx and IRS
    layer: str = ""  # that launches it
    primitive: str = ""
    geometry: str = ""
    grid: tuple[int, ...] = ()
    waves: Waves | None = None


def of_triton(
    stem: str,
    dtype: str = "float16",
    arch: int = 90,
    *,
    layer: str | None = None,
    every: bool = False,
    multiprocessors: int | None = None,
) -> Iterator[Resources]:
    """What the kernels of kernels/<stem>.py become for the named layers in `dtype` on sm_`arch`:
    what each layer would run, or, with `every`, every shipped configuration.

    `multiprocessors` are the GPU's; by default those of the architecture's usual one. This process
    must compile Triton's kernels (aot.compile_mode). ValueError for an unknown architecture."""
    from ..kernels.launch import compile_for

    count = multiprocessors or limits_of(arch).multiprocessors
    for shipped in aot.compilations(stem, dtype, every, arch):
        if layer is not None and shipped.layer.split()[0] != layer:
            continue
        what, problem = shipped.compilation, shipped.problem
        compiled = compile_for(what, arch)
        function = sass.Function(*sass.disassemble(compiled.asm["cubin"]))
        facts = sass.facts_of(function, what.num_warps, compiled.metadata.shared)
        threads = 32 * what.num_warps
        held = occupancy(arch, threads, facts.registers, facts.shared)
        yield Resources(
            shipped.name, facts, threads, held,
            bytes_in_flight(function.sass) * threads * held.blocks,
            {**compiled.asm, "sass": function.sass},
            shipped.layer, problem.primitive, str(problem.geometry), what.grid,
            waves(what.grid, held.blocks, count) if held.blocks else None,
        )  # fmt: skip


def of_cuda(kernel: str, arch: int = 90, dtype: str | None = None) -> Iterator[Resources]:
    """What every instantiation of csrc/cuda/<kernel>*.cu, or those for `dtype`, became on
    sm_`arch`. RuntimeError with the compiler's messages."""
    name = cubins.normalized(arch)
    limits_of(arch)
    stems = cubins.files_of(kernel)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each is a process of nvcc
        for stem, code in zip(stems, pool.map(lambda s: cubins.cubin(s, name), stems)):
            bounds = launch_bounds(code)
            for title, mangled, function in _functions(stem, code):
                if not of_dtype(title, dtype):
                    continue
                facts = sass.facts_of(function, num_warps=4)
                if arch >= 90 and facts.shared:  # what the system takes is counted there too
                    facts = replace(facts, shared=facts.shared - RESERVED)
                threads = bounds.get(mangled, 1024)
                held = occupancy(arch, threads, facts.registers, facts.shared)
                yield Resources(
                    title, facts, threads, held,
                    bytes_in_flight(function.sass) * threads * held.blocks, {"sass": function.sass},
                )  # fmt: skip


def _functions(stem: str, code: bytes) -> list[tuple[str, str, sass.Function]]:
    """(name as cubins.py writes it, mangled name, function) of a cubin's kernels."""
    found = sass.functions(code)
    done = subprocess.run(
        ["c++filt"], input="\n".join(found), capture_output=True, text=True, check=True
    )
    names = [f"{stem}.{cubins.shortened(name)}" for name in done.stdout.splitlines()]
    return sorted(zip(names, found, found.values()))


def of_dtype(name: str, dtype: str | None) -> bool:
    """Whether an instantiation is for the dtype, or for none."""
    types = set(re.findall(r"\w+", name.partition("<")[2])) & set(CUDA_TYPES.values())
    return dtype is None or not types or CUDA_TYPES[dtype] in types


_MAX_THREADS = 0x05  # the attribute EIATTR_MAX_THREADS: three sizes of a block
_SIZED = 0x04  # the format of attributes that name their length


def launch_bounds(cubin: bytes) -> dict[str, int]:
    """The most threads of a block, by mangled name, of the kernels that declare it
    (__launch_bounds__): in an ELF file's section .nv.info.<name>."""
    found = {}
    for name, content in elf.sections(cubin):
        if not name.startswith(".nv.info."):
            continue
        at = 0
        while at + 4 <= len(content):
            form, attribute, size = struct.unpack_from("<BBH", content, at)
            if form == _SIZED and attribute == _MAX_THREADS:
                x, y, z = struct.unpack_from("<3I", content, at + 4)
                found[name.removeprefix(".nv.info.")] = x * y * z
            at += 4 + (size if form == _SIZED else 0)
    return found


def sources(kernel: str) -> list[Path]:
    """The files of a kernel's family: kernels/<kernel>.py, and those of csrc/cuda that begin with
    its name, where they are there."""
    from .. import kernels

    triton = Path(str(kernels.__file__)).parent / f"{kernel}.py"
    cuda = [p for s in cubins.files_of(kernel) for p in (cubins.CSRC / "cuda").glob(f"{s}.cu*")]
    heads = (cubins.CSRC / "cuda").glob(f"{kernel}*.cuh")
    return [triton] * triton.exists() + sorted({*cuda, *heads})


class Answer(NamedTuple):
    """What a registered kernel says to named layers."""

    kernel: str  # provider/algorithm
    primitives: tuple[str, ...]
    reason: str | None  # why it refuses the first of the layers; None: it takes them
    layers: tuple[str, ...]  # which get this answer, but for the numbers in it


def answers(kernel: str, dtype: str = "float16", batch: int = 32) -> list[Answer]:
    """What each entry of the kernel's family, of the providers triton and cuda, says to each named
    layer in both memory formats. A layer's format is named where the other gets another answer;
    primitives with the same answers share a row."""
    from .. import array, dispatch
    from .problems import problems

    entries = [e for e in dispatch.entries() if is_of(e, kernel)]
    found: dict[tuple[str, str], dict[str, tuple[str | None, list[str]]]] = {}
    for problem in problems(batch):
        for entry in (e for e in entries if e.primitive == problem.primitive):
            reasons = {}
            for memory_format in (array.channels_last, array.contiguous_format):
                inputs, out, epilogue = problem.allocate(dtype, memory_format)
                operands = tuple(array.describe(a) for a in inputs if a is not None)
                described = None if epilogue is None else epilogue.describe()
                reasons[memory_format] = entry.refuses(problem.geometry, operands, described)
            groups = found.setdefault((f"{entry.provider}/{entry.algorithm}", entry.primitive), {})
            same = len(set(reasons.values())) == 1
            name = problem.layer.removesuffix(" fused")
            for memory_format, reason in reasons.items():
                label = name if same else f"{name} ({memory_format})"
                _, layers = groups.setdefault(re.sub(r"\d+", "0", str(reason)), (reason, []))
                if label not in layers:
                    layers.append(label)
    rows: dict[tuple[str, Any], list[str]] = {}
    for (title, primitive), groups in found.items():
        key = title, tuple((reason, tuple(layers)) for reason, layers in groups.values())
        rows.setdefault(key, []).append(primitive)
    return [
        Answer(title, tuple(primitives), reason, layers)
        for (title, said), primitives in rows.items()
        for reason, layers in sorted(said, key=lambda one: one[0] is not None)
    ]


_PASS = re.compile(r"_(fprop|dgrad|wgrad|stats|apply|reduce)$")


def is_of(entry: Any, kernel: str) -> bool:
    """Whether an entry of the table is of the family `kernel`: a file's name, see docs/design.md.

    A Triton entry names its file. A CUDA entry belongs to the family of the Triton kernel of the
    same primitive and algorithm, and to the files that are named for them."""
    from .. import dispatch

    if entry.provider == "triton":
        return getattr(entry.function, "stem", "") == kernel
    if entry.provider != "cuda":
        return False
    family = _PASS.sub("", entry.primitive)
    algorithm = {"tf32": "tensor_core"}.get(entry.algorithm, entry.algorithm)
    if kernel == f"{family}_{algorithm}" or kernel.startswith(f"{family}_{algorithm}_"):
        return family != "conv2d" or kernel in (f"{family}_{algorithm}", _of_pass(entry, algorithm))
    twins = [e for e in dispatch.entries(entry.primitive) if e.provider == "triton"]
    if family == "conv2d":
        twins = [e for e in twins if e.algorithm == entry.algorithm]
    return kernel == family or any(is_of(twin, kernel) for twin in twins)


def _of_pass(entry: Any, algorithm: str) -> str:
    return f"conv2d_{algorithm}_{entry.primitive.rpartition('_')[2]}"
