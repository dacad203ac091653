"""The CUDA kernels of csrc/cuda, compiled ahead of time without a GPU.

A .cu file and an architecture make one cubin. It is kept under build/cubins, and so is what was
read from it, by a hash of everything that went in: the file, the headers it includes, the options,
the compiler, and the code that reads.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ..files import replacing
from . import sass, toolkit
from .sass import Facts

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
ARCHS = ("80", "90a")  # those of PYCNN_CUDA_ARCHS by default
OPTIONS = (
    "-std=c++17", "-O3", "-DNDEBUG", "-DPYCNN_CUDA", "--expt-relaxed-constexpr",
    "-Werror", "all-warnings",
)  # fmt: skip
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


class Compiled(NamedTuple):
    """One instantiation of a kernel."""

    name: str  # "<stem>.<kernel><template arguments>"
    facts: Facts


def why_not() -> str | None:
    """None where the kernels can be compiled here, else why they cannot."""
    if not (CSRC / "cuda").is_dir():
        return f"the CUDA sources are not part of an installation: there is no {CSRC / 'cuda'}"
    reason = toolkit.find_nvcc()[1]
    if reason:
        return reason
    try:
        sass.cuobjdump()
    except RuntimeError as error:
        return str(error)
    return None


def stems() -> list[str]:
    """The files of csrc/cuda, without their endings."""
    return sorted(path.stem for path in (CSRC / "cuda").glob("*.cu"))


def files_of(family: str) -> list[str]:
    """The stems of a family: its own name, and those of the files it is split into, which begin
    with it and are no family of kernels/."""
    from .. import kernels

    others = {path.stem for path in Path(str(kernels.__file__)).parent.glob("*.py")} - {family}
    parts = [stem for stem in stems() if stem.startswith(f"{family}_") and stem not in others]
    return [family, *parts] if family in stems() else parts


def normalized(number: int) -> str:
    """The architecture sm_<number> as the build names it: Hopper's kernels are compiled for 90a."""
    return "90a" if number == 90 else str(number)


@lru_cache(maxsize=1)
def _nvcc() -> tuple[str, str]:
    """(nvcc, its version)."""
    nvcc, reason = toolkit.find_nvcc()
    if nvcc is None:
        raise RuntimeError(reason)
    return nvcc, toolkit.nvcc_version(nvcc)


def version() -> str:
    """The release of CUDA that compiles: "13.0"."""
    return _nvcc()[1]


def _made_of(path: Path, seen: dict[Path, bytes]) -> dict[Path, bytes]:
    """The file and every header of csrc/ that it includes."""
    if path not in seen:
        seen[path] = path.read_bytes()
        for name in _INCLUDE.findall(seen[path].decode()):
            if (CSRC / name).exists():
                _made_of(CSRC / name, seen)
    return seen


def _key(source: Path, arch: str) -> str:
    digest = hashlib.sha256(repr((_nvcc()[1], arch, OPTIONS)).encode())
    readers = {path: path.read_bytes() for path in (Path(__file__), Path(sass.__file__))}
    for path, text in sorted((_made_of(source, {}) | readers).items()):
        digest.update(path.name.encode() + b"\0" + text + b"\0")
    return f"{source.stem}-{arch}-{digest.hexdigest()[:24]}"


def compile_source(stem: str, arch: str, form: str = "cubin") -> bytes:
    """A .cu file as a cubin, or as PTX; RuntimeError with the compiler's messages."""
    code = f"sm_{arch}" if form == "cubin" else f"compute_{arch}"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"out.{form}"
        command = [
            _nvcc()[0], *OPTIONS, f"-I{CSRC}",
            f"--generate-code=arch=compute_{arch},code={code}",
            f"--{form}", "-o", str(out), str(CSRC / "cuda" / f"{stem}.cu"),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError((done.stdout + done.stderr).strip()[-4000:])
        return out.read_bytes()


def cubin(stem: str, arch: str) -> bytes:
    """The machine code of csrc/cuda/<stem>.cu for sm_<arch>."""
    kept = _kept(stem, arch, "cubin")
    if not kept.exists():
        _keep(kept, compile_source(stem, arch))
    return kept.read_bytes()


def kernels(stem: str, arch: str) -> list[Compiled]:
    """What every kernel of csrc/cuda/<stem>.cu became on sm_<arch>."""
    kept = _kept(stem, arch, "json")
    if not kept.exists():
        found = [
            (name, sass.facts_of(function, num_warps=4).as_dict())
            for name, function in functions(stem, arch)
        ]
        _keep(kept, json.dumps(found).encode())
    return [Compiled(name, Facts(**facts)) for name, facts in json.loads(kept.read_bytes())]


def functions(stem: str, arch: str) -> list[tuple[str, sass.Function]]:
    """(name, resources and machine code) of every kernel of csrc/cuda/<stem>.cu."""
    found = sass.functions(cubin(stem, arch))
    names = subprocess.run(
        ["c++filt"], input="\n".join(found), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return sorted((f"{stem}.{shortened(name)}", f) for name, f in zip(names, found.values()))


def _kept(stem: str, arch: str, kind: str) -> Path:
    return ROOT / "build" / "cubins" / f"{_key(CSRC / 'cuda' / f'{stem}.cu', arch)}.{kind}"


def _keep(path: Path, content: bytes) -> None:
    """Writes a file in one step; earlier ones of the same source and architecture go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob(f"{path.name.rpartition('-')[0]}-*{path.suffix}"):
        old.unlink(missing_ok=True)
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


def shortened(name: str) -> str:
    """ "void pycnn::cuda::f<int, (bool)1>(pycnn::P)" without result, namespaces, casts and
    parameters."""
    depth = 0
    for end, c in enumerate(name):
        depth += (c == "<") - (c == ">")
        if c == "(" and depth == 0 and not name.startswith("(anonymous", end):
            name = name[:end]
            break
    name = name.removeprefix("void ")
    name = re.sub(r"\b(?:pycnn|cuda|detail)::|\(anonymous namespace\)::", "", name)
    return re.sub(r"\((?:bool|int|unsigned int|long|unsigned long|[A-Z]\w*)\)", "", name)


def every_kernel(
    some: Iterable[str] = (), archs: Iterable[str] = ARCHS
) -> Iterator[tuple[str, str, list[Compiled] | Exception]]:
    """(stem, arch, what it became or why it does not compile), as many at a time as there are
    cores."""

    def one(job: tuple[str, str]) -> tuple[str, str, list[Compiled] | Exception]:
        try:
            return (*job, kernels(*job))
        except (RuntimeError, subprocess.CalledProcessError) as error:
            return (*job, error)

    # the largest files first: they take longest
    size = {stem: (CSRC / "cuda" / f"{stem}.cu").stat().st_size for stem in some or stems()}
    jobs = [(stem, arch) for stem in sorted(size, key=lambda s: -size[s]) for arch in archs]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(one, jobs)
