"""Honest timing on a CPU: interleaved opponents, an idle machine, minimum and quantiles.

PyTorch allocates through the C library, which by default returns every large output to the system
and faults it in again at the next call. `raise_malloc_thresholds` restarts the process with limits
that let it keep the memory, so that what is compared is kernels.
"""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 33),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
    "MALLOC_TOP_PAD_": str(1 << 28),
}
_SPIN = 0.006  # seconds that a turn waits for the other's idle threads to stop spinning
_BUSY = 0.15  # the share of one core's time that others may use on a machine called idle


def raise_malloc_thresholds() -> None:
    """Start this process anew with the C library keeping freed memory, unless it does."""
    if any(os.environ.get(name) != value for name, value in _MALLOC.items()):
        os.environ.update(_MALLOC)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


class Times(NamedTuple):
    """Seconds of one call: the least, and the quantiles."""

    least: float
    p20: float
    p50: float
    p80: float


def times_of(samples: Sequence[float]) -> Times:
    return Times(min(samples), *(float(np.quantile(samples, q)) for q in (0.2, 0.5, 0.8)))


def interleaved(functions: dict[str, Callable[[], Any]], seconds: float) -> dict[str, Times]:
    """Call all functions in turn, `seconds` for each, at least four rounds of three calls.

    A turn begins with a pause and a call that is not timed: the threads of the one before spin on
    their cores for milliseconds, and its data leave the caches."""
    samples: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    end = time.perf_counter() + seconds * len(functions)
    rounds = 0
    while time.perf_counter() < end or rounds < 4:
        rounds += 1
        for name, function in functions.items():
            time.sleep(_SPIN)
            function()
            for _ in range(3):
                start = time.perf_counter()
                function()
                samples[name].append(time.perf_counter() - start)
    return {name: times_of(values) for name, values in samples.items()}


def _busy_seconds() -> float:
    """CPU time of everything on this machine so far, in seconds; 0 where it cannot be read."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    ticks = [int(f) for f in fields]
    idle = ticks[3] + ticks[4]
    return (sum(ticks[:8]) - idle) / os.sysconf("SC_CLK_TCK")


def wait_until_idle(patience: float = 20.0) -> float:
    """Wait until others leave the machine alone; returns the share of a core they still use."""
    end = time.perf_counter() + patience
    while True:
        busy, start = _busy_seconds(), time.perf_counter()
        time.sleep(0.25)
        share = (_busy_seconds() - busy) / (time.perf_counter() - start)
        if share <= _BUSY or time.perf_counter() > end:
            return share


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return name


def provenance() -> dict[str, Any]:
    """What a result was measured with: machine, versions, commit, date."""
    import torch

    import pycnn
    from pycnn.config import native_status

    native, reason = native_status()
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {
        "device": f"{processor()}, {len(os.sched_getaffinity(0))} cores",
        "isa": native.isa() if native is not None else f"none: {reason}",
        "versions": {
            "pycnn": pycnn.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "compiler": native.compiler() if native is not None else "",
        },
        "commit": commit,
        "date": datetime.date.today().isoformat(),
    }
