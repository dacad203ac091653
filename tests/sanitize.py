"""The native kernels under the compiler's sanitizers: python -m tests.sanitize address|thread

Builds the extension with them in a copy of the tree and runs tests/kernels there on its kernels:
AddressSanitizer with UndefinedBehaviorSanitizer, or ThreadSanitizer. Other arguments are pytest's.
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
        {
            "TSAN_OPTIONS": "halt_on_error=1:ignore_noninstrumented_modules=1:report_thread_leaks=0"
            # a child of fork() starts threads of its own: that is tested
            ":die_after_fork=0"
        },
    ),
}
# the tests of the kernels, and of the threads and the memory they share
TESTS = ("tests/kernels", "tests/build/test_parallel.py")


def run(name: str, arguments: list[str]) -> int:
    flags, runtime, options = SANITIZERS[name]
    copy = ROOT / "build" / f"sanitize-{name}"
    copy_tree(copy)
    jobs = os.environ.get("JOBS", "2")
    isas = os.environ.get("PYCNN_ISAS") or _best_isa()
    built = build(copy, PYCNN_SANITIZE=flags, PYCNN_ISAS=isas)
    if built.returncode != 0:
        print(built.stdout + built.stderr)
        return built.returncode
    # the sanitizer looks for the functions it wraps when it starts: C++'s must be there by then
    preload = " ".join(filter(None, map(library, (runtime, "libstdc++.so.6"))))
    environment = {"LD_PRELOAD": preload, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(copy)}
    # --capture=sys: what a process writes to its standard error as it dies is shown
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-n", jobs]
        + ["--capture=sys", "-k", "native"]
        + (arguments or ["-m", "not gpu and not slow", *TESTS]),
        cwd=copy,
        env=os.environ | environment | options,
        check=False,
    ).returncode


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
