"""Mutants: small faults put into pycnn, each with the test that must find it.

A family lists its own in tests/mutants/<family>.py:

    MUTANTS = [
        Mutant("pycnn/geometry/base.py", "offset = tap * dilation - pad", "offset = tap - pad",
               killer="conv2d_fprop-uneven_dilation"),
    ]

`old` must occur exactly once in the file (or `count` times, all replaced). `killer` is one word, a
part of a kernel case's name `<primitive>-<case>`, which runs test_exact and test_oracle on those
cases; or several words, an expression for pytest's -k on those two tests; or pytest's arguments,
beginning with "tests/" (a node id, or a file and -k ...).

A mutant is applied to a temporary copy of the tree, never to the tree itself; its killer runs on
that copy: with PYCNN_PROVIDER=reference; where the fault is in C++, on the native kernels, compiled
for the baseline instruction set; where it is in csrc/cuda or csrc/emulator, on the emulated CUDA
kernels; where it is in kernels/, on the interpreted kernels. It is killed if a test fails; a killer
that selects no test, or a mutant that cannot be imported or compiled, is an error.

A fault that values need not show, a dropped barrier or a step past an array, names the sanitizer
that must report it, check="thread" or check="address" (AddressSanitizer and
UndefinedBehaviorSanitizer): its killer runs in a build of the emulated kernels for that one.
`python -m tests.mutants [words]` prints the verdicts as a table.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..build_copy import build, copy_tree
from ..sanitize import REPORTS, SANITIZERS, runtime_environment

TIMEOUT = 120.0  # seconds; a mutant that hangs is found by whoever waits for it


@dataclass(frozen=True)
class Mutant:
    file: str
    old: str
    new: str
    killer: str
    count: int = 1
    every_layout: bool = False  # the killer also runs in the layouts that are slow to test
    check: str = ""  # the sanitizer that reports it

    def __str__(self) -> str:
        text = f"{Path(self.file).stem}: {_squeeze(self.old)} -> {_squeeze(self.new)}"
        return f"{text} [{self.check}]" if self.check else text

    def apply(self, source: str) -> str:
        """The mutated source; ValueError where `old` is not there as often as it should be."""
        found = source.count(self.old)
        if found != self.count:
            raise ValueError(f"{self.file}: expected {self.count} x {self.old!r}, found {found}")
        return source.replace(self.old, self.new)

    @property
    def native(self) -> bool:
        """Whether it has to be compiled."""
        return self.file.startswith("csrc/")

    @property
    def emulated(self) -> bool:
        """Whether it is a fault in a CUDA kernel or in what emulates them."""
        return self.file.startswith(("csrc/cuda/", "csrc/emulator/"))

    @property
    def interpreted(self) -> bool:
        """Whether it is a fault in a Triton kernel."""
        return self.file.startswith("kernels/")

    def pytest_arguments(self) -> tuple[list[str], dict[str, str]]:
        """(arguments, environment) of the killer."""
        environment = {} if self.native else {"PYCNN_PROVIDER": "reference"}
        if self.killer.startswith("tests/"):
            return shlex.split(self.killer), environment
        one_case = len(self.killer.split()) == 1
        if one_case:
            environment["PYCNN_TEST_CASES"] = self.killer
        expression = [] if one_case else [self.killer]
        provider = "native" if self.native else "triton" if self.interpreted else ""
        provider = "cuda." if self.emulated else provider
        if provider:
            expression = [f"({self.killer}) and {provider}" if expression else provider]
        names = ["test_exact", "test_oracle"]
        if self.every_layout:
            names += [f"{name}_in_every_layout" for name in names]
        arguments = [f"tests/kernels/test_kernels.py::{name}" for name in names]
        if self.native and not self.every_layout:  # one configuration of each kernel
            arguments += ["-m", "not slow"]
        if self.check:  # what a process writes as a sanitizer ends it is kept
            arguments += ["--capture=sys"]
        return [*arguments, *(["-k", *expression] if expression else [])], environment


def _squeeze(text: str, width: int = 40) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 3] + "..."


def collect() -> list[Mutant]:
    """The mutants of every module beside this one that lists any."""
    package = __name__.rpartition(".")[0]
    mutants: list[Mutant] = []
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not module.name.startswith(("harness", "server", "test_", "__")):
            mutants += importlib.import_module(f"{package}.{module.name}").MUTANTS
    return mutants


class Copy:
    """A temporary copy of the tree, and a process that runs tests on it; with `check`, its emulated
    kernels are built for that sanitizer."""

    def __init__(self, check: str = "") -> None:
        self.check = check
        self.root = Path(tempfile.mkdtemp(prefix="pycnn-mutants-"))
        copy_tree(self.root)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(self.root)}
        if check:
            environment |= runtime_environment(check)
        self.server = subprocess.Popen(
            [sys.executable, "-B", str(self.root / "tests" / "mutants" / "server.py")],
            cwd=self.root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()
        shutil.rmtree(self.root)

    def __enter__(self) -> Copy:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    def path(self, file: str) -> Path:
        """Where the copy holds a file of the tree."""
        return self.root / ("pycnn/" + file if file.startswith("kernels/") else file)

    def run(self, arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
        """Run pytest on the copy: {"code": exit code, "seconds": s, "output": text}."""
        request = {"arguments": arguments, "environment": environment, "timeout": TIMEOUT}
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        return json.loads(self.server.stdout.readline())

    def verdict(self, mutant: Mutant) -> tuple[str, float, str]:
        """("killed", "survived" or "error", seconds, output) for one mutant."""
        path = self.path(mutant.file)
        original, times = path.read_text(), (path.stat().st_atime, path.stat().st_mtime)
        path.write_text(mutant.apply(original))
        try:
            by_its_test = mutant.killer.startswith("tests/emulator/")  # compiles what it runs
            if mutant.native and not by_its_test and (failure := self.compile(mutant.emulated)):
                return "error", 0.0, failure
            answer = self.run(*mutant.pytest_arguments())
        finally:
            path.write_text(original)
            if not mutant.native:  # what is compiled must look newer than the mutant's object
                os.utime(path, times)
        code, output = answer["code"], answer["output"]
        if self.check:  # a test that fails, but without a report, is not what was asked for
            reported = any(word in output for word in REPORTS[self.check])
            verdict = "killed" if reported else "survived" if code in (0, 1) else "error"
        else:
            verdict = {0: "survived", 1: "killed"}.get(code, "error")
        return verdict, answer["seconds"], output

    def compile(self, emulated: bool) -> str:
        """Build the copy's native or its emulated kernels; the compiler's words if that fails."""
        # emulated kernels do little per launch but in their thousands of threads
        options = {"PYCNN_ISAS": "baseline"}
        options["PYCNN_BUILD_TYPE"] = "MinSizeRel" if emulated else "Debug"
        options["PYCNN_MODULES"] = "_emulated" if emulated else "_native"
        if self.check:
            options["PYCNN_SANITIZE"] = SANITIZERS[self.check][0]
        done = build(self.root, **options)
        return done.stdout + done.stderr if done.returncode != 0 else ""
