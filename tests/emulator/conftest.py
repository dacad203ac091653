"""The emulator's test programs, each compiled once for all test processes."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pycnn.study import cuda_source

from ..build_copy import ROOT

HERE = Path(__file__).parent
CSRC = ROOT / "csrc"
COMPILER = os.environ.get("CXX", "c++")
# HOST is no kernel's: the same for every build
ENGINE, HOST = cuda_source.ENGINE, cuda_source.HOST
FLAGS = [*cuda_source.FLAGS, f"-I{CSRC}", "-Werror"]
BUILDS = {
    "usual": ["-O2"],
    "portable": ["-O0", "-DPYCNN_EMULATOR_UCONTEXT"],
    "thread": ["-O1", "-g1", "-DPYCNN_EMULATOR_TSAN", "-fsanitize=thread"],
    "address": ["-O1", "-g1", "-DPYCNN_EMULATOR_ASAN", "-fsanitize=address,undefined",
                "-fno-sanitize-recover=all"],
}  # fmt: skip


def _compile(source: Path, target: Path, build: str, host: list[Path]) -> None:
    """A program, or a library where the target's name says so."""
    flags = [*FLAGS, *BUILDS[build]]
    objects = list(host)
    for name in ENGINE:
        objects.append(target.with_suffix(f".{Path(name).name}.o"))
        plain = ["-fno-sanitize=all"] if name == "emulator/engine" else []
        _run([COMPILER, *flags, *plain, "-c", f"{CSRC / name}.cpp", "-o", str(objects[-1])])
    kind = ["-shared"] if target.suffix == ".so" else []
    _run(
        [COMPILER, *flags, *kind, "-xc++", str(source), "-xnone", *map(str, objects)]
        + ["-o", str(target), "-pthread"]
    )


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """compiled(source, build) is the program or library, compiled by the first who asks."""
    if shutil.which(COMPILER) is None:
        pytest.skip(f"no C++ compiler {COMPILER}")
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # the one folder of all processes
    folder = folder / "emulator"
    folder.mkdir(exist_ok=True)

    def once(target: Path, make: Callable[[], None]) -> Path:
        with (folder / f"{target.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                make()
        return target

    def host(name: str) -> Path:
        target = folder / f"{Path(name).name}.o"
        return once(
            target,
            lambda: _run([COMPILER, *FLAGS, "-O1", "-c", f"{CSRC / name}.cpp", "-o", str(target)]),
        )

    def get(source: str, build: str) -> Path:
        target = folder / f"{Path(source).stem}-{build}{'.so' if source == 'machine.cu' else ''}"
        return once(
            target, lambda: _compile(HERE / source, target, build, [host(name) for name in HOST])
        )

    return get


class Machine:
    """The functions of machine.cu: arrays are handed over by address, what one throws is returned
    as text."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))

    def __getattr__(self, name: str) -> Callable[..., str | None]:
        function = getattr(self._library, name)
        function.restype = ctypes.c_char_p

        def call(*arguments: Any) -> str | None:
            said = function(
                *(ctypes.c_void_p(a.ctypes.data) if hasattr(a, "ctypes") else a for a in arguments)
            )
            return None if said is None else said.decode()

        return call


@pytest.fixture(
    params=[("usual", 1), ("usual", 3), ("portable", 3)], ids=lambda p: f"{p[0]}-{p[1]}"
)
def machine(request: pytest.FixtureRequest, compiled: Callable[[str, str], Path]) -> Machine:
    """machine.cu with either way to change fibers, blocks on one thread of the system or three."""
    build, threads = request.param
    library = Machine(compiled("machine.cu", build))
    assert library.set_threads(threads) is None
    return library


def lines(source: str) -> SimpleNamespace:
    """The lines of a source that end with "// LINE name", by their names."""
    found = {}
    for number, text in enumerate((HERE / source).read_text().splitlines(), 1):
        if "// LINE " in text:
            found[text.rpartition("// LINE ")[2].strip()] = number
    return SimpleNamespace(**found)
