"""The C++ kernels under the compiler's sanitizers: python -m tests.sanitize address|thread

Builds the extensions with them in a copy of the tree and runs tests/kernels there on the native and
the emulated CUDA kernels: AddressSanitizer with UndefinedBehaviorSanitizer, or ThreadSanitizer.
Other arguments are pytest's. Which of the emulated kernels' tests run: in_checked_builds() of
tests/kernels/tiers.py.
"""

from __future__ import annotations

import os
import subprocess
import sys

from .build_copy import ROOT, build, copy_tree

# name -> (what the compiler is given, its library, the options it reads)
SANITIZERS = {
    "address": (
        "address,undefined",
        "libasan.so",
        {
            # Python and its libraries leak at exit, and import modules that define the same symbols
            "ASAN_OPTIONS": "detect_leaks=0:detect_odr_violation=0:allocator_may_return_null=1",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        },
    ),
    "thread": (
        "thread",
        "libtsan.so",
        {"TSAN_OPTIONS": "halt_on_error=1:ignore_noninstrumented_modules=1:report_thread_leaks=0"},
    ),
}
# a word of a report of each
REPORTS = {"address": ("AddressSanitizer", "runtime error:"), "thread": ("ThreadSanitizer",)}
# the tests of the kernels, and of the threads and the memory they share
TESTS = ("tests/kernels", "tests/build/test_parallel.py")


def run(name: str, arguments: list[str]) -> int:
    flags = SANITIZERS[name][0]
    copy = ROOT / "build" / f"sanitize-{name}"
    copy_tree(copy)
    jobs = os.environ.get("JOBS", "2")
    isas = os.environ.get("PYCNN_ISAS") or _best_isa()
    # at -O1 among the checks GCC takes for uninitialised what a loop fills: warnings are no errors
    built = build(copy, PYCNN_SANITIZE=flags, PYCNN_ISAS=isas, PYCNN_WERROR="0")
    if built.returncode != 0:
        print(built.stdout + built.stderr)
        return built.returncode
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(copy)}
    # --capture=sys: what a process writes to its standard error as it dies is shown
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-n", jobs]
        + ["--capture=sys", "-k", "native or cuda."]
        + (arguments or ["-m", "not gpu and not slow and not unchecked", *TESTS]),
        cwd=copy,
        env=os.environ | environment | runtime_environment(name),
        check=False,
    ).returncode


def runtime_environment(name: str) -> dict[str, str]:
    """What a Python process needs to load a module that was built with the sanitizer."""
    _, runtime, options = SANITIZERS[name]
    # the sanitizer looks for the functions it wraps when it starts: C++'s must be there by then
    libraries = map(library, (runtime, "libstdc++.so.6"))
    return {"LD_PRELOAD": " ".join(filter(None, libraries))} | options


def library(name: str) -> str | None:
    """Where the compiler has a library, None if it has none."""
    command = [os.environ.get("CXX", "c++"), f"-print-file-name={name}"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return found if os.path.isabs(found) else None


def _best_isa() -> str:
    from pycnn.config import native_status

    native, reason = native_status()
    if native is None:
        raise SystemExit(f"no C++ extension: {reason}")
    return native.isa()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in SANITIZERS:
        raise SystemExit(f"usage: python -m tests.sanitize {'|'.join(SANITIZERS)} [pytest's ...]")
    raise SystemExit(run(sys.argv[1], sys.argv[2:]))
